"""Two JSON documents compared by what they mean: the smallest places where they differ, read as rules have it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

from cdc.config import ShadowRule
from cdc.facts.shadow import Difference
from cdc.shadow.causes import explain
from cdc.shadow.http_rules import Location
from cdc.shadow.scalar_readings import read_alike

MOST_DIFFERENCES: Final = 100  # of one pair of answers; what differs everywhere needs no more
MOST_TEXT: Final = 2_000  # characters of one side of a difference
ANY_ORDER: Final = "no ORDER BY"
_ABSENT: Final = object()


class Repeated(tuple[Any, ...]):
    """The values of a member that an object has several times: readers differ in which one they take."""

    __slots__ = ()


def decode(text: str | bytes) -> Any:
    """A JSON document; raises `ValueError`.

    Python's own reader, and no faster one: it keeps whole numbers of any size exact, takes the NaN that Python's own
    writer makes, and lets a member that comes twice be seen.
    """
    return json.loads(text, object_pairs_hook=_object)


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        for name in found:
            values = [value for given, value in members if given == name]
            found[name] = Repeated(values) if len(values) > 1 else values[0]
    return found


def same(baseline: Any, candidate: Any) -> bool:
    """Whether two values mean the same in JSON: numbers by value, members of objects in any order."""
    if isinstance(baseline, bool) or isinstance(candidate, bool):
        return baseline is candidate
    if isinstance(baseline, dict) and isinstance(candidate, dict):
        return baseline.keys() == candidate.keys() and all(same(v, candidate[name]) for name, v in baseline.items())
    if isinstance(baseline, list | tuple) and type(baseline) is type(candidate):
        return len(baseline) == len(candidate) and all(map(same, baseline, candidate))
    is_nan = isinstance(baseline, float) and baseline != baseline  # noqa: PLR0124 (so NaN is told)
    return bool(baseline == candidate) or (is_nan and candidate != candidate)  # noqa: PLR0124


@dataclass(slots=True)
class JsonComparison:
    """One comparison: `differences` that no rule takes in, and the rules that were `used`."""

    places: Mapping[Location, Sequence[ShadowRule]]
    differences: list[Difference] = field(default_factory=list)
    used: list[ShadowRule] = field(default_factory=list)

    def compare(self, baseline: Any, candidate: Any, at: Location = ()) -> None:
        """Take in what differs at a place and below it."""
        if len(self.differences) >= MOST_DIFFERENCES:
            return
        rules = self.places.get(at, ())
        if rules and self._by_rule(rules, baseline, candidate, at):
            return
        if isinstance(baseline, dict) and isinstance(candidate, dict):
            self._objects(baseline, candidate, at)
        elif isinstance(baseline, list) and isinstance(candidate, list):
            self._lists(baseline, candidate, at)
        elif not same(baseline, candidate):
            self._differ(baseline, candidate, at)

    def _objects(self, baseline: dict[str, Any], candidate: dict[str, Any], at: Location) -> None:
        theirs = dict(candidate)
        for name in baseline.keys() - candidate.keys():
            for rule in self.places.get((*at, name), ()):
                if rule.read == "renamed" and rule.to in theirs and rule.to not in baseline:
                    theirs[name] = theirs.pop(rule.to)
                    self.used.append(rule)
                    break
        for name in [*baseline, *(name for name in theirs if name not in baseline)]:
            self.compare(baseline.get(name, _ABSENT), theirs.get(name, _ABSENT), (*at, name))

    def _lists(self, baseline: list[Any], candidate: list[Any], at: Location) -> None:
        before = len(self.differences)
        for n, (ours, theirs) in enumerate(zip_longest(baseline, candidate, fillvalue=_ABSENT)):
            self.compare(ours, theirs, (*at, n))
        if len(self.differences) > before + 1 and _reordered(baseline, candidate):
            self.differences[before:] = [Difference(normalized_path(at), shown(baseline), shown(candidate), ANY_ORDER)]

    def _by_rule(self, rules: Sequence[ShadowRule], baseline: Any, candidate: Any, at: Location) -> bool:
        """Whether a rule settles this place, for or against."""
        if any(rule.read == "types" for rule in rules) and _types_differ(baseline, candidate):
            self._differ(baseline, candidate, at)
            return True
        rules = [rule for rule in rules if rule.read != "types"]
        if not rules:
            return False
        if same(baseline, candidate):
            return True
        for rule in rules:
            if self._alike(rule, baseline, candidate, at):
                self.used.append(rule)
                return True
        lists = isinstance(baseline, list) and isinstance(candidate, list)
        sets = [rule for rule in rules if rule.read == "set"] if lists else []
        if sets:
            self._sets(sets[0], baseline, candidate, at)
        return bool(sets)

    def _alike(self, rule: ShadowRule, baseline: Any, candidate: Any, at: Location) -> bool:
        match rule.read:
            case "ignored":
                return True
            case "one-sided":
                return baseline is _ABSENT or candidate is _ABSENT
            case "absent is null":
                return {id(baseline), id(candidate)} == {id(None), id(_ABSENT)}
            case "json":
                return self._documents_alike(baseline, candidate, at)
            case _ if baseline is _ABSENT or candidate is _ABSENT:
                return False
            case _:
                return read_alike(rule, baseline, candidate)

    def _documents_alike(self, baseline: Any, candidate: Any, at: Location) -> bool:
        """JSON in a text, of either side, compared as what it is; what differs within is told by its own place."""
        try:
            ours, theirs = (decode(side) if isinstance(side, str) else side for side in (baseline, candidate))
        except (ValueError, RecursionError):
            return False
        if not isinstance(ours, dict | list) or not isinstance(theirs, dict | list):
            return same(ours, theirs)
        inner = JsonComparison({place: [r for r in rs if r.read != "json"] for place, rs in self.places.items()})
        inner.compare(ours, theirs, at)
        self.used += inner.used
        self.differences += inner.differences
        return True

    def _sets(self, rule: ShadowRule, baseline: list[Any], candidate: list[Any], at: Location) -> None:
        """Two lists whose order means nothing: elements with the same key are compared, whatever their places."""
        self.used.append(rule)
        ours, theirs = _by_key(baseline, rule.key), _by_key(candidate, rule.key)
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            here, there = ours.get(key, []), theirs.get(key, [])
            for (n, own), (m, other) in zip_longest(here, there, fillvalue=(-1, _ABSENT)):
                self.compare(own, other, (*at, n if n >= 0 else m))

    def _differ(self, baseline: Any, candidate: Any, at: Location) -> None:
        cause = _cause(baseline, candidate)
        self.differences.append(Difference(normalized_path(at), shown(baseline), shown(candidate), cause))


def _cause(baseline: Any, candidate: Any) -> str:
    if baseline is _ABSENT or candidate is _ABSENT:
        return "absent and NULL" if baseline is None or candidate is None else ""
    try:
        return explain(baseline, candidate)
    except (OverflowError, ValueError):  # numbers beyond what a float can be
        return ""


def _reordered(baseline: Sequence[Any], candidate: Sequence[Any]) -> bool:
    return len(baseline) == len(candidate) and sorted(map(canonical, baseline)) == sorted(map(canonical, candidate))


def _by_key(elements: Sequence[Any], key: str | None) -> dict[str, list[tuple[int, Any]]]:
    """Elements with their places by what identifies them: a member, or all that they are."""
    found: dict[str, list[tuple[int, Any]]] = {}
    for n, element in enumerate(elements):
        own = element.get(key) if key is not None and isinstance(element, dict) else element
        found.setdefault(canonical(own), []).append((n, element))
    return found


def canonical(value: Any) -> str:
    """One text for all values that are the `same`."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _types_differ(baseline: Any, candidate: Any) -> bool:
    return type(baseline) is not type(candidate) and _ABSENT not in (baseline, candidate)


def normalized_path(at: Location) -> str:
    """A place as RFC 9535 normalizes it: `$['items'][0]['title']`."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f"['{_escaped(step)}']" for step in at)


def _escaped(name: str) -> str:
    inner = json.dumps(name, ensure_ascii=False)[1:-1].replace('\\"', '"')
    return inner.replace("'", "\\'")


def shown(value: Any) -> str | None:
    """A value as a short JSON text, None for one that is not there."""
    if value is _ABSENT:
        return None
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > MOST_TEXT:
            return f"{text[:MOST_TEXT]}..."
    return text


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, Repeated):
        yield f"{len(value)} times: "
    yield from json.JSONEncoder(ensure_ascii=False).iterencode(value)
