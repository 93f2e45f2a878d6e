"""What the columns of a table hold, counted in one scan of a snapshot and one more for each column of dates."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final

import apsw

from cdc.mapping import ColumnProfile, TableProfile, is_temporal
from cdc.model import Column, Table
from cdc.quoting import quote
from cdc.sqlite.connection import translated
from cdc.text_forms import DATES, INSTANTS, TIMESTAMPS, all_match, days, instants, microseconds

# SQLite allows 2,000 result columns; wide tables are read in parts.
_COLUMNS_A_SCAN: Final = 150

_BEYOND_DOUBLE: Final = 2**53
_NUL: Final = 1 << 32

_FORMS: Final = (("naive", TIMESTAMPS, microseconds), ("zoned", INSTANTS, instants), ("date", DATES, days))


def profile(connection: apsw.Connection, table: Table, dates: Collection[str] = ()) -> TableProfile:
    """Counts over all rows; meant for a snapshot, because on a live file it holds one read for the whole scan.

    The texts of columns in `dates` are counted by form as if they were declared as dates.

    Raises `SourceError` when SQLite cannot read the table.
    """
    with translated(f"profiling table {table.name}"):
        functions: dict[str, Callable[..., int | str]] = {"_cdc_faults": _faults, "_cdc_form": _form}
        for name, function in functions.items():
            connection.create_scalar_function(name, function, 1, deterministic=True)
        rows, columns = 0, list[ColumnProfile]()
        for start in range(0, len(table.columns), _COLUMNS_A_SCAN):
            rows, found = _scan(connection, table, table.columns[start : start + _COLUMNS_A_SCAN])
            columns += found
        temporal = {c.name for c in table.columns if is_temporal(c.declared_type) or c.name in dates}
        columns = [_with_forms(connection, table, c) if c.name in temporal and c.text else c for c in columns]
        return TableProfile(rows, tuple(columns), _orphans(connection, table))


def _scan(connection: apsw.Connection, table: Table, part: Sequence[Column]) -> tuple[int, list[ColumnProfile]]:
    counts = ", ".join(count for column in part for count in _counts(column))
    (found,) = connection.execute(f"SELECT count(*), {counts} FROM {quote(table.name)}").fetchall()
    rows, *numbers = (int(n or 0) for n in found)
    columns = []
    for column in part:
        integer, real, text, blob, not_boolean, big, faults, json, not_json = (numbers.pop(0) for _ in range(9))
        columns.append(
            ColumnProfile(
                column.name,
                null=rows - integer - real - text - blob,
                integer=integer,
                real=real,
                text=text,
                blob=blob,
                not_boolean=not_boolean,
                big=big,
                nul=faults // _NUL,
                invalid=faults % _NUL,
                json=json,
                not_json=not_json,
            )
        )
    return rows, columns


def _counts(column: Column) -> Iterator[str]:
    name = quote(column.name)
    for storage in ("integer", "real", "text", "blob"):
        yield f"sum(typeof({name}) = '{storage}')"
    yield f"sum(typeof({name}) = 'integer' AND {name} NOT IN (0, 1))"
    yield f"sum(typeof({name}) = 'integer' AND {name} NOT BETWEEN -{_BEYOND_DOUBLE} AND {_BEYOND_DOUBLE})"
    # As a blob, because a text that is not UTF-8 cannot be handed to a function as a text.
    yield f"sum(CASE WHEN typeof({name}) = 'text' THEN _cdc_faults(CAST({name} AS BLOB)) END)"
    yield f"sum(CASE WHEN typeof({name}) = 'text' AND {name} GLOB '[[{{]*' THEN json_valid({name}) END)"
    yield f"sum(CASE WHEN typeof({name}) = 'text' THEN NOT json_valid({name}) END)"


def _faults(data: bytes) -> int:
    """1 for a text that is not UTF-8, 2**32 for one with a NUL, so that one sum counts both."""
    nul = _NUL if b"\x00" in data else 0
    try:
        data.decode()
    except UnicodeDecodeError:
        return nul + 1
    return nul


def _with_forms(connection: apsw.Connection, table: Table, found: ColumnProfile) -> ColumnProfile:
    name = quote(found.name)
    forms = connection.execute(
        f"SELECT _cdc_form(CAST({name} AS BLOB)) AS form, count(*) FROM {quote(table.name)} "
        f"WHERE typeof({name}) = 'text' GROUP BY form"
    )
    counts = {str(form): int(count) for form, count in forms}
    return replace(
        found,
        naive=counts.get("naive", 0),
        zoned=counts.get("zoned", 0),
        date=counts.get("date", 0),
        empty=counts.get("empty", 0),
        other=counts.get("other", 0),
    )


def _form(data: bytes) -> str:
    """Which of the forms of `ColumnProfile` a text has; a date that no calendar knows is `other`."""
    if not data:
        return "empty"
    try:
        text = data.decode()
        for form, pattern, read in _FORMS:
            if all_match(pattern, [text]):
                read([text])
                return form
    except ValueError:
        pass
    return "other"


def _orphans(connection: apsw.Connection, table: Table) -> int:
    """Rows whose parent is missing; a foreign key that SQLite itself cannot check counts none."""
    if not table.foreign_keys:
        return 0
    try:
        found = connection.execute(
            "SELECT count(DISTINCT rowid) FROM pragma_foreign_key_check(?)", (table.name,)
        ).fetchone()
    except apsw.SQLError:
        return 0
    return int(found[0]) if found else 0
