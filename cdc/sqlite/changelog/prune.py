"""Deleting entries of the changelog that Postgres has for good, in steps that no writer notices."""

from collections.abc import Iterator
from typing import Final

import apsw

from cdc.facts.changes import Position
from cdc.faults import crash_point
from cdc.sqlite.changelog.errors import broken_off
from cdc.sqlite.changelog.positions import position_at
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.transactions import locking, write_transaction

PRUNE_STEP_ENTRIES: Final = 1_000  # one delete of ours stalls a writer for 3 to 5 ms on a quick disk
LEAST_REST_SECONDS: Final = 0.01  # between two of them


def rest_after(step_seconds: float) -> float:
    """Seconds to leave the file alone after a step that took so long.

    SQLite's own busy timeout asks for the lock every 100 ms. Where the disk makes a step longer than that, it finds the
    lock taken as often as we have it: for half of the time at most, it does not come to its end.
    """
    return max(LEAST_REST_SECONDS, step_seconds)


def prune_steps(connection: apsw.Connection, below: int, applied: Position) -> Iterator[int]:
    """Delete entries older than `below` in small transactions; yields how many each one deleted.

    The entry at `below` stays, so neither the newest entry nor the one at the position can go. Raises `CaptureLost`
    when the file no longer has the entry that was applied last: then it is another file, and is left as it is.
    """
    while True:
        with translated("pruning the changelog"):
            # Asked before the file is locked for writing, so that a writer waits for the delete alone. In between the
            # application adds entries behind these, and nobody else prunes.
            with locking(connection):
                oldest = connection.execute("SELECT min(seq) FROM _cdc_changelog").get
            upto = min(below, (oldest or below) + PRUNE_STEP_ENTRIES)
            if oldest is None or oldest >= below:
                return
            with write_transaction(connection):
                if position_at(connection, applied.seq) != applied:
                    raise broken_off()
                connection.execute("DELETE FROM _cdc_changelog WHERE seq < ?", (upto,))
                crash_point("prune.before_commit")
        crash_point("prune.after_commit")
        yield upto - oldest
