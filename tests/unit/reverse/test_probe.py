"""When a probe of the way back has proven a table, and when it has not."""

import pytest

from cdc.facts.changes import Reason, Rejection
from cdc.facts.drained import Drained, RefusedRow
from cdc.postgres.outbox.probe_rows import Sent
from cdc.reverse.probe import Came, Probed

REFUSED = (RefusedRow("t", ("1",), Rejection("a", Reason.VALUE, "why", "what helps")),)


@pytest.mark.parametrize(
    ("how", "keys", "cleared", "done", "proven"),
    [
        ("row", 1, 1, Drained({"t": 1}, {}, {}), True),
        ("row", 1, 0, Drained({}, {}, {}), True),  # only found alike, where SQLite cannot make a whole row
        ("row", 0, 0, Drained({}, {}, {}), False),  # nothing was noted
        ("row", 2, 1, Drained({"t": 1}, {}, {}), False),  # another key was noted, too
        ("row", 1, 0, Drained({"t": 1}, {}, {}), False),  # SQLite did not have it
        ("row", 1, 0, Drained({}, {"t": 1}, {}), False),  # SQLite had another one
        ("row", 1, 1, Drained({}, {}, {}, REFUSED), False),  # SQLite could not have what it had
        ("marker", 1, 0, Drained({"t": 1}, {}, {}), True),
        ("marker", 1, 0, Drained({}, {}, {}, REFUSED), True),  # it need not hold what nobody made
        ("marker", 0, 0, Drained({}, {}, {}), False),
        ("nothing", 0, 0, Drained({}, {}, {}), True),
        ("nothing", 1, 0, Drained({"t": 1}, {}, {}), False),
    ],
)
def test_a_table_is_proven_by_what_came_of_what_was_sent(
    how: Sent, keys: int, cleared: int, done: Drained, proven: bool
) -> None:
    assert Came({"t": keys}, {"t": cleared}, done).as_sent("t", how) is proven


def test_the_journal_tells_how_tables_were_probed() -> None:
    assert str(Probed(2, 0, 1)) == "tables: 2 by a row, 1 by their trigger alone"
