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
    """How a changelog stands to positions: the numbers of its oldest and newest entry, None when there is none.

    `begun` says that the oldest entry is one that capture began with, `held` which of the positions it holds exactly,
    `taken` that another entry has the number of the last position, `unbroken` that no entry after it is missing.
    """

    oldest: int | None
    newest: int | None
    begun: bool
    held: frozenset[Position]
    taken: bool
    unbroken: bool


NOTHING: Final = Standing(None, None, begun=False, held=frozenset(), taken=False, unbroken=True)


def read(config: Config, last: Position, earlier: Sequence[Position]) -> Standing:
    """How the file stands to the last position and to earlier ones; a file without a changelog has nothing of them."""
    with opened(config) as connection:
        try:
            standing = _read(connection, last, earlier)
        except apsw.SQLError:
            return NOTHING  # dropped at this moment
        if last not in standing.held or standing.newest is None:
            return standing
        unbroken = _is_unbroken(connection, last.seq, standing.newest)
        return standing if unbroken else replace(standing, unbroken=False)


def _read(connection: apsw.Connection, last: Position, earlier: Sequence[Position]) -> Standing:
    with read_transaction(connection):
        newest = connection.execute("SELECT max(seq) FROM _cdc_changelog").get
        first = connection.execute("SELECT seq, op FROM _cdc_changelog ORDER BY seq LIMIT 1").fetchone()
        if first is None or newest is None:
            return NOTHING
        held = frozenset(p for p in (last, *earlier) if position_at(connection, p.seq) == p)
        taken = last not in held and bool(position_at(connection, last.seq).entry)
    return Standing(int(str(first[0])), newest, first[1] == "B", held, taken, unbroken=True)


def _is_unbroken(connection: apsw.Connection, after: int, newest: int) -> bool:
    """Whether every number from one entry to another is there: capture gives them without gaps."""
    # Several short snapshots are as good as one: the application adds entries behind `newest` alone.
    for lower in range(after, newest, COUNTED_ENTRIES):
        upper = min(newest, lower + COUNTED_ENTRIES)
        count = "SELECT count(*) FROM _cdc_changelog WHERE seq > ? AND seq <= ?"
        with read_transaction(connection):
            if connection.execute(count, (lower, upper)).get != upper - lower:
                return False
    return True
