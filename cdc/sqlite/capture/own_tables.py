"""Our own tables in the application's file: which of them are there as they were made, and making them.

A schema push drops tables that it does not know, or builds them anew with types and constraints.
"""

import re
import uuid
from dataclasses import dataclass
from typing import Final

import apsw

from cdc.sqlite.capture.trigger_sql import changelog_sql, mark_sql, state_sql, tables_sql, tombstones_sql
from cdc.sqlite.schema.read import OUR_TABLES

FORMAT: Final = 1
MARK: Final = "_cdc_mark"
TOMBSTONES: Final = "_cdc_tombstone"
MARKED_ROWID: Final = 1 << 40  # no row that is numbered anew gets it
_IS_MARKED: Final = f"SELECT EXISTS (SELECT 1 FROM {MARK} WHERE rowid = {MARKED_ROWID})"
# Whatever else it may say would bend keys, or drop entries under the application's OR IGNORE.
_CHANGELOG: Final = re.compile(r"""CREATE TABLE ["']?_cdc_changelog["']?\s*\(seq INTEGER PRIMARY KEY(?:, \w+)*\)""")
# What triggers of capture enter into tables of ours, as they are written.
_ENTERED: Final = re.compile(r"""INSERT INTO ["']?(_cdc_changelog|_cdc_tombstone)["']?\s*\(([^)]*)\)""")


@dataclass(frozen=True, slots=True)
class Continuing:
    """What capture goes on from in a file that lost its tables: whose changes, and after which entry."""

    source_id: str
    after: int


def lacking(connection: apsw.Connection) -> list[str]:
    """The names of our tables that have to be made: those that are missing, and a changelog that is misshapen."""
    present = _tables(connection)
    return [name for name in OUR_TABLES if name not in present and name != TOMBSTONES] + misshapen(connection)


def has_tombstones(connection: apsw.Connection) -> bool:
    """Whether the file has the table of keys that may not come back, which it has only where somebody wanted that."""
    return TOMBSTONES in _tables(connection)


def misshapen(connection: apsw.Connection) -> list[str]:
    """A changelog that somebody built anew with types or constraints: as good as none."""
    sql = _tables(connection).get("_cdc_changelog")
    return ["_cdc_changelog"] if sql is not None and not _CHANGELOG.fullmatch(sql) else []


def leaves_something(connection: apsw.Connection) -> bool:
    """Whether any of our tables is there."""
    return bool(_tables(connection))


def has_state(connection: apsw.Connection) -> bool:
    """Whether `_cdc_state` has its row, which says which file this is."""
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM _cdc_state WHERE id = 1)").get)


def has_entries(connection: apsw.Connection) -> bool:
    """Whether the changelog holds any entry; capture begins one with an entry, so one without was emptied."""
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM _cdc_changelog)").get)


def is_marked(connection: apsw.Connection) -> bool:
    """Whether the rows of the file have the rowids that they had when the mark was set."""
    try:
        return bool(connection.execute(_IS_MARKED).get)
    except apsw.SQLError:
        return False  # there is no such table


def takes(connection: apsw.Connection, trigger_texts: list[str]) -> bool:
    """Whether tables of ours take what these triggers enter; else each write that fires one fails."""
    entered: dict[str, set[str]] = {}
    for name, columns in _ENTERED.findall("\n".join(trigger_texts)):
        entered.setdefault(name, set()).update(column.strip() for column in columns.split(","))
    if any(TOMBSTONES in text for text in trigger_texts):
        entered.setdefault(TOMBSTONES, set())  # a guard only looks there
    sql = _tables(connection)
    if "_cdc_changelog" in entered and not _CHANGELOG.fullmatch(sql.get("_cdc_changelog", "")):
        return False
    return all(name in sql and columns <= columns_of(connection, name) for name, columns in entered.items())


def columns_of(connection: apsw.Connection, name: str) -> set[str]:
    """The columns of one of our tables."""
    return {str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info(?)", (name,))}


def create(connection: apsw.Connection, name: str, width: int, continuing: Continuing | None) -> None:
    """Make one of our tables; those that hold keys take some of `width` columns."""
    match name:
        case "_cdc_changelog":
            connection.execute(changelog_sql(width))
        case "_cdc_tombstone":
            for sql in tombstones_sql(width):
                connection.execute(sql)
        case "_cdc_table":
            connection.execute(tables_sql())
        case "_cdc_state":
            connection.execute(state_sql())
            enter_state(connection, continuing)
        case _:
            connection.execute(mark_sql())


def enter_state(connection: apsw.Connection, continuing: Continuing | None) -> None:
    """Say which file this is: the one that goes on, or a new one."""
    row = (continuing.source_id if continuing else uuid.uuid4().hex, FORMAT)
    connection.execute("INSERT INTO _cdc_state(id, source_id, format, fenced) VALUES (1, ?, ?, 0)", row)


def begin(connection: apsw.Connection, continuing: Continuing | None) -> None:
    """Enter the first entry, so that an empty changelog always means that somebody emptied it.

    Where capture goes on, it has the number that would have come next: so it is known for what it is, and numbers never
    go back.
    """
    seq = continuing.after + 1 if continuing else None
    connection.execute("INSERT INTO _cdc_changelog(seq, tid, op, at) VALUES (?, 0, 'B', julianday('now'))", (seq,))


def mark(connection: apsw.Connection) -> None:
    """Set the mark anew."""
    connection.execute(f"DELETE FROM {MARK}")
    connection.execute(f"INSERT INTO {MARK}(rowid, at) VALUES ({MARKED_ROWID}, julianday('now'))")


def _tables(connection: apsw.Connection) -> dict[str, str]:
    """The CREATE text of each of our tables that the file has, by name."""
    names = ", ".join("?" for _ in OUR_TABLES)
    query = f"SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name IN ({names})"
    return {str(name): str(sql) for name, sql in connection.execute(query, tuple(OUR_TABLES))}
