"""What `_cdc_state` holds for the fence: whether its triggers can ask there, and how far they moved the schema counter.

The daemon takes a schema counter that moved unseen for changes unseen, and compares every table. Steps of the fence are
known: they are counted in the file, in the transaction that makes them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import apsw

_STEPS: Final = "fence_steps"
_COLUMNS: Final = ("fenced", _STEPS)  # a file of an older version lacks the last one


def answers(connection: apsw.Connection) -> bool:
    """Whether the triggers of the fence can ask until when writes are refused; else each write that fires one fails."""
    return {"id", "fenced"} <= _columns(connection)


def asks(trigger_sql: str) -> bool:
    """Whether a trigger of the fence asks there; one that stands alone refuses without."""
    return "_cdc_state" in trigger_sql


def steps(connection: apsw.Connection) -> int:
    """How far the fence moved SQLite's schema counter in the life of the file."""
    if _STEPS not in _columns(connection):
        return 0
    return int(connection.execute(f"SELECT {_STEPS} FROM _cdc_state WHERE id = 1").get or 0)


def counter_without_steps(connection: apsw.Connection) -> int:
    """SQLite's schema counter but for the steps of the fence: it moves when anybody else alters the schema."""
    return _counter(connection) - steps(connection)


@contextmanager
def counting_steps(connection: apsw.Connection) -> Iterator[None]:
    """Count the steps of the schema counter that are made inside as the fence's, within a write transaction.

    A file without `_cdc_state` keeps no account: in it everything is compared in any case.
    """
    columns = _columns(connection)
    before = _counter(connection)
    for column in _COLUMNS:
        if columns and column not in columns:
            connection.execute(f"ALTER TABLE _cdc_state ADD COLUMN {column}")
    yield
    if columns:
        made = _counter(connection) - before
        connection.execute(f"UPDATE _cdc_state SET {_STEPS} = ifnull({_STEPS}, 0) + ? WHERE id = 1", (made,))


def _counter(connection: apsw.Connection) -> int:
    return int(connection.pragma("schema_version"))


def _columns(connection: apsw.Connection) -> set[str]:
    return {str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info('_cdc_state')")}
