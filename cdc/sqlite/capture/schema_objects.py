"""Triggers and tables of ours as `sqlite_schema` lists them, and the transaction in which they come and go."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import apsw

from cdc.sqlite.connection.transactions import write_transaction
from cdc.sqlite.rows.exact_values import fetch_values
from cdc.sqlite.schema.read import OUR_TABLES

CAPTURE_TRIGGER: Final = re.compile(r"_cdc_\d+_(?:bi|ai|bu|bd|mi|mu|ti|td|ta|tu)")
FENCE_TRIGGER: Final = re.compile(r"_cdc_fence_(\d+)_[iud]")


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


def triggers_named(connection: apsw.Connection, form: re.Pattern[str]) -> list[StoredTrigger]:
    """The triggers whose names are of this form: `CAPTURE_TRIGGER` or `FENCE_TRIGGER`."""
    return [t for of_table in triggers_by_table(connection).values() for t in of_table if form.fullmatch(t.name)]


def objects_of_ours(connection: apsw.Connection) -> list[tuple[str, str]]:
    """Everything of ours, the fence included, as kind (`TRIGGER`, `TABLE`) and name, triggers first."""
    rows = fetch_values(
        connection, "SELECT type, name FROM sqlite_schema WHERE type IN ('trigger', 'table') ORDER BY type DESC"
    )
    objects = [(str(kind).upper(), str(name)) for kind, name in rows]
    return [(kind, name) for kind, name in objects if name in OUR_TABLES or _is_trigger_of_ours(name)]


def _is_trigger_of_ours(name: str) -> bool:
    return bool(CAPTURE_TRIGGER.fullmatch(name) or FENCE_TRIGGER.fullmatch(name))


@contextmanager
def altering_schema(connection: apsw.Connection) -> Iterator[None]:
    """A write transaction that sees the schema as the file holds it at that moment, and not as SQLite remembers it."""
    with write_transaction(connection):
        # Triggers deleted through writable_schema leave schema_version as it was, so SQLite would go on with a
        # remembered schema that the file no longer has, and crash on making the same trigger again.
        connection.execute("PRAGMA writable_schema = RESET")
        yield
