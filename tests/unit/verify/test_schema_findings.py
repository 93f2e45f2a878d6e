"""What is a finding about a target and what is not, decided without a database."""

from small_tables import mapped, table, text

from cdc.facts.target_schema import ObjectKind, ObjectPlace, SchemaObject
from cdc.postgres.record.left_out import LeftOutPlace
from cdc.verify.schema_parity import added, compare

MAPS = [mapped(table("t", text("v")))]
KIND = ObjectKind
Parts = dict[tuple[ObjectKind, str], str]
WHOLE: Parts = {
    (KIND.TABLE, ""): "",
    (KIND.COLUMN, "v"): "text",
    (KIND.DEFAULT, "v"): "'a'::text",
    (KIND.UNIQUE, "t_v_key"): "UNIQUE (v) DEFERRABLE",
    (KIND.INDEX, "by_v"): "USING btree (v)",
}


def objects(parts: Parts) -> dict[ObjectPlace, SchemaObject]:
    return {ObjectPlace("t", kind, name): SchemaObject(definition) for (kind, name), definition in parts.items()}


def without(*places: tuple[ObjectKind, str]) -> dict[tuple[ObjectKind, str], str]:
    return {place: part for place, part in WHOLE.items() if place not in places}


def found(actual: Parts, expected: Parts = WHOLE, *left_out: LeftOutPlace) -> list[tuple[str, str]]:
    return [(f.kind, f.name) for f in compare(MAPS, objects(expected), objects(actual), frozenset(left_out))]


def test_what_is_as_it_is_made_is_no_finding() -> None:
    assert found(WHOLE) == []


def test_a_table_that_is_gone_is_told_once() -> None:
    assert found({}) == [("table", "")]


def test_what_a_column_had_is_not_told_beside_the_column_itself() -> None:
    assert found(without((KIND.COLUMN, "v"), (KIND.DEFAULT, "v"))) == [("column", "v")]


def test_another_name_for_the_same_index_will_do_unless_it_is_one_of_ours_too() -> None:
    assert found(without((KIND.INDEX, "by_v")) | {(KIND.INDEX, "own"): "USING btree (v)"}) == []
    twice = {**WHOLE, (KIND.INDEX, "by_v_too"): "USING btree (v)"}
    assert found(WHOLE, twice) == [("index", "by_v_too")]


def test_what_was_left_out_is_no_finding_and_something_else_is() -> None:
    known = LeftOutPlace("t", "index", "by_v")
    assert found(without((KIND.INDEX, "by_v")), WHOLE, known) == []
    assert found(without((KIND.INDEX, "by_v")), WHOLE, known._replace(table="u")) == [("index", "by_v")]
    assert found({**WHOLE, (KIND.INDEX, "by_v"): "USING btree (v DESC)"}, WHOLE, known) == [("index", "by_v")]


def test_uniqueness_may_wait_where_it_need_not_and_not_the_other_way_round() -> None:
    place, at_once, waiting = (KIND.UNIQUE, "t_v_key"), "UNIQUE (v)", "UNIQUE (v) DEFERRABLE"
    assert found(WHOLE | {place: waiting}, WHOLE | {place: at_once}) == []
    assert found(WHOLE | {place: at_once}, WHOLE | {place: waiting}) == [("unique", "t_v_key")]


def test_what_somebody_added_is_noted_and_no_finding_unless_it_serves_queries_alone() -> None:
    more = {
        **WHOLE,
        (KIND.CHECK, "own"): "CHECK (v <> '')",
        (KIND.INDEX, "own_index"): "USING btree (v, v)",
        (KIND.INDEX, "own_unique"): "UNIQUE USING btree (v)",
        (KIND.COLUMN, "own_column"): "text",
    }
    assert found(more) == []
    assert added(MAPS, objects(WHOLE), objects(more)) == ["own of t", "own_unique of t"]


def test_a_column_that_nothing_feeds_must_not_ask_for_a_value() -> None:
    own = {**WHOLE, (KIND.COLUMN, "own"): "text", (KIND.NOT_NULL, "own"): "NOT NULL"}
    assert found(own) == [("not null", "own")]
    assert found({**own, (KIND.DEFAULT, "own"): "''::text"}) == []
