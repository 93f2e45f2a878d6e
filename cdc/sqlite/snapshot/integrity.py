"""Whether a copy of the file is whole, and how many rows it holds.

Damage of the file is told from rows that break what their own table declares: those are held by the application, and
SQLite reads them like any other. Collations and functions of the application are not known here; what needs them is
looked at as far as that goes without them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from cdc.sql_names import quote
from cdc.sqlite.connection.functions import why
from cdc.sqlite.connection.open import open_copy
from cdc.sqlite.rows.exact_values import fetch_values

OK: Final = "ok"
_FAILS: Final = (apsw.SQLError, apsw.TooBigError)  # an expression of the schema, here or for a row
# Rows that break NOT NULL, a type or a CHECK (which SQLite looks at only where it may write), and virtual tables that
# are behind the table which they are made from.
_FAULT: Final = re.compile(
    r"((NULL|TEXT|NUMERIC|non-[A-Z]+) value|CHECK constraint failed) in .*"
    r"|(malformed|unable to validate the) inverted index for FTS\d table .*|In RTree .*",
    re.DOTALL,
)
_UNKNOWN: Final = re.compile(r"(?:unknown|no such) function: (?P<function>.+?)(?:\(\))?|no such collation sequence: .*")
_ALL: Final = 2**31 - 1  # messages; each stands for a row and is read as it is found
_MOST_STAND_INS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Integrity:
    """What `PRAGMA integrity_check` says: `verdict` is "ok" or the first sign of damage.

    `faults` counts rows that break what their table declares, by SQLite's words, which hold no value. `unchecked` are
    tables whose indexes and checks only the application could look at, and why: their pages were looked at.
    """

    verdict: str
    faults: Mapping[str, int] = field(default_factory=dict)
    unchecked: Mapping[str, str] = field(default_factory=dict)


def check_integrity(database: Path) -> Integrity:
    """Look at all of a copy, but for what only the application can, and for what fails for a row of its own."""
    with closing(open_copy(database)) as connection:
        try:
            return _integrity(connection, "integrity_check")
        except _FAILS:
            integrity, unchecked = _table_by_table(connection, "integrity_check", _tables(connection))
    if integrity.verdict != OK:
        return integrity
    # Table by table nobody looks at the free pages, nor at what could not be checked.
    return Integrity(_structure(database, unchecked), integrity.faults, unchecked)


def _table_by_table(
    connection: apsw.Connection, pragma: str, tables: Iterable[str]
) -> tuple[Integrity, dict[str, str]]:
    """What is said of each of some tables, and why of others nothing can be."""
    faults, unchecked = Counter[str](), dict[str, str]()
    for table in tables:
        try:
            integrity = _integrity(connection, pragma, table)
        except _FAILS as error:
            unchecked[table] = _reason(error)
            continue
        faults.update(integrity.faults)
        if integrity.verdict != OK:
            return Integrity(integrity.verdict, dict(faults)), unchecked
    return Integrity(OK, dict(faults)), unchecked


def _reason(error: Exception) -> str:
    """Why, in SQLite's words; what an expression says of a row could hold a value."""
    return str(error) if _UNKNOWN.fullmatch(str(error)) else why(error)


def row_counts(database: Path) -> dict[str, int]:
    """The rows of every ordinary table, those of capture included; SQLite's own and virtual tables are left out."""
    with closing(_standing_in(database)) as connection:
        counts = {table: f"SELECT count(*) FROM main.{quote(table)}" for table in _tables(connection)}
        return {table: int(connection.execute(count).get) for table, count in counts.items()}


def _tables(connection: apsw.Connection) -> list[str]:
    """All but those whose name is not valid UTF-8, which no SQL can name."""
    rows = fetch_values(
        connection,
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )
    return [row[0] for row in rows if isinstance(row[0], str)]


def _integrity(connection: apsw.Connection, pragma: str, table: str | None = None) -> Integrity:
    """The first sign of damage, or else all faults: pages come first, so damage of them is never behind many faults."""
    first = next(_messages(connection, pragma, table or 1), OK)
    if not _FAULT.fullmatch(first):
        return Integrity(first)
    faults = Counter[str]()
    for message in _messages(connection, pragma, table or _ALL):
        if not _FAULT.fullmatch(message):
            return Integrity(message, dict(faults))
        faults[message] += 1
    return Integrity(OK, dict(faults))


def _messages(connection: apsw.Connection, pragma: str, about: str | int) -> Iterator[str]:
    """What the pragma says, by the most messages or about one table."""
    argument = about if isinstance(about, int) else quote(about)
    try:
        for row in connection.execute(f"PRAGMA main.{pragma}({argument})"):
            yield str(row[0])
    except apsw.CorruptError as error:
        yield str(error)


def _structure(database: Path, unchecked: Iterable[str]) -> str:
    """The first sign of damage to pages and rows: for that no order and no function has to be known."""
    with closing(_standing_in(database)) as connection:
        for _ in range(_MOST_STAND_INS):
            try:
                return _integrity(connection, "quick_check").verdict
            except _FAILS as error:
                unknown = _UNKNOWN.fullmatch(str(error))
                if unknown is None or unknown["function"] is None:
                    break  # an expression fails for a row: pages are looked at before rows, so they are whole
                connection.create_scalar_function(unknown["function"], lambda *_: None, -1, deterministic=True)
        return _table_by_table(connection, "quick_check", unchecked)[0].verdict


def _standing_in(database: Path) -> apsw.Connection:
    """A connection on which any collation is there: right for counting, never for an index that has another order."""
    connection = open_copy(database)
    connection.collation_needed(lambda asking, name: asking.create_collation(name, lambda a, b: (a > b) - (a < b)))
    return connection
