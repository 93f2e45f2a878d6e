"""What Postgres cannot have of a table waits with a remedy that can be written as it stands."""

import tomllib

import msgspec
import pytest

from cdc.config import Config, SourceSection, TableOptions, TargetSection
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, Table
from cdc.mapping.target_limits import leave_out, unfit


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


@pytest.mark.parametrize("name", ["", "a.b", "q[x]*?", 'two"\n\x7f', "\\", "é"])
def test_what_is_to_be_left_out_is_named_as_a_pattern_that_matches_it_alone(name: str) -> None:
    exclude = tomllib.loads(leave_out(name).partition("`")[2].partition("` in [replicate]")[0])["exclude"]
    replicate = msgspec.structs.replace(config().replicate, exclude=exclude)
    assert not replicate.wants(name)
    assert replicate.wants(f"{name}x")
