"""Which requests are of one endpoint: paths with their identifiers folded, and queries by the names in them."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from cdc.shadow.requests import HttpRequest

MOST_VALUES: Final = 20  # that one segment of a path has before it is taken for an identifier
MOST_ENDPOINTS: Final = 300
OTHERS: Final = "(others)"
_PLACE: Final = "{id}"

_IDENTIFIER: Final = re.compile(
    r"""
    \d[\d.,_-]*                                                # a number, a date, a version
    | [0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}
    | (?=[a-f]*\d)[0-9a-f]{8,}                                 # a hash
    | [^:]+:.+                                                 # yt:abc
    | (?=[^0-9]*[0-9])(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[\w-]{8,}  # letters and numbers by chance
    | (?=[^0-9]*[0-9])[\w-]{20,}
    """,
    re.VERBOSE,
)
_EXTENSION: Final = re.compile(r"\.[a-zA-Z]{1,5}$")


@dataclass(frozen=True, slots=True)
class Folded:
    """The name of an endpoint, and the values of a request that the name leaves out."""

    endpoint: str
    values: tuple[str, ...]


class Endpoints:
    """Names endpoints. What was learned before is folded by it, so learn all paths before the first is named.

    The name of a request stays the same as long as `foldings` does.
    """

    def __init__(self, templates: Iterable[str] = ()) -> None:
        paths = dict.fromkeys(template.partition("?")[0] for template in templates)
        # The one that says most comes first: /reports/latest before /reports/{id}.
        self._templates = [(path, _pattern(path)) for path in sorted(paths, key=lambda p: (p.count("{"), p))]
        self._seen: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        self._names: set[str] = set()
        self.foldings = 0  # places in paths whose values were found to be identifiers by their number

    def learn(self, requests: Iterable[HttpRequest]) -> None:
        """See which segments vary."""
        for request in requests:
            self.folded(request, name=False)
        self._names.clear()

    def folded(self, request: HttpRequest, *, name: bool = True) -> Folded:
        """The endpoint of a request; all that come after the first hundreds are one."""
        path, values = self._path(request)
        parameters = sorted({parameter for parameter, _ in request.query})
        endpoint = f"{request.method} {path}" + (f"?{'&'.join(parameters)}" if parameters else "")
        if name and endpoint not in self._names:
            if len(self._names) >= MOST_ENDPOINTS:
                endpoint = f"{request.method} {OTHERS}"
            self._names.add(endpoint)
        return Folded(endpoint, (*values, *(value for _, value in request.query)))

    def _path(self, request: HttpRequest) -> tuple[str, tuple[str, ...]]:
        if request.template:
            path = request.template.partition("?")[0]
            return path, request.values
        for path, pattern in self._templates:
            if found := pattern.fullmatch(request.path):
                return path, tuple(map(unquote, found.groups()))
        return self._by_looks(request.path)

    def _by_looks(self, path: str) -> tuple[str, tuple[str, ...]]:
        folded: list[str] = []
        values: list[str] = []
        for segment in path.split("/"):
            plain = unquote(segment)
            seen = self._seen[tuple(folded)]
            looks = _IDENTIFIER.fullmatch(_EXTENSION.sub("", plain)) is not None
            if not looks and len(seen) <= MOST_VALUES:
                seen.add(plain)
                self.foldings += len(seen) > MOST_VALUES
            if looks or (len(seen) > MOST_VALUES and plain):
                folded.append(_PLACE)
                values.append(plain)
            else:
                folded.append(segment)
        return "/".join(folded), tuple(values)


def named_as_before(known: Iterable[str], requests: Iterable[HttpRequest], templates: Iterable[str] = ()) -> Endpoints:
    """How endpoints of these requests are named; `known` are those that were asked before, whose names stay."""
    endpoints = Endpoints([*templates, *(name.partition(" ")[2] for name in known if "{" in name)])
    endpoints.learn(requests)
    return endpoints


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^{}]*\}", path)
    return re.compile("([^/]+)".join(map(re.escape, parts)))
