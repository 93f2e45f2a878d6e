"""What is ours in the application's file, on its way out: all of it, or all but a fence that stands alone."""

import apsw

from cdc.config import Config
from cdc.sql_names import quote
from cdc.sqlite.capture.schema_objects import altering_schema, objects_of_ours, triggers_by_table
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.transactions import locking, read_transaction
from cdc.sqlite.fence import fence_triggers
from cdc.sqlite.schema.read import refuse_namesakes


def objects(config: Config) -> list[str]:
    """What is there of ours, such as `table _cdc_changelog`, triggers first."""
    with source_file.opened(config) as connection, translated("looking for what is ours"), read_transaction(connection):
        return [f"{kind.lower()} {name}" for kind, name in objects_of_ours(connection)]


def stands_alone(config: Config) -> bool:
    """Whether nothing but a whole fence that stands alone is left."""
    with source_file.opened(config) as connection, translated("looking at the fence"), read_transaction(connection):
        return _stands_alone(connection, fence_triggers.standing(connection, config))


def leave_fence(config: Config) -> None:
    """Take everything of ours out, and leave a fence that refuses every write for good; one transaction.

    `source_file.remove_capture` takes that fence out, too.
    """
    what = "leaving the fence alone"
    with source_file.opened(config) as connection, translated(what), locking(connection):
        refuse_namesakes(connection)
        with altering_schema(connection):
            wanted = fence_triggers.standing(connection, config)
            if _stands_alone(connection, wanted):
                return
            for kind, name in objects_of_ours(connection):
                connection.execute(f"DROP {kind} {quote(name)}")
            for sql in wanted.values():
                connection.execute(sql)


def _stands_alone(connection: apsw.Connection, wanted: dict[str, str]) -> bool:
    ours = {name for _, name in objects_of_ours(connection)}
    stored = {t.name: t.sql for of_table in triggers_by_table(connection).values() for t in of_table if t.name in ours}
    return ours == wanted.keys() and stored == wanted
