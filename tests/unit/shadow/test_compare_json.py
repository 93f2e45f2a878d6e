"""JSON compared by what it means: no order of members makes a difference, and each difference is told by its place."""

import json
import random
from collections.abc import Mapping
from typing import Any

import jsonpath_rfc9535
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.config import ShadowRule
from cdc.facts.shadow import Difference, Verdict
from cdc.shadow.compare_http import Compared, compare
from cdc.shadow.compare_json import JsonComparison, decode
from cdc.shadow.http_answer import HttpAnswer
from cdc.shadow.http_rules import Location, Rules

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=25,
)


def differences(baseline: Any, candidate: Any) -> list[Difference]:
    comparison = JsonComparison({})
    comparison.compare(baseline, candidate)
    return comparison.differences


def answers(baseline: str, candidate: str, *rules: ShadowRule) -> Compared:
    headers = (("Content-Type", "application/json"),)
    ours, theirs = (HttpAnswer(200, headers, text.encode()) for text in (baseline, candidate))
    return compare("GET /a", ours, theirs, Rules(rules))


def leaves(document: Any, at: Location = ()) -> list[Location]:
    children = list(document.items()) if isinstance(document, dict) else []
    children = list(enumerate(document)) if isinstance(document, list) else children
    return [leaf for step, child in children for leaf in leaves(child, (*at, step))] if children else [at]


def reordered(document: Any, chance: random.Random) -> Any:
    if isinstance(document, dict):
        members = [(name, reordered(value, chance)) for name, value in document.items()]
        chance.shuffle(members)
        return dict(members)
    return [reordered(value, chance) for value in document] if isinstance(document, list) else document


def with_leaf(document: Any, at: Location, value: object) -> Any:
    if not at:
        return value
    copy: Any = dict(document) if isinstance(document, dict) else list(document)
    copy[at[0]] = with_leaf(document[at[0]], at[1:], value)
    return copy


@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_a_document_is_itself_in_whatever_order_its_members_are(document: Any, chance: random.Random) -> None:
    assert differences(document, reordered(document, chance)) == []


@given(DOCUMENTS, st.data())
def test_a_changed_leaf_is_told_by_exactly_its_place(document: Any, data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(leaves(document)))
    changed = with_leaf(document, at, "a text that no other leaf is")
    (difference,) = differences(document, changed)
    (node,) = jsonpath_rfc9535.find(difference.path, changed)
    assert node.location == at
    assert difference.path == node.path()
    assert difference.candidate == '"a text that no other leaf is"'


@given(DOCUMENTS, DOCUMENTS)
def test_both_ways_are_judged_alike(one: Any, other: Any) -> None:
    assert bool(differences(one, other)) == bool(differences(other, one))


ALIKE: list[tuple[str, str]] = [
    ("[1]", "[1.0]"),
    ('{"a": 1, "b": 2}', '{"b":2,"a":1}'),
    ('["\\u00e4"]', '["ä"]'),
    ("[NaN]", "[NaN]"),
]
DIFFERENT: list[tuple[str, str, str]] = [
    ("[1]", "[true]", "$[0]"),
    ("[0]", "[null]", "$[0]"),
    ("[123456789012345678901]", "[123456789012345678902]", "$[0]"),
    ('{"a": null}', "{}", "$['a']"),
    ("{}", '{"it\'s": 1}', "$['it\\'s']"),
    ('{"a": 1, "a": 2}', '{"a": 2}', "$['a']"),
    ("[[1], 2]", "[[1]]", "$[1]"),
    (f"[{10**400}]", "[1.5]", "$[0]"),
    ('["1"]', "[1]", "$[0]"),
]


@pytest.mark.parametrize(("baseline", "candidate"), ALIKE)
def test_what_means_the_same_is_equal(baseline: str, candidate: str) -> None:
    assert answers(baseline, candidate) == Compared(Verdict.EQUAL)


@pytest.mark.parametrize(("baseline", "candidate", "path"), DIFFERENT)
def test_what_means_another_thing_differs_at_its_place(baseline: str, candidate: str, path: str) -> None:
    compared = answers(baseline, candidate)
    assert (compared.verdict, [d.path for d in compared.differences]) == (Verdict.DIFFERENT, [path])


# A rule, what it makes alike, and what it does not.
READ: list[tuple[Mapping[str, Any], tuple[Any, Any], tuple[Any, Any]]] = [
    ({"read": "ignored"}, (1, "x"), (None, None)),
    ({"read": "instant"}, ("2026-01-02 03:04:05", "2026-01-02T04:04:05+01:00"), ("2026-01-02", "2026-01-03")),
    ({"read": "instant"}, ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05"), ("2026-01-02", "tomorrow")),
    ({"read": "number", "tolerance": 0.01}, (100, 100.9), (100, 102)),
    ({"read": "number"}, ("1.50", 1.5), ("1.50", 1.51)),
    ({"read": "json"}, ('{"a": 1, "b": [2]}', '{"b":[2.0],"a":1}'), ('{"a": 1}', '{"a": 2}')),
    ({"read": "json"}, ('{"a": 1}', {"a": 1}), ('{"a": 1}', {"a": 2})),
    ({"read": "text"}, ("a  b\n", "a b"), ("a b", "ab")),
    ({"read": "set"}, ([1, 2, 2], [2, 1, 2]), ([1, 2, 2], [2, 1])),
    ({"read": "set", "key": "k"}, ([{"k": 1}, {"k": 2}], [{"k": 2}, {"k": 1}]), ([{"k": 1}], [{"k": 1, "v": 0}])),
    ({"read": "empty is null"}, ("", None), ("", 0)),
]


@pytest.mark.parametrize(("rule", "alike", "different"), READ, ids=lambda value: str(value)[:40])
def test_a_rule_takes_in_what_it_names_and_nothing_else(
    rule: Mapping[str, Any], alike: tuple[Any, Any], different: tuple[Any, Any]
) -> None:
    meant = ShadowRule(path="$.x", reason="because", **rule)
    ours, theirs = (json.dumps({"x": side}) for side in alike)
    assert answers(ours, theirs).verdict is Verdict.DIFFERENT
    assert answers(ours, theirs, meant) == Compared(Verdict.IGNORED, rules=("because",))
    elsewhere = ShadowRule(path="$.y", **rule)
    assert answers(ours, theirs, elsewhere).verdict is Verdict.DIFFERENT
    if different != (None, None):
        ours, theirs = (json.dumps({"x": side}) for side in different)
        assert answers(ours, theirs, meant).verdict is Verdict.DIFFERENT


def test_a_member_may_be_absent_instead_of_null_where_a_rule_says_so() -> None:
    rule = ShadowRule("absent is null", path="$.items[*].at")
    ours, theirs = '{"items": [{"at": null}, {"at": 1}]}', '{"items": [{}, {"at": 1}]}'
    assert answers(ours, theirs, rule).verdict is Verdict.IGNORED
    assert answers(theirs, ours, rule).verdict is Verdict.IGNORED
    assert answers(ours, '{"items": [{}, {}]}', rule).differences == (Difference("$['items'][1]['at']", "1", None),)


def test_a_renamed_member_is_compared_under_both_names_and_a_new_one_fails() -> None:
    rules = (ShadowRule("renamed", path="$.video_id", to="videoId"), ShadowRule("one-sided", path="$.extra"))
    assert answers('{"video_id": 1}', '{"videoId": 1, "extra": 2}', *rules).verdict is Verdict.IGNORED
    compared = answers('{"video_id": 1}', '{"videoId": 2, "new": 3}', *rules)
    assert {d.path for d in compared.differences} == {"$['video_id']", "$['new']"}


def test_a_rule_of_types_tells_a_number_from_a_whole_one() -> None:
    rule = ShadowRule("types", path="$..*")
    assert answers("[1]", "[1.0]", rule).differences == (Difference("$[0]", "1", "1.0", "float text"),)
    assert answers("[1, [2.5]]", "[1,[2.5]]", rule).verdict is Verdict.EQUAL


def test_elements_of_a_set_are_compared_by_their_key_and_repeated_ones_are_told() -> None:
    rule = ShadowRule("set", path="$.items", key="id")
    ours = '{"items": [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}]}'
    compared = answers(ours, '{"items": [{"id": 2, "n": "c"}, {"id": 1, "n": "a"}]}', rule)
    assert compared.differences == (Difference("$['items'][1]['n']", '"b"', '"c"', "changed value"),)
    twice = answers(ours, '{"items": [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}, {"id": 2, "n": "b"}]}', rule)
    assert twice.differences == (Difference("$['items'][2]", None, '{"id": 2, "n": "b"}'),)


def test_another_order_is_one_difference_of_the_whole_list() -> None:
    (difference,) = answers('{"a": [1, 2, 3]}', '{"a": [3, 1, 2]}').differences
    assert (difference.path, difference.cause) == ("$['a']", "no ORDER BY")
    assert [d.path for d in answers("[1, 2, 3]", "[3, 1, 4]").differences] == ["$[0]", "$[1]", "$[2]"]


def test_a_difference_has_a_likely_cause() -> None:
    causes = {
        d.path: d.cause for d in answers('{"a": 1, "b": null, "c": 1}', '{"a": true, "b": "", "d": null}').differences
    }
    assert causes["$['a']"] == "boolean"
    assert causes["$['b']"] == "empty and NULL"
    assert causes["$['c']"] == ""
    assert answers("{}", '{"d": null}').differences[0].cause == "absent and NULL"


def test_a_member_that_comes_twice_is_seen() -> None:
    assert decode('{"a": 1, "b": 2, "a": 1}') == {"a": (1, 1), "b": 2}


def test_a_rule_holds_for_its_endpoint_alone() -> None:
    assert answers("[1]", "[2]", ShadowRule("ignored", endpoint="GET /b*")).verdict is Verdict.DIFFERENT
    assert answers("[1]", "[2]", ShadowRule("ignored", endpoint="GET /a*")).verdict is Verdict.IGNORED
