"""Defaults that ask for the clock or for random bytes give in Postgres what they give in SQLite; both are asked."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, time
from typing import Any, Final

import apsw
import pytest

from cdc.config import decode_config
from cdc.mapping.map_tables import map_schema
from cdc.postgres.connection.open import Connection, connect
from cdc.postgres.ddl.runner import apply
from cdc.postgres.ddl.schema_script import script
from cdc.sqlite.schema.profile import profile
from cdc.sqlite.schema.read import read_schema

pytestmark = pytest.mark.every_postgres

UUID: Final = (
    "lower(hex(randomblob(4))) || '-' || lower(hex(randomblob(2))) || '-4'"
    " || substr(lower(hex(randomblob(2))), 2) || '-'"
    " || substr('89ab', abs(random()) % 4 + 1, 1) || substr(lower(hex(randomblob(2))), 2) || '-'"
    " || lower(hex(randomblob(6)))"
)
# What is declared and its default, and the type that the data lead to.
DEFAULTS: Final = (
    ("DATETIME", "STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')", "timestamp"),
    ("DATETIME", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", "timestamptz"),
    ("DATETIME", "strftime('%Y-%m-%dT%H:%M:%S+00:00')", "timestamptz"),
    ("DATETIME", "strftime('%FT%R')", "timestamp"),
    ("DATETIME", "datetime('now', 'subsec')", "timestamp"),
    ("DATETIME", "datetime ( 'NOW' )", "timestamp"),
    ("DATETIME", "CURRENT_TIMESTAMP", "timestamp"),
    ("DATETIME", "unixepoch()", "bigint"),
    ("DATETIME", "julianday('now')", "double precision"),
    ("DATE", "date()", "date"),
    ("DATE", "strftime('%Y-%m-%d', 'now')", "date"),
    ("TIME", "time('now')", "time"),
    ("TIME", "strftime('%H:%M', 'now')", "time"),
    ("TIME", "CURRENT_TIME", "time"),
    ("INTEGER", "strftime('%s', 'now')", "bigint"),
    ("INTEGER", "CAST(strftime('%s', 'now') AS INT)", "bigint"),
    ("INTEGER", "strftime('%s', 'now') * 1000", "bigint"),
    ("INTEGER", "unixepoch('now')", "bigint"),
    ("INTEGER", "(unixepoch() * 1000)", "bigint"),
    ("INTEGER", "unixepoch('subsec') * 1000", "bigint"),
    ("INTEGER", "cast((julianday('now') - 2440587.5) * 86400000 as integer)", "bigint"),
    ("NUMERIC", "strftime('%s', 'now')", "numeric"),
    ("REAL", "unixepoch('now', 'subsec')", "double precision"),
    ("TEXT", "strftime('%s', 'now')", "text"),
    ("TEXT", "unixepoch()", "text"),
    ("TEXT", "strftime('%d.%m.%Y, \"at\" %H:%M:%S \\ %j', 'now')", "text"),
    ("TEXT", "strftime('%Y-%m-%dT%H:%M:%fZ')", "text"),
    ("TEXT", "datetime()", "text"),
    ("TEXT", "time('now', 'subsecond')", "text"),
    ("TEXT", "hex(randomblob(16))", "text"),
    ("TEXT", "lower(hex(randomblob(16)))", "text"),
    ("TEXT", "hex(randomblob(7))", "text"),
    ("TEXT", UUID, "text"),
    ("BLOB", "randomblob(16)", "bytea"),
)
LEFT_OUT: Final = (
    ("DATETIME", "datetime('now', 'localtime')", "the local time of whoever writes"),
    ("TEXT", "strftime('%Y', 'now', 'localtime')", "the local time of whoever writes"),
    ("TEXT", "datetime('now', '+1 day')", "no sure equal"),
    ("TEXT", "datetime('2024-01-01')", "no sure equal"),
    ("TEXT", "strftime('%W', 'now')", "no sure equal"),
    ("TEXT", "julianday('now')", "no sure equal"),
    ("TEXT", "now()", "no sure equal"),
    ("BLOB", "hex(randomblob(16))", "no sure equal"),
    ("INTEGER", "unixepoch('subsec')", "no sure equal"),
)


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    yield connection
    connection.close()


@pytest.fixture
async def conn(any_database: str) -> AsyncIterator[Connection]:
    connection = await connect(any_database, purpose="test")
    yield connection
    await connection.close()


def made(db: apsw.Connection, columns: tuple[tuple[str, str, str], ...], filled: bool) -> Any:
    listed = ", ".join(f"c{i} {declared} NOT NULL DEFAULT ({sql})" for i, (declared, sql, _) in enumerate(columns))
    db.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {listed})")
    if filled:
        db.execute("INSERT INTO t DEFAULT VALUES")
    config = decode_config({"source": {"path": "a.db"}, "target": {"dsn": "x", "schema": "app"}})
    schema = read_schema(db, config)
    maps = map_schema(schema, config, {"t": profile(db, schema.tables[0])})
    return maps[0], script(maps, "app")


def shape(value: object) -> str:
    """The form of a value: any hexadecimal digit stands for all, and whether the letters are small."""
    if isinstance(value, str):
        return re.sub("[0-9a-fA-F]", "0", value) + (" in small letters" if value == value.lower() else "")
    return f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__


def instant(value: object) -> float | None:
    """The moment that a value of either database stands for in seconds, None where it does for none."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    if isinstance(value, time):
        return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    if isinstance(value, int | float):
        return next(v for v in (value, value / 1000) if v < 1e11) if value > 1e8 else (value - 2440587.5) * 86400
    return None


async def test_the_clock_and_random_bytes_are_given_in_the_same_form(db: apsw.Connection, conn: Connection) -> None:
    mapped, ddl = made(db, DEFAULTS, filled=True)
    assert ddl.notes == ()
    assert [c.type for c in mapped.columns[1:]] == [type_ for _, _, type_ in DEFAULTS]
    await apply(conn, ddl.before_load)
    insert = "INSERT INTO app.t DEFAULT VALUES RETURNING *"
    before, after = [list(await conn.fetchrow(insert) or ()), list(await conn.fetchrow(insert) or ())]
    ours = list(db.execute("SELECT * FROM t").fetchall()[0])
    for (_, sql, type_), sqlite, postgres, again in zip(DEFAULTS, ours[1:], before[1:], after[1:], strict=True):
        if "random" in sql:
            assert postgres != again
        if type_ in ("text", "bytea"):
            assert shape(postgres) == shape(sqlite), sql
        read = parsed(type_, sqlite)
        if (then := instant(read)) is not None:
            now = instant(float(postgres) if type_ == "numeric" else postgres)
            assert now is not None
            assert abs(now - then) < 120, sql


def parsed(type_: str, value: Any) -> object:
    """What SQLite gave, as the type reads it."""
    if type_ in ("timestamp", "timestamptz"):
        return datetime.fromisoformat(value)
    readers: dict[str, Any] = {"date": date.fromisoformat, "time": time.fromisoformat}
    return readers.get(type_, lambda v: v)(value)


async def test_what_has_no_equal_is_left_out_with_its_reason(db: apsw.Connection) -> None:
    _, ddl = made(db, LEFT_OUT, filled=False)
    assert len(ddl.notes) == len(LEFT_OUT)
    for note, (_, _, reason) in zip(ddl.notes, LEFT_OUT, strict=True):
        assert reason in note.reason
        assert "rows made in Postgres must give its value" in note.reason
