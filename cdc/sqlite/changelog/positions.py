"""Positions in the changelog: an entry's number with its fingerprint, and its time."""

from typing import Final, cast

import apsw

from cdc.facts.changes import Position
from cdc.facts.row_key import encode_key
from cdc.facts.values import Row
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.rows.exact_values import exact

_JULIAN_EPOCH: Final = 2440587.5  # julianday of 1970-01-01
_SECONDS_PER_DAY: Final = 86400.0
# As cheap as max(seq), and its fingerprint tells the entry from another of that number.
_NEWEST: Final = "SELECT * FROM _cdc_changelog ORDER BY seq DESC LIMIT 1"


def newest(connection: apsw.Connection) -> Position | None:
    """The newest changelog entry, None when there is none."""
    with translated("reading the newest changelog entry"):
        entry = newest_entry(connection)
    return as_position(entry) if entry else None


def newest_entry(connection: apsw.Connection) -> Row | None:
    """The newest changelog entry with all its columns; lets the driver's errors through."""
    return _entry(connection, _NEWEST)


def oldest_seq(connection: apsw.Connection) -> int:
    """The number of the oldest changelog entry, 0 when there is none."""
    with translated("reading the oldest changelog entry"):
        return int(connection.execute("SELECT min(seq) FROM _cdc_changelog").get or 0)


def position_at(connection: apsw.Connection, seq: int) -> Position:
    """The position at an entry; its fingerprint is empty when no such entry exists."""
    with translated("reading a changelog entry"):
        entry = _entry(connection, "SELECT * FROM _cdc_changelog WHERE seq = ?", (seq,))
    return as_position(entry) if entry else Position(seq, "")


def _entry(connection: apsw.Connection, sql: str, bindings: tuple[int, ...] = ()) -> Row | None:
    try:
        return cast("Row | None", connection.execute(sql, bindings).fetchone())
    except UnicodeDecodeError:
        # SQLite stores as TEXT whatever bytes an application calls so, and such a value can be a key. Where no snapshot
        # is held, the newest entry may be another one when it is read again, which is as good.
        return next(exact(connection, sql, bindings), None)


def as_position(entry: Row) -> Position:
    """The position of a changelog row that was read with all its columns."""
    # Trailing NULLs are left out, so that a changelog that grew a key column still shows the same fingerprint.
    values = list(entry[1:])
    while values and values[-1] is None:
        values.pop()
    seq = entry[0]
    assert isinstance(seq, int)
    return Position(seq, encode_key(values))


def seconds_since_epoch(julian: object) -> float | None:
    """A changelog time as seconds since 1970, None when it is no number (an application may redefine julianday)."""
    if not isinstance(julian, float):
        return None
    return (julian - _JULIAN_EPOCH) * _SECONDS_PER_DAY
