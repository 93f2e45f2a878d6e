"""Taking capture out of the file: all of it, its triggers alone, or those that make writes of the application fail."""

import apsw

from cdc.faults import crash_point
from cdc.sql_names import quote
from cdc.sqlite.capture import own_tables
from cdc.sqlite.capture.own_tables import MARK
from cdc.sqlite.capture.schema_objects import altering_schema, capture_objects
from cdc.sqlite.capture.triggers import makes_writes_fail
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.transactions import locking
from cdc.sqlite.schema.read import refuse_namesakes


def remove(connection: apsw.Connection) -> bool:
    """Takes everything of ours out of the file in one transaction; False when nothing was there."""
    with translated("removing change capture"), locking(connection):
        refuse_namesakes(connection)
        if not capture_objects(connection):
            return False
        with altering_schema(connection):
            # Asked for again, now that the file is locked: the application may have dropped some meanwhile.
            # Triggers first: without the changelog every write of the application would fail.
            for kind, name in capture_objects(connection):
                connection.execute(f"DROP {kind} {quote(name)}")
        return True


def release(connection: apsw.Connection) -> int:
    """Takes the triggers out of the file in one transaction and leaves the rest; returns how many there were.

    What is written from then on is not captured; whoever looks next finds that, and has every table compared.
    """
    with translated("taking the triggers out"), locking(connection):
        refuse_namesakes(connection)
        ours = [name for kind, name in capture_objects(connection) if kind == "TRIGGER"]
        if ours:
            with altering_schema(connection):
                for name in ours:
                    # IF EXISTS, because the application may have dropped it since it was listed.
                    connection.execute(f"DROP TRIGGER IF EXISTS {quote(name)}")
                crash_point("release.before_commit")
            crash_point("release.after_commit")
        return len(ours)


def relieve(connection: apsw.Connection) -> int:
    """Takes the triggers out when they make each write of the application fail; returns how many there were.

    Something of capture stays in the file, so that it is known again as the one that was captured.
    """
    with translated("taking triggers out that make writes fail"), altering_schema(connection):
        if not makes_writes_fail(connection):
            return 0
        ours = [name for kind, name in capture_objects(connection) if kind == "TRIGGER"]
        for name in ours:
            connection.execute(f"DROP TRIGGER {quote(name)}")
        if not own_tables.leaves_something(connection):
            own_tables.create(connection, MARK, 1, None)
        crash_point("relieve.before_commit")
    crash_point("relieve.after_commit")
    return len(ours)
