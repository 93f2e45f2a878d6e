"""A decision about a column outlives the data that led to it, the column, and the section of the configuration."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from small_tables import config, mapped, number, table, target_of, text

from cdc.errors import MappingError
from cdc.facts.leftover import Leftover
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, SourceSchema, Table, WaitingTable
from cdc.facts.target_schema import TargetTable, TargetUnique
from cdc.mapping.known import (
    CurrentTables,
    Decisions,
    KnownTables,
    dropped_columns,
    map_known,
    recall,
    remember,
    with_leftovers,
)


def leftover(table: str, decided: dict[str, Any]) -> Leftover:
    return Leftover(table, table, None, datetime.now(UTC), decided, ())


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
    known = with_leftovers({"t": {}}, [leftover("t", {"at": decision("timestamptz", "at")})])
    assert types(known, SourceSchema((table("t", text("at")),)))["at"] == "timestamptz"


def test_what_is_fed_now_has_the_word_over_what_was_left() -> None:
    now, left = {"a": decision("jsonb", "a")}, {"a": decision("text", "a"), "b": decision("date", "b")}
    assert with_leftovers({"t": now}, [leftover("t", left)]) == {"t": {"a": now["a"], "b": left["b"]}}


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


# --- which tables are fed now -----------------------------------------------------------------------------------------

BY_CODE = table("t", text("code"), key=Key(KeyKind.COLUMNS, ("code",)))
COPY = target_of(mapped(table("t", text("code"))))  # keyed by its rowid


def current(
    now: Table, decided: Decisions, copy: TargetTable | None = COPY, *, left: tuple[Leftover, ...] = (), **sections: Any
) -> CurrentTables:
    targets = {copy.name: copy} if copy else {}
    return KnownTables(decided, left, targets).current(SourceSchema((now,)), config(**sections))


def names(found: CurrentTables) -> tuple[list[str], list[str]]:
    return [m.source.name for m in found.fed], [m.source.name for m in found.rekeyed]


def test_a_copy_under_another_key_waits_because_its_rows_cannot_be_found() -> None:
    assert names(current(BY_CODE, {"t": {}})) == ([], ["t"])
    assert names(current(BY_CODE, {})) == (["t"], [])  # it was never fed: its own errors tell


def test_a_copy_under_another_key_waits_as_a_leftover_too() -> None:
    assert names(current(BY_CODE, {}, left=(leftover("t", {}),))) == ([], ["t"])


def test_a_copy_that_is_unique_under_the_new_key_as_well_does_not_wait() -> None:
    both = replace(COPY, uniques=(*COPY.uniques, TargetUnique("code", ("code",))))
    assert names(current(BY_CODE, {"t": {}}, both)) == (["t"], [])


def test_a_table_that_others_made_never_waits_for_its_key() -> None:
    assert names(current(BY_CODE, {"t": {}}, target={"dsn": "x", "adopt": True}))[1] == []


def test_a_column_that_was_dropped_in_postgres_is_decided_anew() -> None:
    decided = {"t": {"code": decision("jsonb", "code"), "gone": decision("date", "gone")}}
    found = current(table("t", text("code"), text("gone")), decided)
    assert {c.target: c.type for c in found.fed[0].columns if c.target != "id"} == {"code": "jsonb", "gone": "text"}
    assert found.decided == {"t": {"code": decided["t"]["code"]}}


def test_what_was_decided_about_a_table_that_is_not_there_still_counts() -> None:
    decided = {"t": {"code": decision("jsonb", "code")}}
    assert current(table("t", text("code")), decided, None).decided == decided


def test_a_table_that_is_excluded_now_was_never_known() -> None:
    found = current(table("t", text("code")), {"t": {}, "other": {}}, replicate={"exclude": ["other"]})
    assert found.decided == {"t": {}}


def test_the_copy_of_a_table_that_waits_is_ours_to_leave_only_where_we_made_it() -> None:
    schema = SourceSchema((), waiting=(WaitingTable("w", "it cannot be read", "see to it"),))
    known = KnownTables({"w": {}}, (), {})
    assert known.current(schema, config()).decided == {"w": {}}
    assert known.current(schema, config(target={"dsn": "x", "adopt": True})).decided == {}


def test_the_places_that_are_fed_are_those_of_the_fed_tables_alone() -> None:
    found = current(table("t", text("code")), {"t": {}})
    assert ("t", None) in found.places
    assert ("t", "code") in found.places
    assert current(BY_CODE, {"t": {}}).places == frozenset()
