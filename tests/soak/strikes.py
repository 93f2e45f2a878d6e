"""What happens to a soak's sources: each strike is a moment that a machine, a Postgres or a person makes.

A strike leaves daemons as systemd would find them: those that ended are started again by whoever watches them.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
from servers import Server
from sources import Source, opened

Strike = Callable[[Source, Server, Random], Awaitable[None]]
LONGEST_FREEZE_SECONDS: Final = 3.0


async def kill(source: Source, _server: Server, _random: Random) -> None:
    """SIGKILL of the daemon, as a power cut or the kernel's OOM killer would."""
    async with source.hands:
        await asyncio.to_thread(source.stop, signal.SIGKILL)
        source.start()


async def end(source: Source, _server: Server, _random: Random) -> None:
    """SIGTERM, as systemd would, and a new one with rounds of another size."""
    async with source.hands:
        await asyncio.to_thread(source.stop)
        source.start()


async def freeze(source: Source, _server: Server, random: Random) -> None:
    """SIGSTOP for a while, as of a suspended container: whatever lock is held is held on."""
    if source.daemon is not None and source.daemon.runs:
        process = source.daemon.process
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(random.uniform(0.05, LONGEST_FREEZE_SECONDS))
        process.send_signal(signal.SIGCONT)


async def cancel(source: Source, _server: Server, random: Random) -> None:
    """What a person or a pooler does to a statement that takes long."""
    await _ask(source, "pg_cancel_backend", random.randint(1, 20))


async def terminate(source: Source, _server: Server, random: Random) -> None:
    """What a person or a restart does to a connection."""
    await _ask(source, "pg_terminate_backend", random.randint(1, 3))


async def _ask(source: Source, function: str, times: int) -> None:
    query = f"SELECT {function}(pid) FROM pg_stat_activity WHERE application_name LIKE 'cdc %'"
    with suppress(OSError, asyncpg.PostgresError):
        connection = await asyncpg.connect(source.dsn)
        for _ in range(times):
            await connection.execute(query)
            await asyncio.sleep(0.01)
        await connection.close()


async def crash(_source: Source, server: Server, random: Random) -> None:
    """An immediate shutdown of Postgres: commits that were not written out are gone."""
    await asyncio.to_thread(server.crash)
    await asyncio.sleep(random.uniform(0, 0.5))
    await asyncio.to_thread(server.start)


async def compare(source: Source, _server: Server, _random: Random) -> None:
    """Every row is compared while the application writes on."""
    async with source.hands:
        await asyncio.to_thread(source.stop)
        await asyncio.to_thread(source.resync)
        source.start()


async def mark(source: Source, _server: Server, random: Random) -> None:
    """Entries that ask for whole tables, several of one table close together."""
    tables = "SELECT tid FROM _cdc_changelog WHERE tid > 0 GROUP BY tid ORDER BY max(seq) DESC LIMIT ?"
    for _ in range(random.randint(1, 5)):
        await asyncio.to_thread(
            source.write,
            f"INSERT INTO _cdc_changelog(tid, op, at) SELECT tid, '*', julianday('now') FROM ({tables})",
            (random.randint(1, 3),),
        )
        await asyncio.sleep(random.uniform(0, 0.2))


async def vacuum(source: Source, _server: Server, _random: Random) -> None:
    """Rowids of tables without a key of their own may change."""
    await asyncio.to_thread(source.write, "VACUUM")


async def checkpoint(source: Source, _server: Server, _random: Random) -> None:
    """The -wal file begins anew."""
    await asyncio.to_thread(source.write, "PRAGMA wal_checkpoint(TRUNCATE)")


async def forget(source: Source, _server: Server, _random: Random) -> None:
    """Entries that were not applied yet are deleted by somebody: only a gap tells."""
    if source.daemon is not None and source.daemon.runs:
        source.daemon.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.3)
    connection = await asyncpg.connect(source.dsn)
    seq = await connection.fetchval("SELECT seq FROM cdc.stream WHERE source_path = $1", str(source.file))
    await connection.close()
    newest = "(SELECT max(seq) FROM _cdc_changelog)"
    await asyncio.to_thread(
        source.write, f"DELETE FROM _cdc_changelog WHERE seq > ? + 1 AND seq % 2 = 0 AND seq < {newest}", (seq,)
    )
    if source.daemon is not None and source.daemon.runs:
        source.daemon.process.send_signal(signal.SIGCONT)


async def twin(source: Source, _server: Server, _random: Random) -> None:
    """The file is overwritten in place by a copy that went its own way by as many changes."""
    if source.kind.wal:
        return
    await asyncio.to_thread(source.end_writers)
    copy = source.folder / "copy.db"
    copy.write_bytes(source.file.read_bytes())
    for path, word in ((source.file, "here"), (copy, "there")):
        await asyncio.to_thread(_write_own_way, path, source.kind.name, word)
    await source.caught_up()
    with source.file.open("r+b") as file:
        file.write(copy.read_bytes())
        file.truncate(copy.stat().st_size)
        os.fsync(file.fileno())
    copy.unlink()
    source.start_writers()


def _write_own_way(path: Path, prefix: str, word: str) -> None:
    with opened(path) as file, file:
        for number in range(3):
            file.execute(f"REPLACE INTO {prefix}_named VALUES (?, 4, ?)", (f"{word} {number}", word))
        for name in ("item", "part", "unseen", "named"):
            file.execute(
                f"UPDATE {prefix}_ledger SET n = n + 1, many = (SELECT count(*) FROM {prefix}_{name}), "
                f"size = (SELECT coalesce(sum(size), 0) FROM {prefix}_{name}) WHERE name = ?",
                (name,),
            )


STRIKES: Final[Mapping[str, Strike]] = {
    found.__name__: found
    for found in (kill, end, freeze, cancel, terminate, crash, compare, mark, vacuum, checkpoint, forget, twin)
}
# After these a person may have to accept the file: what is printed is done, and nothing else.
NEEDS_A_PERSON: Final = ("forget", "twin")
