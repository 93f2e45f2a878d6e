"""The operator's rules for one endpoint: which places of an answer are read in which way."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final

import jsonpath_rfc9535
from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from cdc.config import ShadowRule, ShadowSection
from cdc.errors import ConfigError

Location = tuple[str | int, ...]  # of a value in a JSON document, from the root on
WHOLE: Final = "$"


@dataclass(frozen=True)
class EndpointRules:
    """The rules that hold for answers of one endpoint and status, by what they are about."""

    rules: Sequence[ShadowRule]
    compared_headers: frozenset[str]

    def of_header(self, name: str) -> tuple[ShadowRule, ...]:
        """The rules of a header."""
        return tuple(rule for rule in self.rules if rule.path.lower() == name)

    @cached_property
    def of_json(self) -> tuple[tuple[ShadowRule, jsonpath_rfc9535.JSONPathQuery], ...]:
        """The rules of places in JSON, with what finds those."""
        paths = [rule for rule in self.rules if rule.path.startswith(WHOLE) and rule.read != "status"]
        return tuple((rule, compiled(rule.path)) for rule in paths)

    @cached_property
    def of_html(self) -> tuple[ShadowRule, ...]:
        """The rules of elements, whose path is a CSS selector."""
        selectors = filter(_is_selector, self.rules)
        return tuple(rule for rule in selectors if rule.path.lower() not in self.compared_headers)

    @cached_property
    def of_status(self) -> ShadowRule | None:
        """The rule by which answers are alike whatever their words, if only their status is the same."""
        return next((rule for rule in self.rules if rule.read == "status"), None)

    @cached_property
    def of_body(self) -> ShadowRule | None:
        """The rule that ignores the body as a whole."""
        return next((rule for rule in self.rules if rule.read == "ignored" and rule.path == WHOLE), None)

    def at_places(self, *documents: Any) -> Mapping[Location, list[ShadowRule]]:
        """The rules of JSON by the places that they name in any of the documents."""
        places: dict[Location, list[ShadowRule]] = {}
        for rule, query in self.of_json:
            for document in documents:
                for node in query.finditer(document):
                    here = places.setdefault(node.location, [])
                    if rule not in here:
                        here.append(rule)
        return places


@dataclass(frozen=True)
class Rules:
    """What of answers is compared, and how; `EndpointRules` are made once for each endpoint and status."""

    rules: Sequence[ShadowRule] = ()
    compared_headers: frozenset[str] = frozenset({"content-type", "location"})
    _made: dict[tuple[str, int], EndpointRules] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, section: ShadowSection) -> "Rules":
        """Those of a configuration; raises `ConfigError` for a path that is none."""
        for rule in section.rules:
            if rule.path.startswith(WHOLE):
                compiled(rule.path)
            elif _is_selector(rule) and (rule.endpoint == "*" or "/" in rule.endpoint):  # others are of queries
                _try_selector(rule.path)
        for lists in section.pages:
            for path in (lists.list, lists.total, lists.cursor, lists.next):
                if path is not None and (path.startswith(WHOLE) or path is not lists.next):  # that may be a header
                    compiled(path)
        return cls(tuple(section.rules), frozenset(name.lower() for name in section.compared_headers))

    def for_answers(self, endpoint: str, status: int) -> EndpointRules:
        """Those that hold for answers of an endpoint that have this status."""
        if (endpoint, status) not in self._made:
            here = [rule for rule in self.rules if fnmatch.fnmatchcase(endpoint, rule.endpoint)]
            meant = [rule for rule in here if rule.status in (None, status)]
            self._made[endpoint, status] = EndpointRules(meant, self.compared_headers)
        return self._made[endpoint, status]


def reasons(rules: Iterable[ShadowRule]) -> tuple[str, ...]:
    """Why rules were made, or what they say, each once."""
    return tuple(dict.fromkeys(rule.reason or f"{rule.read} at {rule.path}" for rule in rules))


@lru_cache(256)
def compiled(path: str) -> jsonpath_rfc9535.JSONPathQuery:
    """A JSONPath that can be asked; raises `ConfigError` for a text that is none."""
    try:
        return jsonpath_rfc9535.compile(path)
    except jsonpath_rfc9535.JSONPathError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"[shadow] names a place in JSON by what is no JSONPath, {path}: {reason}",
            remedy='write it as RFC 9535 has it, such as "$.items[*].at"',
        ) from None


def _is_selector(rule: ShadowRule) -> bool:
    return rule.read == "ignored" and not rule.path.startswith(WHOLE)


def _try_selector(selector: str) -> None:
    try:
        LexborHTMLParser("<p>").css(selector)
    except SelectolaxError as error:
        raise ConfigError(
            f"`path` of a rule in [[shadow.rules]] is neither a header nor a CSS selector: {selector}: {error}",
            remedy='write it as a style sheet has it, such as "input[name=csrf_token]"',
        ) from None
