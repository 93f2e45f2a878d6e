"""The row of a source in `cdc.stream`: where its stream stands, and what has to be done before it goes on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.errors import TargetError, TargetStateLost
from cdc.facts.changes import Position
from cdc.facts.phase import Phase, may_precede
from cdc.mapping.known import Decisions
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart, knows

SQL: Final = load("stream")


@dataclass(frozen=True, slots=True)
class StreamState:
    """The stream's row: `position` is None before the first load is finished.

    `finish_after_resync` (the column `unfinished`) says that indexes and constraints wait for the tables of `resync`,
    which are read as a whole first. `ended_at` is when replication was ended on purpose.
    """

    source_path: str
    schema: str
    phase: Phase
    position: Position | None
    snapshot_id: str | None
    schema_version: int | None
    resync: tuple[str, ...]
    columns: Decisions
    stopped_reason: str | None
    finish_after_resync: bool
    ended_at: datetime | None


class StreamRow(RecordPart):
    """The row of one source in `cdc.stream`, read and written in the caller's transaction where there is one."""

    async def register(self, path: str, schema: str) -> None:
        """Make the stream's row where it is missing, and note where the file is now."""
        with translated("registering the source"):
            await self._connection.execute(SQL["register"], self._source_id, path, schema)

    async def read(self) -> StreamState | None:
        """The stream's state, None when this source is not known here or nothing was ever set up."""
        with translated("reading the stream's position"):
            if not await self._knows("stream"):
                return None
            row = await self._connection.fetchrow(SQL["read"], self._source_id)
        if row is None:
            return None
        position = Position(row["seq"], row["entry"]) if row["seq"] is not None else None
        return StreamState(
            source_path=row["source_path"],
            schema=row["target_schema"],
            phase=Phase(row["phase"]),
            position=position,
            snapshot_id=row["snapshot_id"],
            schema_version=row["schema_version"],
            resync=tuple(row["resync"]),
            columns=json.loads(row["columns"]),
            stopped_reason=row["stopped_reason"],
            finish_after_resync=row["finish_after_resync"],
            ended_at=row["ended_at"],
        )

    async def applied_seq(self) -> int:
        """Up to which entry changes are applied; -1 while Postgres shows no position."""
        with translated("reading the stream's position"):
            seq = await self._connection.fetchval(SQL["applied_seq"], self._source_id)
        return -1 if seq is None else int(seq)

    async def is_quiet(self, seconds: float) -> bool:
        """Whether no batch was applied for so long."""
        with translated("reading the stream's position"):
            return bool(await self._connection.fetchval(SQL["is_quiet"], self._source_id, seconds))

    async def clear_resync(self, tables: Sequence[str]) -> None:
        """These tables, which had to be read as a whole, were; part of the transaction that moved their rows."""
        await self._connection.execute(SQL["clear_resync"], self._source_id, list(tables))

    async def enter(self, phase: Phase) -> None:
        """Come into a phase; raises `TargetError` when it cannot follow the one that the source is in.

        Raises `TargetStateLost` where replication would begin without a row, or a position, that was there before.
        """
        with translated("noting the phase"):
            entered = await self._connection.fetchval(SQL["enter"], self._source_id, phase, may_precede(phase))
        if entered is None:
            state = await self.read()
            gone = state is None or state.position is None
            raise lost_row() if gone and phase is Phase.REPLICATE else out_of_turn(phase)

    async def request_resync(self, tables: Sequence[str]) -> None:
        """Have these source tables read as a whole with the next batch, even if this process dies first."""
        with translated("noting which tables to compare"):
            await self._connection.execute(SQL["request_resync"], self._source_id, list(tables))

    async def request_saved_resync(self, tables: Sequence[str]) -> None:
        """The same, with rows that are replaced saved to files first."""
        with translated("noting which tables to compare"):
            await self._connection.execute(SQL["request_resync"], self._source_id, list(tables))
            await self._connection.execute(SQL["save_replaced"], self._source_id, list(tables))

    async def keep_resync(self, tables: Sequence[str]) -> tuple[str, ...]:
        """Have no others than these source tables read as a whole; returns which of them are to be.

        Raises `TargetStateLost` when the row is gone.
        """
        with translated("noting which tables to compare"):
            kept = await self._connection.fetchval(SQL["keep_resync"], self._source_id, list(tables))
        if kept is None:
            raise lost_row()
        return tuple(kept)

    async def note_finish_after_resync(self, due: bool) -> None:
        """Note whether indexes and constraints are to be looked at once no table has to be read as a whole."""
        with translated("noting what is left to do"):
            await self._connection.execute(SQL["note_finish_after_resync"], self._source_id, due)

    async def store_schema_version(self, version: int) -> None:
        """Note SQLite's schema counter at a moment when capture was known to be whole."""
        with translated("noting the schema version"):
            await self._connection.execute(SQL["store_schema_version"], self._source_id, version)

    async def store_columns(self, columns: Decisions) -> None:
        """Keep what was decided about columns, by source table, in place of what was kept before."""
        with translated("keeping the mapping"):
            await self._connection.execute(SQL["store_columns"], self._source_id, json.dumps(columns))

    async def saving(self) -> frozenset[str]:
        """The source tables whose next comparison as a whole saves what it replaces."""
        with translated("reading which tables are saved"):
            return frozenset(await self._connection.fetchval(SQL["saving"], self._source_id))

    async def hold_returned(self) -> None:
        """Have rows with a tombstone wait in the comparison that was requested: it is of another file."""
        with translated("noting which rows wait"):
            await self._connection.execute(SQL["hold_returned"], self._source_id)

    async def holding(self) -> frozenset[str]:
        """The source tables in whose next comparison as a whole rows with a tombstone wait."""
        with translated("reading which rows wait"):
            return frozenset(await self._connection.fetchval(SQL["holding"], self._source_id))

    async def moved(self, path: str) -> None:
        """Note that the file has another path now."""
        with translated("noting where the file is"):
            await self._connection.execute(SQL["moved"], self._source_id, path)

    async def ended(self) -> None:
        """Note that replication was ended on purpose: its tables are free for another source."""
        with translated("noting that replication has ended"):
            await self._connection.execute(SQL["ended"], self._source_id)

    async def stopped(self, reason: str | None, remedy: str | None) -> None:
        """Note that the daemon ended, with the reason when it was an error."""
        with translated("noting why the daemon stopped"):
            await self._connection.execute(SQL["stopped"], self._source_id, reason, remedy)


async def find_by_path(connection: Connection, path: str, schema: str) -> str | None:
    """The id of the stream from this path into this schema, None when there is none."""
    with translated("looking for the stream"):
        if not await knows(connection, "stream"):
            return None
        source_id: str | None = await connection.fetchval(SQL["find_by_path"], path, schema)
    return source_id


async def snapshots_in_use(connection: Connection) -> frozenset[str]:
    """The snapshots that copies in this database began with, whichever source they are of."""
    with translated("looking which snapshots are in use"):
        if not await knows(connection, "stream"):
            return frozenset()
        rows = await connection.fetch(SQL["snapshots"])
    return frozenset(row["snapshot_id"] for row in rows)


def never_loaded() -> TargetStateLost:
    """The error of a stream that has no position."""
    return TargetStateLost(
        "this source was never loaded into Postgres", remedy="run `cdc up`, or `cdc schema` and `cdc load`"
    )


def lost_row() -> TargetStateLost:
    """The error of a stream whose row was deleted, or whose position is void, while it was followed."""
    return TargetStateLost(
        "the position of this source in Postgres, in cdc.stream, was deleted or is void",
        remedy="it is made again by itself, or by `cdc schema`; then every row is compared",
    )


def out_of_turn(phase: Phase) -> TargetError:
    """The error of a source whose row says that it is elsewhere than its position shows."""
    return TargetError(
        f"cdc.stream has this source in a phase that {phase} cannot follow: somebody, or a newer version, changed it",
        remedy="use the newest version that was used here; else `cdc load --resync` compares every row and goes on",
    )
