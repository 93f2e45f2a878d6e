"""Triggers and tables of capture as `sqlite_schema` lists them, and the transaction in which they come and go."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import apsw

from cdc.sqlite.connection.transactions import write_transaction
from cdc.sqlite.rows.exact_values import fetch_values
from cdc.sqlite.schema.read import OUR_TABLES

CAPTURE_TRIGGER: Final = re.compile(r"_cdc_\d+_(?:bi|ai|bu|bd|mi|mu)")


@dataclass(frozen=True, slots=True)
class StoredTrigger:
    """A trigger of the file; a greater `place` means newer, and newer triggers run first."""

    name: str
    place: int
    sql: str


def triggers_by_table(connection: apsw.Connection) -> dict[str, list[StoredTrigger]]:
    """Every trigger of the file by the lower-case name of its table."""
    by_table: dict[str, list[StoredTrigger]] = {}
    rows = fetch_values(connection, "SELECT name, tbl_name, rowid, sql FROM sqlite_schema WHERE type = 'trigger'")
    for name, table, place, sql in rows:
        by_table.setdefault(str(table).lower(), []).append(StoredTrigger(str(name), int(str(place)), str(sql)))
    return by_table


def capture_trigger_texts(connection: apsw.Connection) -> list[str]:
    """The text of every trigger of capture."""
    rows = fetch_values(connection, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
    return [str(sql) for name, sql in rows if CAPTURE_TRIGGER.fullmatch(str(name))]


def capture_objects(connection: apsw.Connection) -> list[tuple[str, str]]:
    """Everything of ours as kind (`TRIGGER`, `TABLE`) and name, triggers first."""
    rows = fetch_values(
        connection, "SELECT type, name FROM sqlite_schema WHERE type IN ('trigger', 'table') ORDER BY type DESC"
    )
    objects = [(str(kind).upper(), str(name)) for kind, name in rows]
    return [(kind, name) for kind, name in objects if name in OUR_TABLES or CAPTURE_TRIGGER.fullmatch(name)]


@contextmanager
def altering_schema(connection: apsw.Connection) -> Iterator[None]:
    """A write transaction that sees the schema as the file holds it at that moment, and not as SQLite remembers it."""
    with write_transaction(connection):
        # Triggers deleted through writable_schema leave schema_version as it was, so SQLite would go on with a
        # remembered schema that the file no longer has, and crash on making the same trigger again.
        connection.execute("PRAGMA writable_schema = RESET")
        yield
