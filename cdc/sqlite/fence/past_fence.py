"""Writing past the fence, while it stays up for everybody else."""

from contextlib import closing

import apsw

from cdc.config import Config
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.fence.fence import make_durable


def opened_past_fence(config: Config) -> closing[apsw.Connection]:
    """A connection to the application's file on which no trigger runs, for the time of a block.

    Rows that come back from Postgres are written through it. Neither does the fence refuse them, nor does capture log
    them, which would send them to Postgres again, nor do triggers of the application repeat what they did before: their
    effects come back as rows. Foreign keys are neither checked nor followed, for the same reason. A commit that
    returned is on the disk, because Postgres then forgets what it sent. For every other connection nothing changes.
    """
    connection = open_source(config.source.path, config.source.busy_timeout_seconds)
    try:
        with translated(f"SQLite file {config.source.path}"):
            connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
            connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)
            make_durable(connection)
    except BaseException:
        connection.close()
        raise
    return closing(connection)
