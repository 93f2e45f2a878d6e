"""Taking capture out of the file: all of it, its triggers alone, or those that make writes of the application fail."""

import apsw

from cdc.faults import crash_point
from cdc.sql_names import quote
from cdc.sqlite.capture import own_tables
from cdc.sqlite.capture.own_tables import MARK
from cdc.sqlite.capture.schema_objects import CAPTURE_TRIGGER, altering_schema, objects_of_ours, triggers_named
from cdc.sqlite.capture.triggers import failing_triggers
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.transactions import locking
from cdc.sqlite.schema.read import refuse_namesakes


def remove(connection: apsw.Connection) -> bool:
    """Takes everything of ours out of the file in one transaction; False when nothing was there."""
    with translated("removing change capture"), locking(connection):
        refuse_namesakes(connection)
        if not objects_of_ours(connection):
            return False
        with altering_schema(connection):
            # Asked for again, now that the file is locked: the application may have dropped some meanwhile.
            # Triggers first: without the changelog every write of the application would fail.
            for kind, name in objects_of_ours(connection):
                connection.execute(f"DROP {kind} {quote(name)}")
        return True


def release(connection: apsw.Connection) -> int:
    """Takes the triggers of capture out in one transaction and leaves the rest; returns how many there were.

    What is written from then on is not captured; whoever looks next finds that, and has every table compared. The fence
    stays: who lets go of capture for a while does not let the application write again where it may not.
    """
    with translated("taking the triggers out"), locking(connection):
        refuse_namesakes(connection)
        ours = [trigger.name for trigger in triggers_named(connection, CAPTURE_TRIGGER)]
        if ours:
            with altering_schema(connection):
                for name in ours:
                    # IF EXISTS, because the application may have dropped it since it was listed.
                    connection.execute(f"DROP TRIGGER IF EXISTS {quote(name)}")
                crash_point("release.before_commit")
            crash_point("release.after_commit")
        return len(ours)


def relieve(connection: apsw.Connection) -> int:
    """Takes those triggers out that make each write of the application fail; returns how many there were.

    Something of capture stays in the file, so that it is known again as the one that was captured.
    """
    with translated("taking triggers out that make writes fail"), altering_schema(connection):
        failing = failing_triggers(connection)
        if not failing:
            return 0
        for trigger in failing:
            connection.execute(f"DROP TRIGGER {quote(trigger.name)}")
        if not own_tables.leaves_something(connection):
            own_tables.create(connection, MARK, 1, None)
        crash_point("relieve.before_commit")
    crash_point("relieve.after_commit")
    return len(failing)
