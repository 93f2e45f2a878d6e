"""What no crash of Postgres can take back any more, such as a position: what is older may be pruned."""

from collections import deque

from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection


async def commit_durably(connection: Connection) -> None:
    """From now on a batch is on the server's disk before a reader sees it, so that no crash takes it back again.

    Where the server waits for standbys, that wait is not ours: what they lack is still on its own disk.
    """
    with translated("preparing the session"):
        await connection.execute("SET synchronous_commit = local")


async def flush(connection: Connection) -> None:
    """Return once all that this session could see is on the server's disk, whoever committed it without waiting.

    For what is to be kept elsewhere: a crash must not take back here what is there.
    """
    with translated("waiting for the server's disk"):
        async with connection.transaction():
            await connection.execute("SET LOCAL synchronous_commit = local")
            # Something must be in the log for a commit to wait for it, and with it for all that came before.
            await connection.execute("SELECT pg_logical_emit_message(true, 'cdc', '')")


class Durable:
    """Which position is flushed to Postgres' disk, and so may be pruned below.

    Commits of the stream do not wait for the disk. A position is durable once the server has flushed its log beyond
    the place where the log stood after that commit.
    """

    def __init__(self) -> None:
        # Of too many, the oldest go: a place further on in the log stands for all that came before it.
        self._marks: deque[tuple[int, int]] = deque(maxlen=64)
        self.seq = 0

    async def mark(self, connection: Connection, seq: int) -> None:
        """Remember where the server's log stands now, when everything up to `seq` is committed."""
        # After the commit, so its record lies before this place; what others write in between only moves it further.
        with translated("reading the log position"):
            lsn = await connection.fetchval("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        self._marks.append((seq, lsn))

    async def advance(self, connection: Connection) -> int:
        """The newest changelog number that the server has on its disk, by the marks set until now; 0 at first."""
        if self._marks:
            with translated("reading the flushed log position"):
                flushed = await connection.fetchval("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint")
            while self._marks and self._marks[0][1] <= flushed:
                self.seq, _ = self._marks.popleft()
        return self.seq
