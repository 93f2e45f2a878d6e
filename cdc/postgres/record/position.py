"""What Postgres remembers of a stream: its row in `cdc.stream`, and which position can no longer be lost."""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.audit.chain import entry
from cdc.errors import TargetStateLost
from cdc.facts.changes import Position, Traces
from cdc.facts.target_schema import TargetTable
from cdc.mapping.known import Decisions
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection, owner, require_same_session
from cdc.postgres.connection.statements import load
from cdc.postgres.record import audit, own_schema, sightings, waiting_tables
from cdc.sql_names import qualified, quote

SQL: Final = load("stream")
_CREATE: Final = load("state")["create"]


@dataclass(frozen=True, slots=True)
class StreamState:
    """The stream's row: `position` is None before the first load is finished.

    `finish_after_resync` (the column `unfinished`) says that indexes and constraints wait for the tables of `resync`,
    which are read as a whole first. `ended_at` is when replication was ended on purpose.
    """

    source_path: str
    schema: str
    phase: str
    position: Position | None
    snapshot_id: str | None
    schema_version: int | None
    resync: tuple[str, ...]
    columns: Decisions
    stopped_reason: str | None
    finish_after_resync: bool
    ended_at: datetime | None


def never_loaded() -> TargetStateLost:
    """The error of a stream that has no position."""
    return TargetStateLost(
        "this source was never loaded into Postgres", remedy="run `cdc up`, or `cdc schema` and `cdc load`"
    )


async def snapshots_in_use(connection: Connection) -> frozenset[str]:
    """The snapshots that copies in this database began with, whichever source they are of."""
    with translated("looking which snapshots are in use"):
        if await connection.fetchval("SELECT to_regclass('cdc.stream')") is None:
            return frozenset()
        rows = await connection.fetch(SQL["snapshots"])
    return frozenset(row["snapshot_id"] for row in rows)


async def create_state(connection: Connection) -> None:
    """Make the schema `cdc` where it is missing; idempotent."""
    with translated("creating the schema cdc"):
        await connection.execute(_CREATE)


async def bring_up_to_date(connection: Connection) -> None:
    """Give the schema `cdc` the form that this version knows, and make again what is gone of it."""
    await own_schema.make_whole(connection)


async def register(connection: Connection, source_id: str, path: str, schema: str) -> None:
    """Make the stream's row where it is missing, and note where the file is now."""
    with translated("registering the source"):
        await connection.execute(SQL["register"], source_id, path, schema)


async def read(connection: Connection, source_id: str) -> StreamState | None:
    """The stream's state, None when this source is not known here or nothing was ever set up."""
    with translated("reading the stream's position"):
        if await connection.fetchval("SELECT to_regclass('cdc.stream')") is None:
            return None
        row = await connection.fetchrow(SQL["read"], source_id)
    if row is None:
        return None
    position = Position(row["seq"], row["entry"]) if row["seq"] is not None else None
    return StreamState(
        source_path=row["source_path"],
        schema=row["target_schema"],
        phase=row["phase"],
        position=position,
        snapshot_id=row["snapshot_id"],
        schema_version=row["schema_version"],
        resync=tuple(row["resync"]),
        columns=json.loads(row["columns"]),
        stopped_reason=row["stopped_reason"],
        finish_after_resync=row["finish_after_resync"],
        ended_at=row["ended_at"],
    )


async def clear_resync(connection: Connection, source_id: str, tables: Sequence[str]) -> None:
    """These tables, which had to be read as a whole, were; part of the transaction that moved their rows."""
    await connection.execute(SQL["clear_resync"], source_id, list(tables))


async def begin_at(connection: Connection, source_id: str, position: Position, snapshot_id: str) -> None:
    """Note the position a first load starts from and the snapshot it loads; part of the caller's transaction."""
    await audit.append(connection, source_id, [entry("position", "done", {"before": None, "seq": position.seq})])
    await connection.execute(SQL["begin_at"], source_id, position.seq, position.entry, snapshot_id)


async def set_phase(connection: Connection, source_id: str, phase: str) -> None:
    """Note the phase: snapshot, schema, load, replicate."""
    with translated("noting the phase"):
        await connection.execute(SQL["set_phase"], source_id, phase)


async def request_resync(connection: Connection, source_id: str, tables: Sequence[str]) -> None:
    """Have these source tables read as a whole with the next batch, even if this process dies first."""
    with translated("noting which tables to compare"):
        await connection.execute(SQL["request_resync"], source_id, list(tables))


async def keep_resync(connection: Connection, source_id: str, tables: Sequence[str]) -> tuple[str, ...]:
    """Have no others than these source tables read as a whole; returns which of them are to be."""
    with translated("noting which tables to compare"):
        return tuple(await connection.fetchval(SQL["keep_resync"], source_id, list(tables)))


async def note_finish_after_resync(connection: Connection, source_id: str, wanted: bool) -> None:
    """Note whether indexes and constraints are to be looked at once no table has to be read as a whole."""
    with translated("noting what is left to do"):
        await connection.execute(SQL["note_finish_after_resync"], source_id, wanted)


async def store_schema_version(connection: Connection, source_id: str, version: int) -> None:
    """Note SQLite's schema counter at a moment when capture was known to be whole."""
    with translated("noting the schema version"):
        await connection.execute(SQL["store_schema_version"], source_id, version)


async def store_columns(connection: Connection, source_id: str, columns: Decisions) -> None:
    """Keep what was decided about columns."""
    with translated("keeping the mapping"):
        await connection.execute(SQL["store_columns"], source_id, json.dumps(columns))


async def find_by_path(connection: Connection, path: str, schema: str) -> str | None:
    """The id of the stream from this path into this schema, None when there is none."""
    with translated("looking for the stream"):
        if await connection.fetchval("SELECT to_regclass('cdc.stream')") is None:
            return None
        found: str | None = await connection.fetchval(SQL["find_by_path"], path, schema)
    return found


async def adopt(connection: Connection, old_id: str, new_id: str) -> None:
    """Let a file with a new id carry on the stream of the file that was there before."""
    with translated("carrying the stream on"):
        async with connection.transaction():
            for statement in (
                "adopt_stream",
                "adopt_mapping",
                "adopt_quarantine",
                "adopt_crosswalk",
                "adopt_loaded",
                "adopt_audit",
                "adopt_triggers",
                "adopt_owned",
                "adopt_pending",
                "adopt_waiting",
            ):
                await connection.execute(SQL[statement], old_id, new_id)


async def reposition(connection: Connection, source_id: str, position: Position, tables: Sequence[str]) -> None:
    """Go on from another position, with every named table to be compared as a whole first, and saved where it differs.

    Replication that was ended goes on.
    """
    with translated("setting the position anew"):
        async with connection.transaction():
            before = await connection.fetchval(SQL["seq"], source_id)
            told = entry("position", "done", {"before": before, "seq": position.seq})
            await audit.append(connection, source_id, [told])
            await connection.execute(SQL["reposition"], source_id, position.seq, position.entry, list(tables))
            await sightings.forget(connection, source_id)
            await connection.execute(SQL["request_resync"], source_id, list(tables))


async def saving(connection: Connection, source_id: str) -> frozenset[str]:
    """The source tables whose next comparison as a whole saves what it replaces."""
    with translated("reading which tables are saved"):
        return frozenset(await connection.fetchval(SQL["saving"], source_id))


async def moved(connection: Connection, source_id: str, path: str) -> None:
    """Note that the file has another path now."""
    with translated("noting where the file is"):
        await connection.execute(SQL["moved"], source_id, path)


async def ended(connection: Connection, source_id: str) -> None:
    """Note that replication was ended on purpose: its tables are free for another source."""
    with translated("noting that replication has ended"):
        await connection.execute(SQL["ended"], source_id)


async def disable_triggers(connection: Connection, source_id: str, table: TargetTable) -> list[str]:
    """Disable the user triggers of a target and its partitions, recorded first so that they can be restored.

    Returns their names.
    """
    with translated(f"disabling the triggers of {table.name}"):
        async with connection.transaction():
            enabled = await connection.fetch(SQL["enabled_triggers"], table.schema, table.name)
            for trigger in enabled:
                name = qualified(trigger["schema"], trigger["table_name"])
                facts = (trigger["schema"], trigger["table_name"], trigger["name"], trigger["enabled"])
                await connection.execute(SQL["record_trigger"], source_id, *facts)
                await connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER {quote(trigger['name'])}")
    return [trigger["name"] for trigger in enabled]


async def heartbeat(connection: Connection, source_id: str, traces: Traces) -> None:
    """Show that the daemon lives, who it is, and where it stands in which file.

    Raises `TargetStateLost` when what it goes by was taken from it.
    """
    with translated("writing the heartbeat"):
        row = await connection.fetchrow(SQL["heartbeat"], source_id, owner())
    if row is None or not row["holds"]:
        raise lost_row()
    require_same_session(connection, row["process"])
    if gone := await own_schema.missing(connection):
        names = ", ".join(sorted({f"{own_schema.SCHEMA}.{part.table}" for part in gone}))
        raise TargetStateLost(
            f"what this tool keeps in Postgres is not whole any more: {names}",
            remedy="it is made again by itself, or by `cdc schema`; what is not known then is compared",
        )
    await sightings.note(connection, source_id, traces)
    await waiting_tables.look_again(connection, source_id)


def lost_row() -> TargetStateLost:
    """The error of a stream whose row was deleted, or whose position is void, while it was followed."""
    return TargetStateLost(
        "the position of this source in Postgres, in cdc.stream, was deleted or is void",
        remedy="it is made again by itself, or by `cdc schema`; then every row is compared",
    )


async def commit_durably(connection: Connection) -> None:
    """From now on a batch is on the server's disk before a reader sees it, so that no crash takes it back again.

    Where the server waits for standbys, that wait is not ours: what they lack is still on its own disk.
    """
    with translated("preparing the session"):
        await connection.execute("SET synchronous_commit = local")


async def stopped(connection: Connection, source_id: str, reason: str | None, remedy: str | None) -> None:
    """Note that the daemon ended, with the reason when it was an error."""
    with translated("noting why the daemon stopped"):
        await connection.execute(SQL["stopped"], source_id, reason, remedy)


async def loaded(connection: Connection, source_id: str, snapshot_id: str) -> dict[str, int]:
    """Source tables that the load of this snapshot has finished, with their rows."""
    with translated("reading what was loaded"):
        records = await connection.fetch(SQL["loaded"], source_id, snapshot_id)
    return {record["source_table"]: record["rows"] for record in records}


async def was_loaded(connection: Connection, source_id: str, table: str) -> bool:
    """Whether an earlier load of this source filled the table."""
    return bool(await connection.fetchval(SQL["was_loaded"], source_id, table))


async def mark_loaded(connection: Connection, source_id: str, table: str, snapshot_id: str, rows: int) -> None:
    """Note that a table is loaded; part of the transaction that loaded it."""
    await connection.execute(SQL["mark_loaded"], source_id, table, snapshot_id, rows)


class Durable:
    """Which position is flushed to Postgres' disk, and so may be pruned below.

    Commits of the stream do not wait for the disk. A position is durable once the server has flushed its log beyond
    the place where the log stood after that commit.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[int, int]] = deque(maxlen=64)
        self.seq = 0

    async def mark(self, connection: Connection, seq: int) -> None:
        """Remember where the log stands now that `seq` is committed."""
        with translated("reading the log position"):
            lsn = await connection.fetchval("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        self._marks.append((seq, lsn))

    async def advance(self, connection: Connection) -> int:
        """The newest changelog number known to be durable."""
        if self._marks:
            with translated("reading the flushed log position"):
                flushed = await connection.fetchval("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint")
            while self._marks and self._marks[0][1] <= flushed:
                self.seq, _ = self._marks.popleft()
        return self.seq
