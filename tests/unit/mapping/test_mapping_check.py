"""What a mapping must not ask for: the last thing that is allowed, and the first that is not."""

from dataclasses import replace
from typing import Any

import pytest
from small_tables import config, mapped, number, table, text

from cdc.config import ColumnOptions, TableOptions
from cdc.errors import MappingError
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, LeftOut, SourceSchema, View, WaitingTable
from cdc.facts.table_map import Referring, TableMap
from cdc.mapping.check import (
    KEY_TYPES,
    LONGEST_NAME_BYTES,
    MOST_COLUMNS,
    MOST_KEY_COLUMNS,
    check,
    is_kept,
    refuse_twins,
    refuse_unfit_references,
)
from cdc.mapping.configured import refuse_missing, refuse_unknown
from cdc.mapping.names import has, in_key


def refused(found: TableMap, words: str) -> None:
    with pytest.raises(MappingError, match=words) as error:
        check(found)
    assert error.value.remedy


# --- names that are not there -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("skip", "slip"),
    [
        (["analysis"], False),  # another generation of the file has it
        (["channel_id"], False),  # so may this: it has only its beginning in common with a column
        (["chanel_name"], True),
        (["Channel_Naem"], True),
        (["view_count", "vew_count"], False),  # what it is like is named itself
        (["duration"], False),
        (["duration_secs"], False),
        (["duration_second"], False),  # that column is mapped on purpose
    ],
)
def test_a_name_to_skip_is_taken_for_a_slip_when_it_is_like_that_of_a_column_of_which_nothing_is_said(
    skip: list[str], slip: bool
) -> None:
    source = table("t", text("channel_name"), number("view_count"), number("duration_seconds"))
    options = TableOptions(skip=skip, columns={"duration_seconds": ColumnOptions(type="numeric")})
    if not slip:
        refuse_unknown(source, options, options)
        return
    with pytest.raises(MappingError, match="is no column of that table") as error:
        refuse_unknown(source, options, options)
    assert error.value.remedy.startswith("did you mean `channel_name`? ")


# --- names and sizes --------------------------------------------------------------------------------------------------


def test_a_name_is_measured_in_bytes_because_postgres_does() -> None:
    check(replace(mapped(table("t")), target="é" * 31 + "x"))
    refused(replace(mapped(table("t")), target="é" * 32), f"64 bytes long, and Postgres allows {LONGEST_NAME_BYTES}")
    refused(replace(mapped(table("t")), target=""), "would be empty")


def test_as_many_columns_as_the_stage_of_a_table_leaves_room_for() -> None:
    whole = mapped(table("t", *(number(f"c{n}") for n in range(MOST_COLUMNS - 1))))
    check(whole)
    one_more = replace(whole.columns[-1], target="one_more")
    refused(replace(whole, columns=(*whole.columns, one_more)), f"only {MOST_COLUMNS} can be replicated")


def test_as_many_columns_in_a_key_as_an_index_of_postgres_has() -> None:
    names = tuple(f"c{n}" for n in range(MOST_KEY_COLUMNS + 1))
    whole = mapped(table("t", *map(number, names), key=Key(KeyKind.COLUMNS, names[:-1])))
    check(whole)
    refused(replace(whole, key=names), f"Postgres allows {MOST_KEY_COLUMNS}")


@pytest.mark.parametrize("name", ["xmin", "ctid", "_cdc_gone", "_cdc_turn"])
def test_names_that_postgres_or_rows_on_their_way_have_are_kept(name: str) -> None:
    assert is_kept(name)


@pytest.mark.parametrize("name", ["XMIN", "_cdc_rowid", "_cdc_rowid_", "cdc_x"])
def test_names_that_only_look_like_it_are_free(name: str) -> None:
    assert not is_kept(name)


def test_names_are_twins_in_postgres_only_when_every_letter_is_the_same() -> None:
    refuse_twins(["a", "A"], "columns")
    with pytest.raises(MappingError, match="two columns would have the name a"):
        refuse_twins(["a", "b", "a"], "columns")


def test_sqlite_compares_names_without_case() -> None:
    source = table("t", text("Code"), key=Key(KeyKind.COLUMNS, ("code",)))
    assert has(source, "CODE")
    assert in_key(source, source.column("cODE"))
    assert not in_key(replace(source, key=Key(KeyKind.ROWID, ("code",))), source.column("code"))


# --- types that identify rows -----------------------------------------------------------------------------------------


def keyed(type_: str, affinity: Affinity = Affinity.TEXT) -> TableMap:
    source = table("t", Column("code", "", affinity), key=Key(KeyKind.COLUMNS, ("code",)))
    found = mapped(source, columns={"code": {"type": "text"}})
    return replace(found, columns=tuple(replace(c, type=type_) if c.target == "code" else c for c in found.columns))


@pytest.mark.parametrize("type_", KEY_TYPES)
def test_types_that_keep_different_keys_apart_may_identify_rows(type_: str) -> None:
    check(keyed(type_))


@pytest.mark.parametrize("type_", ["jsonb", "timestamp", "citext", "real", "varchar(5)"])
def test_types_that_could_make_two_keys_equal_may_not(type_: str) -> None:
    refused(keyed(type_), "different keys could become equal")


def test_a_double_may_not_where_sqlite_keeps_1_and_1_0_apart() -> None:
    check(keyed("double precision", Affinity.REAL))
    refused(keyed("double precision", Affinity.BLOB), "keys 1 and 1.0 would be equal")


def test_any_type_may_where_it_is_remembered_which_row_is_which() -> None:
    check(replace(keyed("jsonb"), crosswalk=True))


# --- what the configuration names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["T", "v", "fts", "held"])
def test_a_section_may_be_about_a_table_a_view_what_is_left_out_and_what_waits(name: str) -> None:
    schema = SourceSchema(
        (table("t"),), (LeftOut("fts", "table", "x"),), (View("v", (), ""),), (WaitingTable("held", "x", "y"),)
    )
    refuse_missing(schema, config({name: {}}))


def test_a_name_that_is_not_there_is_refused_with_the_one_that_was_meant() -> None:
    schema = SourceSchema((table("orders"),))
    with pytest.raises(MappingError, match=r"\[tables.ordres\]: there is no such table") as error:
        refuse_missing(schema, config({"ordres": {}}))
    assert "orders" in error.value.remedy


def test_a_pattern_may_match_tables_that_are_yet_to_come_a_plain_name_may_not() -> None:
    schema = SourceSchema((table("orders"),))
    refuse_missing(schema, config(replicate={"tables": ["log_*", "orders"]}))
    with pytest.raises(MappingError, match="names log_1"):
        refuse_missing(schema, config(replicate={"tables": ["log_1"]}))


# --- foreign keys that the operator wants -----------------------------------------------------------------------------


def pair(**child: Any) -> list[TableMap]:
    wanted = Referring(("parent_id",), "parent", "NO ACTION")
    found = mapped(table("child", number("parent_id"), text("note")))
    return [mapped(table("parent")), replace(found, **{"references": (wanted,), **child})]


def test_a_reference_to_a_key_of_the_same_types_is_fine() -> None:
    refuse_unfit_references(pair())


def test_a_reference_needs_the_types_of_the_key_it_refers_to() -> None:
    with pytest.raises(MappingError, match="columns of type text cannot refer to the key of parent, which is bigint"):
        refuse_unfit_references(pair(references=(Referring(("note",), "parent", "NO ACTION"),)))


def test_a_reference_to_a_table_that_waits_waits_with_it() -> None:
    alone = pair()[1:]
    refuse_unfit_references(alone, waiting=("parent",))
    with pytest.raises(MappingError, match="there is no table parent"):
        refuse_unfit_references(alone)


def test_a_table_that_others_made_neither_gets_a_foreign_key_nor_is_referred_to_by_one() -> None:
    parent, child = pair()
    refused(replace(child, adopted=True), "made by others, and gets no foreign keys")
    with pytest.raises(MappingError, match="there is no table parent that is replicated and made here"):
        refuse_unfit_references([replace(parent, adopted=True), child])


def test_a_reference_names_columns_as_they_are_called_in_postgres() -> None:
    source = table("child", number("Parent"))
    found = mapped(source, columns={"Parent": {"target": "parent_id"}})
    refused(replace(found, references=(Referring(("Parent",), "parent", "CASCADE"),)), "names Parent")
    check(replace(found, references=(Referring(("parent_id",), "parent", "CASCADE"),)))
