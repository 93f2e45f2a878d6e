"""Requests that are put to both sides, and those that are not, with the reason."""

import fnmatch
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

from cdc.config import ShadowSection
from cdc.facts.secret_names import MASKED, SECRET_WORDS

ALL_PAGES: Final = ", all pages"  # behind a request that stands for the walk through a list
_SECRET_PARAMETER: Final = re.compile(rf"(?<=[?&])(?P<name>[^=&]*(?:{SECRET_WORDS})[^=&]*)=[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request without the address of a side.

    `target` is the path with its query, as it stands on the wire. Where it was made from a template, `template` is
    that, and `values` are those that were put in.
    """

    method: str
    target: str
    template: str = ""
    values: tuple[str, ...] = ()
    body: str | None = None
    content_type: str | None = None

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """Names and values of the query's parameters."""
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    def __str__(self) -> str:
        shown = _SECRET_PARAMETER.sub(rf"\g<name>={MASKED}", self.target)
        return f"{self.method} {shown}"


def filled(method: str, template: str, values: dict[str, str]) -> HttpRequest:
    """The request of a template whose places `{name}` get these values; raises `KeyError` for one without."""
    target = re.sub(r"\{([^{}]*)\}", lambda place: quote(values[place[1]], safe=""), template)
    used = tuple(values[name] for name in places_of(template))
    return HttpRequest(method, target, template, used)


def places_of(template: str) -> list[str]:
    """The names of a template's places, each once."""
    return list(dict.fromkeys(re.findall(r"\{([^{}]*)\}", template)))


def refusal(request: HttpRequest, section: ShadowSection) -> str:
    """Why a request must not be asked, empty when it may."""
    if request.method not in (method.upper() for method in section.methods):
        return f"`methods` does not have {request.method}"
    spellings = list(_spellings(request))
    denied = next((p for p in section.deny if any(fnmatch.fnmatchcase(s, p) for s in spellings)), None)
    if denied is not None:
        return f"`deny` has {denied}"
    allowed = any(fnmatch.fnmatchcase(request.path, p) or fnmatch.fnmatchcase(request.target, p) for p in section.allow)
    return "" if allowed else "`allow` has nothing for it"


def _spellings(request: HttpRequest) -> Iterator[str]:
    """The path in each way in which a server may read it: nothing that is denied gets through as %64elete."""
    for target in (request.target, request.path):
        yield target
        yield unquote(target)
    clean = posixpath.normpath(unquote(request.path))
    yield re.sub("/+", "/", clean)
