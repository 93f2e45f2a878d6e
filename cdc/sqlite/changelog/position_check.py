"""How the changelog in the file stands to positions that Postgres remembers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import apsw

from cdc.config import Config
from cdc.facts.changes import Position
from cdc.sqlite.changelog.positions import position_at
from cdc.sqlite.changelog.source_file import opened
from cdc.sqlite.connection.transactions import read_transaction

COUNTED_ENTRIES: Final = 50_000  # in one snapshot: some milliseconds for which a writer may wait


@dataclass(frozen=True, slots=True)
class Standing:
    """What was found: the numbers of the oldest and the newest entry, None when there is none.

    `begun` says that the oldest entry is one that capture began with, `there` which of the positions are exactly there,
    `taken` that another entry has the number of the last position, `unbroken` that no entry after it is missing.
    """

    oldest: int | None
    newest: int | None
    begun: bool
    there: frozenset[Position]
    taken: bool
    unbroken: bool


NOTHING: Final = Standing(None, None, begun=False, there=frozenset(), taken=False, unbroken=True)


def read(config: Config, last: Position, earlier: Sequence[Position]) -> Standing:
    """How the file stands to the last position and to earlier ones; a file without a changelog has nothing of them."""
    with opened(config) as connection:
        try:
            found = _read(connection, last, earlier)
        except apsw.SQLError:
            return NOTHING  # dropped at this moment
        if last not in found.there or found.newest is None:
            return found
        return found if _is_unbroken(connection, last.seq, found.newest) else replace(found, unbroken=False)


def _read(connection: apsw.Connection, last: Position, earlier: Sequence[Position]) -> Standing:
    with read_transaction(connection):
        newest = connection.execute("SELECT max(seq) FROM _cdc_changelog").get
        first = connection.execute("SELECT seq, op FROM _cdc_changelog ORDER BY seq LIMIT 1").fetchone()
        if first is None or newest is None:
            return NOTHING
        there = frozenset(p for p in (last, *earlier) if position_at(connection, p.seq) == p)
        taken = last not in there and bool(position_at(connection, last.seq).entry)
    return Standing(int(str(first[0])), newest, first[1] == "B", there, taken, unbroken=True)


def _is_unbroken(connection: apsw.Connection, after: int, newest: int) -> bool:
    """Whether every number from one entry to another is there: capture gives them without gaps."""
    for lower in range(after, newest, COUNTED_ENTRIES):
        upper = min(newest, lower + COUNTED_ENTRIES)
        counted = "SELECT count(*) FROM _cdc_changelog WHERE seq > ? AND seq <= ?"
        with read_transaction(connection):
            if connection.execute(counted, (lower, upper)).get != upper - lower:
                return False
    return True
