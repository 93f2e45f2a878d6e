"""Tables with whole numbers as keys are compared range by range: every row is in one, and one hash settles each."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from harness import application, execute, live, make_config, up

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.facts.key_range import KeyRange
from cdc.facts.progress import Silent
from cdc.facts.row_key import decode_key
from cdc.postgres.record.record import Record
from cdc.postgres.tables.hashed_rows import RangeHash, TargetRows
from cdc.verify import TableReport, VerifyReport, compare_ranges, verify

LEAST, GREATEST = -(1 << 63), (1 << 63) - 1
KEYS = (LEAST, -5, -1, 0, 1, 2, 7, 8, GREATEST)


@pytest.fixture
async def config(tmp_path: Path, database: str) -> Config:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT)")
    app.execute("CREATE TABLE loose(v TEXT)")
    rows = [(key, f"a {key}", f"b {key}", "" if key % 2 == 0 else None) for key in KEYS]
    app.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", rows)
    app.execute("INSERT INTO loose(rowid, v) SELECT id, a FROM item")
    app.execute("CREATE TABLE short(id INTEGER PRIMARY KEY); INSERT INTO short VALUES (1), (2)").fetchall()
    app.close()
    made = make_config(tmp_path, tmp_path / "app.db", database)
    await up(made)
    return made


@pytest.fixture(params=[1, 2, 9, 10])
def small_ranges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of so many rows, put together from pages of three."""
    monkeypatch.setattr(compare_ranges, "FIRST_ROWS", request.param)
    monkeypatch.setattr(compare_ranges, "RANGE_ROWS", request.param)
    monkeypatch.setattr(compare_ranges, "READ_ROWS", 3)


@pytest.fixture
def closer_looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables of which single rows were fetched from Postgres, one for each range."""
    looks: list[str] = []
    original = TargetRows.rows_within

    async def rows_within(rows: TargetRows, *arguments: Any) -> AsyncIterator[list[tuple[str, bytes]]]:
        looks.append(rows._name)
        async for batch in original(rows, *arguments):
            yield batch

    monkeypatch.setattr(TargetRows, "rows_within", rows_within)
    return looks


async def compared(config: Config) -> VerifyReport:
    return await verify(config, None, False, Silent())


async def found(config: Config) -> dict[str, dict[str, set[Any]]]:
    report = await compared(config)
    return {
        t.table: {kind: {decode_key(key)[0] for key in keys} for kind, keys in t.samples.items()}
        for t in report.tables
        if t.samples
    }


def write(config: Config, sql: str) -> None:
    app = application(config.source.path)
    app.execute(sql).fetchall()
    app.close()


def by_name(report: VerifyReport, name: str) -> TableReport:
    return next(t for t in report.tables if t.table == name)


@pytest.mark.every_postgres
@pytest.mark.usefixtures("small_ranges")
async def test_every_row_is_in_one_range_and_damage_at_its_borders_is_found(
    config: Config, closer_looks: list[str]
) -> None:
    report = await compared(config)
    assert (report.result, [t.matched for t in report.tables]) == ("equal", [len(KEYS), len(KEYS), 2])
    assert closer_looks == []
    for key in KEYS:
        tag = "''" if key % 2 == 0 else "NULL"
        await execute(config.target.dsn, f"UPDATE item SET a = a || 'x' WHERE id = {key}")
        assert await found(config) == {"item": {"different": {key}}}
        await execute(config.target.dsn, f"DELETE FROM item WHERE id = {key}")
        assert await found(config) == {"item": {"missing": {key}}}
        await execute(config.target.dsn, f"INSERT INTO item VALUES ({key}, 'a {key}', 'b {key}', {tag})")
    strange = {LEAST + 1, -6, -4, 3, 6, 9, GREATEST - 1}
    await execute(config.target.dsn, f"INSERT INTO item(id) VALUES {', '.join(f'({key})' for key in strange)}")
    await execute(config.target.dsn, "INSERT INTO short VALUES (0), (3)")
    assert await found(config) == {"item": {"extra": strange}, "short": {"extra": {0, 3}}}


async def test_many_rows_that_only_postgres_has_are_found(config: Config) -> None:
    await execute(config.target.dsn, "INSERT INTO item(id, a) SELECT n, 'x' FROM generate_series(100, 20099) AS n")
    write(config, "DELETE FROM item WHERE id = -1")
    item = by_name(await compared(config), "item")
    assert (item.extra, item.pending, item.missing, item.different) == (20_000, 1, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE item SET a = CASE id WHEN 1 THEN 'a 1a' ELSE ' 2' END WHERE id IN (1, 2)",
        "UPDATE item SET a = a || b, b = '' WHERE id IN (1, 2)",
        "UPDATE item SET a = CASE id WHEN 1 THEN 'a 2' ELSE 'a 1' END WHERE id IN (1, 2)",
        "UPDATE item SET a = b, b = a WHERE id IN (1, 2)",
        "UPDATE item SET c = CASE id WHEN 1 THEN '' END WHERE id IN (1, 2)",
    ],
)
async def test_texts_that_moved_over_a_border_are_found(config: Config, change: str) -> None:
    await execute(config.target.dsn, change)
    assert await found(config) == {"item": {"different": {1, 2}}}


async def test_keys_in_flight_make_no_range_look_different(config: Config, closer_looks: list[str]) -> None:
    write(
        config,
        "UPDATE item SET a = 'new' WHERE id IN (1, 7); DELETE FROM item WHERE id = 8; INSERT INTO item(id) VALUES (9)",
    )
    item = by_name(await compared(config), "item")
    assert (item.pending, item.differences) == (4, 0)
    assert closer_looks == []
    await execute(config.target.dsn, "UPDATE item SET a = 'bent' WHERE id IN (2, 7)")
    assert await found(config) == {"item": {"different": {2}}}


async def test_more_keys_in_flight_than_can_be_left_out_hide_nothing(
    config: Config, closer_looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_ranges, "MOST_FLYING", 2)
    write(config, "UPDATE item SET a = 'new' WHERE id IN (0, 1, 7)")
    await execute(config.target.dsn, "UPDATE item SET a = 'bent' WHERE id = 2")
    assert await found(config) == {"item": {"different": {2}}}
    assert closer_looks == ["item"]


async def test_rows_too_large_to_be_put_together_are_looked_at_one_by_one(
    config: Config, closer_looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_ranges, "MOST_BYTES", 16)  # two keys
    assert (await compared(config)).result == "equal"
    await execute(config.target.dsn, "UPDATE item SET a = 'bent' WHERE id = 2")
    assert await found(config) == {"item": {"different": {2}}}
    assert set(closer_looks) == {"item", "loose"}


async def test_a_range_holds_fewer_rows_the_larger_they_are(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_ranges, "FIRST_ROWS", 2)
    monkeypatch.setattr(compare_ranges, "RANGE_BYTES", 60)
    sizes: list[int] = []
    original = TargetRows.hash_within

    async def hash_within(rows: TargetRows, keys: KeyRange, but: Sequence[int], most: int) -> RangeHash:
        sizes.append(most)
        return await original(rows, keys, but, most)

    monkeypatch.setattr(TargetRows, "hash_within", hash_within)
    assert (await verify(config, ["item"], False, Silent())).result == "equal"
    assert sizes[:2] == [2, 1]  # the least key makes long texts
    assert (max(sizes) > 2, sum(sizes)) == (True, len(KEYS))


async def test_a_table_without_an_index_of_its_key_is_compared_all_the_same(
    config: Config, closer_looks: list[str]
) -> None:
    await execute(config.target.dsn, "ALTER TABLE item DROP CONSTRAINT item_pkey; INSERT INTO item SELECT * FROM item")
    await execute(config.target.dsn, "DELETE FROM item WHERE id = 0")
    report = by_name(await compared(config), "item")
    assert report.missing == 1
    assert closer_looks == []


async def test_keys_that_flew_are_judged_when_the_whole_table_is_compared_again(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = "INSERT INTO _cdc_changelog(tid, op, at) SELECT DISTINCT tid, '*', julianday('now') FROM _cdc_changelog"
    original = Record.daemon_runs
    async with live(config) as daemon:
        await daemon.sync()
        write(config, "UPDATE item SET a = 'new' WHERE id IN (1, 2)")
        write(config, marker)

        async def apply_first(record: Record) -> bool:
            await daemon.sync()
            await execute(config.target.dsn, "UPDATE item SET a = 'bent' WHERE id = 2")
            return await original(record)

        monkeypatch.setattr(Record, "daemon_runs", apply_first)
        assert await found(config) == {"item": {"different": {2}}}


TYPED = {
    "small": ("INTEGER", "smallint", (0, None, -32768, 32767)),
    "whole": ("INTEGER", "bigint", (LEAST, GREATEST, None, 0)),
    "real": ("REAL", "double precision", (1.5, -0.0, 1e300, None)),
    "single": ("REAL", "real", (1.5, None, 0.25, -2.0)),
    "exact": ("NUMERIC", "numeric", (1, None, 2.5, -3)),
    "flag": ("BOOLEAN", "boolean", (1, 0, None, 1)),
    "words": ("TEXT", "text", ("", None, "\u00e9\U0001f600", "b")),
    "bytes": ("BLOB", "bytea", (b"", b"\x00\xff", b"ab", None)),
    "day": ("DATE", "date", ("2024-02-29", None, "0001-01-01", "9999-12-31")),
    "local": ("DATETIME", "timestamp", ("2024-02-29 23:59:59.999999", "0001-01-01T00:00:00", None, "1999-12-31 10:00")),
    "instant": (
        "TEXT",
        "timestamptz",
        ("2024-02-29 23:59:59+02:00", None, "0001-01-02T00:00Z", "1970-01-01 00:00Z"),
    ),
    "clock": ("TIME", "time", ("23:59:59.5", None, "00:00:00", "12:00")),
    "document": ("JSON", "jsonb", ('{"a": [1, null]}', None, "1.50", '"x"')),
    "name": ("TEXT", "uuid", (None, "9f1c2f3e-0000-4000-8000-000000000001", None, None)),
}


@pytest.mark.every_postgres
@pytest.mark.parametrize("first", [1, 4])
async def test_a_hash_of_many_rows_is_made_alike_of_every_type(
    tmp_path: Path, database: str, closer_looks: list[str], monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    monkeypatch.setattr(compare_ranges, "FIRST_ROWS", first)
    app = application(tmp_path / "app.db")
    declared = ", ".join(f"{name} {type_}" for name, (type_, _, _) in TYPED.items())
    app.execute(f"CREATE TABLE typed(id INTEGER PRIMARY KEY, {declared})")
    rows = zip(*[values for _, _, values in TYPED.values()], strict=True)
    app.executemany(
        f"INSERT INTO typed VALUES (?{', ?' * len(TYPED)})", [(n, *row) for n, row in enumerate(rows, LEAST)]
    )
    app.close()
    columns = {name: ColumnOptions(type=type_) for name, (_, type_, _) in TYPED.items()}
    config = make_config(tmp_path, tmp_path / "app.db", database, tables={"typed": TableOptions(columns=columns)})
    await up(config)
    assert [(t.matched, t.quarantined) for t in (await compared(config)).tables] == [(4, 0)]
    assert closer_looks == []
    for name in TYPED:
        await execute(config.target.dsn, f"UPDATE typed SET {name} = NULL WHERE id = {LEAST}")
        others = by_name(await compared(config), "typed")
        assert others.different == (TYPED[name][2][0] is not None), name
        write(config, f"UPDATE typed SET {name} = {name} WHERE id = {LEAST}")
        await up(config)
