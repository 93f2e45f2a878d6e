"""A decision about a column outlives the data that led to it, the column, and the section of the configuration."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from small_tables import config, mapped, number, table, target_of, text

from cdc.errors import MappingError
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, SourceSchema
from cdc.facts.target_schema import TargetUnique
from cdc.mapping.known import Decisions, dropped_columns, map_known, recall, remember, with_leftovers, without_rekeyed


@dataclass(frozen=True)
class Leftover:
    source_table: str
    decided: dict[str, Any]


def decision(type_: str, source: str) -> dict[str, Any]:
    return {"type": type_, "literal": False, "source": source}


def types(known: Decisions, schema: SourceSchema, **sections: Any) -> dict[str, str]:
    (found,) = map_known(schema, config(**sections), known)
    return {column.target: column.type for column in found.columns}


def test_what_was_decided_stands_whatever_the_data_looks_like_now() -> None:
    before = mapped(table("t", Column("at", "DATETIME", Affinity.NUMERIC)))
    decided = replace(before, columns=tuple(replace(c, type="text") if c.target == "at" else c for c in before.columns))
    (after,) = recall([before], remember([decided]))
    assert [c.type for c in after.columns] == ["bigint", "text"]


def test_a_new_column_is_decided_by_what_it_is() -> None:
    known = remember([mapped(table("t", text("a")))])
    assert types(known, SourceSchema((table("t", text("a"), number("n")),)))["n"] == "bigint"


def test_a_column_that_comes_back_is_what_it_was() -> None:
    known = with_leftovers({"t": {}}, [Leftover("t", {"at": decision("timestamptz", "at")})])
    assert types(known, SourceSchema((table("t", text("at")),)))["at"] == "timestamptz"


def test_what_is_fed_now_has_the_word_over_what_was_left() -> None:
    now, left = {"a": decision("jsonb", "a")}, {"a": decision("text", "a"), "b": decision("date", "b")}
    assert with_leftovers({"t": now}, [Leftover("t", left)]) == {"t": {"a": now["a"], "b": left["b"]}}


def test_the_configuration_may_name_what_the_application_dropped_since_but_not_what_never_was() -> None:
    known = {"t": {"id": decision("bigint", "id"), "old": decision("text", "old")}, "gone": {}}
    schema = SourceSchema((table("t"),))
    sections = {"t": {"columns": {"old": {"type": "text"}}}, "gone": {}}
    assert types(known, schema, tables=sections, replicate={"tables": ["t", "gone"]}) == {"id": "bigint"}
    with pytest.raises(MappingError, match="no such column"):
        types({"t": {}}, schema, tables={"t": sections["t"]})
    with pytest.raises(MappingError, match="no such table"):
        types({"t": {}}, schema, tables={"gone": {}})


def test_columns_that_were_fed_once_and_are_no_longer_are_named() -> None:
    known = remember([mapped(table("t", text("a"), text("b")))])
    assert dropped_columns(mapped(table("t", text("b"), text("c"))), known) == ["a"]


def test_a_copy_under_another_key_waits_because_its_rows_cannot_be_found() -> None:
    by_code = mapped(table("t", text("code"), key=Key(KeyKind.COLUMNS, ("code",))))
    copy = target_of(mapped(table("t", text("code"))))
    assert without_rekeyed([by_code], {"t": copy}, known={"t"}) == ()
    assert without_rekeyed([by_code], {"t": copy}, known=()) == (by_code,)  # it was never fed: its own errors tell


def test_a_copy_that_is_unique_under_the_new_key_as_well_does_not_wait() -> None:
    by_code = mapped(table("t", text("code"), key=Key(KeyKind.COLUMNS, ("code",))))
    copy = target_of(mapped(table("t", text("code"))))
    both = replace(copy, uniques=(*copy.uniques, TargetUnique("code", ("code",))))
    assert without_rekeyed([by_code], {"t": both}, known={"t"}) == (by_code,)


def test_an_adopted_table_has_the_key_that_its_owner_gave_it() -> None:
    adopted = replace(mapped(table("t", text("code"), key=Key(KeyKind.COLUMNS, ("code",)))), adopted=True)
    copy = target_of(mapped(table("t", text("code"))))
    assert without_rekeyed([adopted], {"t": copy}, known={"t"}) == (adopted,)
