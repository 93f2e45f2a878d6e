"""What blocks an adopted table, what is only worth knowing, and where nothing is said."""

from dataclasses import replace
from typing import Any

import pytest
from small_tables import levels, mapped, number, table, target_of, text

from cdc.errors import TargetMismatch
from cdc.facts.risk import Risk
from cdc.facts.source_schema import Key, KeyKind, Table
from cdc.facts.table_map import Share, TableMap, ValueRules
from cdc.facts.target_schema import TargetColumn, TargetTable, TargetUnique
from cdc.mapping.adoption import Adopted, adapt, compare, require_compatible, with_helper_keys

SOURCE = table("t", text("name"), number("size"))
BY_CODE = Key(KeyKind.COLUMNS, ("code",))


def adopted(source: Table = SOURCE) -> TableMap:
    return replace(mapped(source), adopted=True)


def compared(found: TableMap, target: TargetTable | None, rows: int = 0, *, replace_rows: bool = False) -> list[Risk]:
    tables = {target.name: target} if target else {}
    there = Adopted(tables, {found.target: rows} if rows else {}, "replace" if replace_rows else "refuse")
    return list(compare([found], there))


def with_column(target: TargetTable, name: str, type_: str, base: str, **facts: Any) -> TargetTable:
    """The table with a column of that name replaced, or with one more."""
    others = tuple(c for c in target.columns if c.name != name)
    return replace(target, columns=(*others, TargetColumn(name, type_, base, **facts)))


def one(found: TableMap, target: TargetTable) -> Risk:
    (risk,) = compared(found, target)
    return risk


def test_a_table_as_we_would_make_it_needs_no_word() -> None:
    assert compared(adopted(), target_of(adopted())) == []


def test_tables_of_our_making_are_not_compared() -> None:
    assert compared(mapped(SOURCE), None) == []


def test_a_table_that_is_missing_blocks() -> None:
    (risk,) = compared(adopted(), None)
    assert (risk.level, risk.text) == ("blocks", "there is no table app.t in Postgres")


# --- the key ----------------------------------------------------------------------------------------------------------


def test_rows_must_be_unique_by_what_sqlite_names_them_with() -> None:
    target = target_of(adopted())
    assert one(adopted(), replace(target, uniques=())).text.startswith("nothing in Postgres makes (id) unique")
    partial = TargetUnique("k", ("id",), partial=True)
    assert one(adopted(), replace(target, uniques=(partial,))).level == "blocks"


def test_another_primary_key_beside_it_is_only_told() -> None:
    target = with_column(target_of(adopted()), "uid", "uuid", "uuid", not_null=True, has_default=True)
    uniques = (TargetUnique("t_pkey", ("uid",), primary=True), TargetUnique("k", ("id",)))
    assert [r.level for r in compared(adopted(), replace(target, uniques=uniques))] == ["note", "note"]


def test_rows_that_are_known_by_rowid_need_a_column_for_it() -> None:
    by_rowid = adopted(table("t", key=Key(KeyKind.ROWID, ("_rowid_",))))
    target = target_of(by_rowid)
    lost = replace(target, columns=tuple(c for c in target.columns if c.name != "_cdc_rowid"))
    assert compared(by_rowid, target) == []
    risk = one(by_rowid, lost)
    assert "by rowid only" in risk.text
    assert "_cdc_rowid bigint UNIQUE" in risk.remedy
    assert "`helper_key = true` in [tables.t]" in risk.remedy
    (offered,) = risk.choices
    assert (offered.section, offered.lines, offered.exact) == (("tables", "t"), ("helper_key = true",), False)
    for prevented in (replace(lost, owned=False), replace(lost, partitioned=True)):
        told = next(risk for risk in compared(by_rowid, prevented) if risk.level == "blocks")
        assert told.choices == (), "a line that would not do is not offered"
        assert "`helper_key = true`" not in told.remedy


def test_a_helper_key_is_told_before_it_is_added_and_blocks_where_it_cannot_be() -> None:
    wanted = replace(adopted(table("t", key=Key(KeyKind.ROWID, ("_rowid_",)))), helper_key=True)
    lost = replace(target_of(wanted), columns=(TargetColumn("id", "bigint", "int8"),), uniques=())
    assert one(wanted, lost).level == "note"
    for prevented in (replace(lost, owned=False), replace(lost, partitioned=True)):
        assert "blocks" in [risk.level for risk in compared(wanted, prevented)]
    ready = with_helper_keys([wanted], {"t": lost})["t"]
    assert [risk.level for risk in compared(wanted, ready)] == ["note"]  # it is not the primary key
    assert with_helper_keys([wanted], {"t": ready})["t"] == ready
    assert mapped(table("t", key=Key(KeyKind.ROWID, ("_rowid_",))), adopt=True, helper_key=True).helper_key
    assert not mapped(SOURCE, adopt=True, helper_key=True).helper_key  # its rows have a key


@pytest.mark.parametrize(
    ("type_", "base", "deterministic", "blocks"),
    [
        ("text", "text", True, False),
        ("uuid", "uuid", True, False),
        ("date", "date", True, False),
        ("character(3)", "bpchar", True, False),
        ("character(3)", "bpchar", False, True),
        ("text", "text", False, True),  # two keys that differ for SQLite may be equal under such a collation
        ("citext", "citext", True, True),
        ("timestamp", "timestamp", True, True),
        ("jsonb", "jsonb", True, True),
    ],
)
def test_a_key_keeps_different_rows_apart(type_: str, base: str, deterministic: bool, blocks: bool) -> None:
    by_code = adopted(table("t", text("code"), key=BY_CODE))
    target = with_column(target_of(by_code), "code", type_, base, not_null=True, deterministic=deterministic)
    equal = [risk for risk in compared(by_code, target) if "could become equal" in risk.text]
    assert bool(equal) is blocks


def test_a_format_for_all_columns_of_a_type_does_not_reach_the_key() -> None:
    by_code = replace(adopted(table("t", text("code"), key=BY_CODE)), formats={"uuid": ValueRules("uuid")})
    risk = one(by_code, with_column(target_of(by_code), "code", "uuid", "uuid"))
    assert (risk.level, risk.column) == ("note", "code")
    assert 'format = "uuid"' in risk.remedy


# --- columns ----------------------------------------------------------------------------------------------------------


def without(target: TargetTable, name: str) -> TargetTable:
    return replace(target, columns=tuple(c for c in target.columns if c.name != name))


def test_a_column_that_has_nowhere_to_go_blocks() -> None:
    risk = one(adopted(), without(target_of(adopted()), "name"))
    assert (risk.level, risk.column, risk.text) == ("blocks", "name", "table t has no column name")


def test_a_column_that_postgres_computes_takes_no_value() -> None:
    target = with_column(target_of(adopted()), "name", "text", "text", generated=True)
    assert "is generated by Postgres" in one(adopted(), target).text


def test_a_type_that_nobody_here_can_write_blocks_and_so_does_a_reading_that_it_does_not_have() -> None:
    target = target_of(adopted())
    assert "is not supported" in one(adopted(), with_column(target, "name", "xml", "xml")).text
    columns = tuple(replace(c, reading=ValueRules("epoch s")) if c.target == "name" else c for c in adopted().columns)
    assert one(replace(adopted(), columns=columns), target).remedy == "correct the mapping"


def test_whatever_takes_less_than_sqlite_is_told_in_one_note() -> None:
    target = with_column(target_of(adopted()), "name", "character varying(9)", "varchar", length=9, not_null=True)
    target = with_column(target, "size", "integer", "int4")
    risk = one(adopted(), target)
    assert (risk.level, risk.column) == ("note", "")
    assert risk.text.endswith("name character varying(9), size integer")


def test_a_column_that_only_postgres_has_blocks_where_new_rows_cannot_do_without() -> None:
    target = target_of(adopted())
    for facts, level in (
        ({"not_null": True}, "blocks"),
        ({"not_null": True, "has_default": True}, "note"),
        ({"not_null": True, "identity": "d"}, "note"),
        ({"has_default": True}, "note"),
        ({}, "warning"),
    ):
        assert one(adopted(), with_column(target, "more", "text", "text", **facts)).level == level, facts
    assert compared(adopted(), with_column(target, "more", "text", "text", generated=True)) == []


def test_a_column_that_is_null_in_every_row_is_warned_of_with_every_way_to_feed_it() -> None:
    risk = one(adopted(), with_column(target_of(adopted()), "html", "text", "text"))
    assert (risk.column, risk.text) == (
        "html",
        "html is NULL in every row: nothing feeds it, and it has no default there",
    )
    for way in ("`expression` or `python` in [tables.t.columns.html]", "give it a default", '`expression = "NULL"`'):
        assert way in risk.remedy


def test_a_null_that_is_said_to_be_meant_needs_no_word() -> None:
    meant = replace(mapped(SOURCE, columns={"html": {"expression": "NULL"}}), adopted=True)
    assert compared(meant, with_column(target_of(meant), "html", "text", "text")) == []


# --- what would bend or hide rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        ({"rules": ("r",)}, "blocks"),
        ({"row_security": True}, "blocks"),
        ({"user_triggers": ("touch",)}, "note"),  # they are disabled meanwhile
        ({"user_triggers": ("touch",), "owned": False}, "blocks"),  # which only an owner may
        ({"partitioned": True}, "note"),
    ],
)
def test_what_would_bend_rows_blocks_unless_it_can_be_put_aside(facts: dict[str, Any], level: str) -> None:
    assert levels(compared(adopted(), replace(target_of(adopted()), **facts))) == [(level, "")]


def test_rows_that_are_there_block_unless_they_may_be_replaced() -> None:
    target = target_of(adopted())
    assert levels(compared(adopted(), target, rows=1)) == [("blocks", "")]
    (told,) = compared(adopted(), target, rows=1_000, replace_rows=True)
    assert told.level == "note"
    assert told.text.startswith("app.t holds 1,000 rows already: they are saved")


# --- what follows -----------------------------------------------------------------------------------------------------


def test_everything_that_blocks_is_named_at_once() -> None:
    target = without(without(target_of(adopted()), "name"), "size")
    with pytest.raises(TargetMismatch, match=r"t\.name: table t has no column name; t\.size: table t has no column"):
        require_compatible([adopted()], Adopted({"t": target}, {}, "refuse"))


def test_notes_stop_nobody() -> None:
    require_compatible([adopted()], Adopted({"t": replace(target_of(adopted()), partitioned=True)}, {}, "refuse"))


def test_the_types_are_those_that_the_table_really_has() -> None:
    target = with_column(target_of(adopted()), "size", "integer", "int4")
    taken, ours = adapt([adopted(), mapped(SOURCE)], Adopted({"t": target}, {}, "refuse"))
    assert {c.target: c.type for c in taken.columns}["size"] == "integer"
    assert {c.target: c.type for c in ours.columns}["size"] == "bigint"


# --- several tables that feed one -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "base", "facts", "blocks"),
    [
        ("text", "text", {}, False),
        ("character varying(9)", "varchar", {"length": 9}, False),
        ("text", "text", {"deterministic": False}, True),
        ("character(9)", "bpchar", {"length": 9}, True),
        ("citext", "citext", {}, True),
        ("bigint", "int8", {}, True),
        ("kind", "kind", {"labels": ("x", "y")}, False),
        ("kind", "kind", {"labels": ("x", "z")}, True),
    ],
)
def test_what_tells_the_rows_of_two_tables_apart_has_another_value_for_each_constant(
    type_: str, base: str, facts: dict[str, Any], blocks: bool
) -> None:
    assert told_of_share(Share("name", ("y",), rest=True), type_, base, facts) == blocks


def test_numbers_tell_rows_apart_where_they_are_written_in_one_way() -> None:
    assert not told_of_share(Share("name", ("-2", "0"), rest=True), "bigint", "int8", {})
    assert told_of_share(Share("name", ("02",), rest=False), "bigint", "int8", {})


def told_of_share(share: Share, type_: str, base: str, facts: dict[str, Any]) -> bool:
    found = replace(adopted(), share=share)
    target = with_column(target_of(adopted()), "name", type_, base, **facts)
    keyed = replace(target, uniques=(TargetUnique("k", ("id",), primary=True),))
    return any(
        "tells the rows of several tables apart" in r.text for r in compared(found, keyed) if r.level == "blocks"
    )
