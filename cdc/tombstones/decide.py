"""Somebody decides about keys with a tombstone: accept them, or refuse the rows that came back under them.

Accepted, a key is anybody's again: its tombstone ends, and a row that waited is applied. Refused, a row that waits is
deleted in SQLite as the application would delete it, with what its foreign keys say of children; the daemon sees that
like any deletion, so that neither database keeps it. Either can be given again wherever it was cut short.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cdc.config import Config
from cdc.errors import UsageError
from cdc.facts.changes import Reason
from cdc.facts.progress import Progress
from cdc.facts.row_key import decode_key, show_key
from cdc.faults import crash_point
from cdc.first_copy import snapshots
from cdc.identity.active_side import require_sqlite_active
from cdc.postgres.connection.open import Connection
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.quarantine import QuarantinedRow
from cdc.postgres.record.record import Record
from cdc.postgres.record.tombstones import Tombstone
from cdc.postgres.server.endpoint import connected
from cdc.sqlite.changelog import refused_rows, source_file
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.connection.errors import not_set_up

Chosen = Mapping[str, Sequence[str]]  # encoded keys by source table


@dataclass(frozen=True, slots=True)
class Wish:
    """Which keys are meant: of one source table or of all, one key as it is shown or encoded, or all that wait."""

    table: str | None = None
    key: str | None = None

    def means(self, table: str, key: str) -> bool:
        """Whether it means this encoded key of a source table."""
        named = self.table is None or self.table.lower() == table.lower()
        return named and self.key in {None, key, show_key(key)}


@dataclass(frozen=True, slots=True)
class Decided:
    """What was done: tombstones that ended, rows that will be applied, rows deleted in SQLite by table, with cascades.

    `snapshot` is the copy of the file as it was before.
    """

    ended: int = 0
    applied: int = 0
    deleted: Mapping[str, int] = field(default_factory=dict)
    snapshot: str | None = None


def choose(wish: Wish, waiting: Iterable[QuarantinedRow], standing: Iterable[Tombstone] = ()) -> Chosen:
    """The keys that a wish means: rows that wait, and where it names a key, tombstones under which none does.

    Raises `UsageError` when it names what is not there.
    """
    chosen: dict[str, dict[str, None]] = {}
    for row in waiting:
        if wish.means(row.source_table, row.key):
            chosen.setdefault(row.source_table, {})[row.key] = None
    for stone in standing if wish.key is not None else ():
        if stone.returned_at is None and wish.means(stone.source_table, stone.key):
            chosen.setdefault(stone.source_table, {})[stone.key] = None
    if not chosen and wish.key is not None:
        raise UsageError(
            "no key like that has a tombstone, or waits under one", remedy="see them with `cdc tombstones`"
        )
    return {table: list(keys) for table, keys in chosen.items()}


async def accept(config: Config, wish: Wish) -> Decided:
    """End the tombstones that a wish means, and have rows that waited under them applied by the daemon.

    Raises `PostgresActive` after a cutover, `UsageError` for a key that has none.
    """
    look = await _looked(config)
    async with connected(config, "tombstones") as connection:
        record = await _record(config, look, connection)
        waiting = await _waiting(record)
        chosen = choose(wish, waiting, await record.tombstones.read(config.tombstones.kept_days))
        held = {(row.source_table, row.key) for row in waiting}
        # First here: were a row logged before, the daemon might look at it while its tombstone stands.
        ended = sum([await record.tombstones.end(table, keys) for table, keys in chosen.items()])
    crash_point("tombstones.accepted")
    again = {table: [decode_key(k) for k in keys if (table, k) in held] for table, keys in chosen.items()}
    allowed = {table: [decode_key(k) for k in keys] for table, keys in chosen.items()}
    applied = await asyncio.to_thread(source_file.log_again, config, again, allowed)
    return Decided(ended, applied)


async def refuse(config: Config, wish: Wish, progress: Progress) -> Decided:
    """Delete the rows that wait, and that a wish means, in SQLite, after a proven snapshot of the file as it is.

    All or nothing: raises `SourceError` when what the file declares does not let them go. Raises `PostgresActive` after
    a cutover, `UsageError` for a key under which no row waits.
    """
    look = await _looked(config)
    async with connected(config, "tombstones") as connection:
        record = await _record(config, look, connection)
        chosen = choose(wish, await _waiting(record))
        maps = {m.source.name: m for m in (await current_tables(record, config, look.schema)).fed}
    keys = [(maps[table], [decode_key(key) for key in keys]) for table, keys in chosen.items() if table in maps]
    if not keys:
        return Decided()
    snapshot = await snapshots.take_snapshot(config, progress)
    crash_point("tombstones.saved")
    deleted = await asyncio.to_thread(refused_rows.delete, config, keys)
    return Decided(deleted=deleted, snapshot=snapshot.manifest.id)


async def count_waiting(config: Config, wish: Wish) -> int:
    """How many rows wait that a wish means."""
    look = await _looked(config)
    async with connected(config, "tombstones") as connection:
        record = await _record(config, look, connection)
        return sum(map(len, choose(wish, await _waiting(record)).values()))


async def _looked(config: Config) -> Look:
    look = await asyncio.to_thread(source_file.look, config)
    if look.capture is None:
        raise not_set_up(config.source.path)
    return look


async def _record(config: Config, look: Look, connection: Connection) -> Record:
    assert look.capture is not None
    record = Record(connection, look.capture.source_id)
    await require_sqlite_active(config, await record.stream.read())
    return record


async def _waiting(record: Record) -> list[QuarantinedRow]:
    return [row for row in await record.quarantine.list_rows() if row.reason == Reason.RETURNED]
