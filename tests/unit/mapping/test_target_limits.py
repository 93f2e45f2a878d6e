"""What Postgres cannot have of a table waits with a remedy that can be written as it stands."""

import tomllib
from dataclasses import replace

import msgspec
import pytest

from cdc.config import Config, SourceSection, TableOptions, TargetSection
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, SourceSchema, Table, WaitingTable
from cdc.mapping.check import MOST_COLUMNS
from cdc.mapping.target_limits import leave_out, unfit, without_readers_of_waiting
from cdc.sql_names import quote


def table(name: str, columns: int, keys: int, *, without_rowid: bool) -> Table:
    made = tuple(Column(f"c{n}", "INT", Affinity.INTEGER, primary_key=(n + 1) * (n < keys)) for n in range(columns))
    key = Key(KeyKind.COLUMNS, tuple(c.name for c in made[:keys]))
    return Table(name, made, key, without_rowid=without_rowid, rowid_alias=None if without_rowid else "_rowid_")


def config(**tables: object) -> Config:
    return Config(
        source=SourceSection("app.db"),  # type: ignore[arg-type]
        target=TargetSection("embedded"),
        tables=msgspec.convert(tables, dict[str, TableOptions]),
    )


@pytest.mark.parametrize(
    ("name", "columns", "keys", "without_rowid", "reason", "remedy", "followed"),
    [
        (
            "t",
            1601,
            1,
            False,
            "it has 1601 columns",
            "name the ones to leave out in `skip` of [tables.t]",
            {"skip": ["c9", "c8", "c7", "c6"]},
        ),
        ("t", 40, 33, False, "its key has 33 columns", 'set `key = "rowid"` in [tables.t]', None),
        ("t", 40, 33, True, "its key has 33 columns", 'leave it out with `exclude = ["t"]` in [replicate]', None),
        ("é" * 32, 2, 1, False, "its name is 64 bytes long", f'set `target` in [tables."{"é" * 32}"]', {"target": "e"}),
    ],
)
def test_a_table_that_is_too_large_for_postgres_waits(
    name: str,
    columns: int,
    keys: int,
    without_rowid: bool,
    reason: str,
    remedy: str,
    followed: dict[str, object] | None,
) -> None:
    held = unfit(table(name, columns, keys, without_rowid=without_rowid), config())
    assert held is not None
    assert (held.name, held.reason.startswith(reason)) == (name, True)
    assert remedy in held.remedy
    if followed:
        assert unfit(table(name, columns, keys, without_rowid=without_rowid), config(**{name: followed})) is None


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("é" * 32, "is 64 bytes long, and Postgres allows 63"),
        ("", "is empty, which Postgres refuses"),
        ("ctid", "is one that Postgres or this tool keeps for itself"),
    ],
)
def test_a_table_waits_for_a_column_whose_name_postgres_cannot_have_until_it_has_another_or_is_skipped(
    column: str, why: str
) -> None:
    one = table("t", 2, 1, without_rowid=False)
    one = replace(one, columns=(*one.columns, replace(one.columns[1], name=column)))
    held = unfit(one, config())
    assert held is not None
    assert held.reason == f"the name of its column {quote(column)} {why}"
    section = held.remedy.removeprefix("set `target` in [").removesuffix("]")
    options = tomllib.loads(f"[{section}]\ntarget = 'c'")["tables"]
    assert options == {"t": {"columns": {column: {"target": "c"}}}}
    assert unfit(one, config(**options)) is None
    assert unfit(one, config(t={"skip": [column]})) is None


def test_the_rowid_of_a_table_without_a_key_is_one_column_more() -> None:
    widest = replace(table("t", MOST_COLUMNS, 0, without_rowid=False), key=Key(KeyKind.ROWID, ("_rowid_",)))
    held = unfit(widest, config())
    assert held is not None
    assert held.reason.startswith(f"it has {MOST_COLUMNS + 1} columns")
    assert unfit(widest, config(t={"target_key": ["c0"]})) is None
    assert unfit(replace(widest, columns=widest.columns[1:]), config()) is None


def test_tables_wait_whose_expressions_read_one_that_waits_also_by_way_of_another() -> None:
    waits = WaitingTable("Wide", "it has 1601 columns", "skip some")
    reads = {"a": ("b",), "b": ("wide", "c"), "c": ()}
    tables = tuple(replace(table(name, 1, 1, without_rowid=False), reads=read) for name, read in reads.items())
    found = without_readers_of_waiting(SourceSchema(tables, waiting=(waits,)))
    assert [t.name for t in found.tables] == ["c"]
    assert [(w.name, w.reason, w.remedy) for w in found.waiting] == [
        ("Wide", waits.reason, waits.remedy),
        ("a", "an expression of it reads b, which waits", waits.remedy),
        ("b", "an expression of it reads Wide, which waits", waits.remedy),
    ]


@pytest.mark.parametrize("name", ["", "a.b", "q[x]*?", 'two"\n\x7f', "\\", "é"])
def test_what_is_to_be_left_out_is_named_as_a_pattern_that_matches_it_alone(name: str) -> None:
    exclude = tomllib.loads(leave_out(name).partition("`")[2].partition("` in [replicate]")[0])["exclude"]
    replicate = msgspec.structs.replace(config().replicate, exclude=exclude)
    assert not replicate.wants(name)
    assert replicate.wants(f"{name}x")
