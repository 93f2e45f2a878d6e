"""What is left of this tool at both ends once nothing flows any more: listed before anything is taken away."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cdc.config import Config
from cdc.ending.backups import require_backups
from cdc.errors import SwitchError, UsageError
from cdc.first_copy.snapshots import snapshots_folder
from cdc.notes import end_note, final_note
from cdc.notes.final_note import FinalNote
from cdc.postgres.connection.open import Connection
from cdc.postgres.ddl import helper_keys, marks
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.postgres.ddl.scratch_schema import left_behind
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.record import removal, stream_row
from cdc.postgres.record.disabled_triggers import DisabledTriggers
from cdc.postgres.record.record import Record
from cdc.postgres.record.removal import SourceRemoval
from cdc.postgres.record.status import never_started
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables import catalogue
from cdc.sqlite.fence import removal as file_removal


@dataclass(frozen=True, slots=True)
class Remains:
    """What goes out of each database, what stays, what follows from it, and the backups that were checked.

    `final` is None where replication was ended before any cutover. `source_id` is None where Postgres knows of none.
    """

    final: FinalNote | None
    source_id: str | None
    targets: tuple[str, ...]
    sqlite: tuple[str, ...]
    postgres: tuple[str, ...]
    stays: tuple[str, ...]
    afterwards: tuple[str, ...]
    backups: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether both databases are as they are to be."""
        return not self.sqlite and not self.postgres

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        return {
            "finalized_at": self.final.since if self.final else None,
            "backups": list(self.backups),
            "goes": {"sqlite": list(self.sqlite), "postgres": list(self.postgres)},
            "stays": list(self.stays),
            "afterwards": list(self.afterwards),
        }


async def look(config: Config, *, keep_fence: bool) -> Remains:
    """List what is left, with the backups checked; changes nothing.

    Raises `SwitchError` before anything has ended, `SnapshotError` for a backup that is not what was kept.
    """
    note = final_note.read(config)
    if note is not None and not note.complete:
        raise SwitchError(
            "the way back was ended, and not all that belongs to it is done, so nothing is cleaned up",
            remedy="`cdc finalize` does the rest of it; then try again",
        )
    if keep_fence and note is None:
        raise UsageError(
            "--keep-fence is for a file whose application has moved to Postgres",
            remedy="leave it out: this file is the one that the application writes to",
        )
    backups = await asyncio.to_thread(require_backups, config, note) if note else []
    sqlite = await asyncio.to_thread(_in_sqlite, config, keep_fence=keep_fence)
    source_id, targets, postgres, stays = await _in_postgres(config, note)
    return Remains(
        final=note,
        source_id=source_id,
        targets=tuple(targets),
        sqlite=tuple(sqlite),
        postgres=tuple(postgres),
        stays=(*stays, *_in_state_folder(config, note)),
        afterwards=tuple(_afterwards(config, note, keep_fence=keep_fence)),
        backups=tuple(map(str, backups)),
    )


def _in_sqlite(config: Config, *, keep_fence: bool) -> list[str]:
    """What goes out of the file; one that the operator has moved away already holds nothing for us."""
    if not config.source.path.exists():
        return []
    if keep_fence and file_removal.stands_alone(config):
        return []
    return file_removal.objects(config) or (["nothing, and a fence comes in"] if keep_fence else [])


async def _in_postgres(
    config: Config, note: FinalNote | None
) -> tuple[str | None, Sequence[str], list[str], list[str]]:
    """The source, its targets, what goes, and what stays."""
    if never_started(config):
        _require_ended(config, ended=note is not None)
        return None, (), [], []
    async with connected(config, "cleanup") as connection:
        there = await removal.is_there(connection)
        known = await stream_row.find_by_path(connection, str(config.source.path), config.target.schema)
        source_id = note.source_id if note else known
        state = await Record(connection, source_id).stream.read() if source_id else None
        _require_ended(config, ended=note is not None or bool(state and state.ended_at))
        await removal.require_alone(connection)
        targets = await _targets(connection, config, source_id, there=there)
        goes = await _goes(connection, config, source_id or "", targets, there=there)
        stays = [f"{len(targets):,} tables in schema {config.target.schema} of Postgres, with their rows"]
        if there and source_id:
            others = await SourceRemoval(connection, source_id).others()
            stays += [f"what the schema cdc holds of {path}" for path in others]
    return source_id, targets, goes, stays


def _require_ended(config: Config, *, ended: bool) -> None:
    if not ended and end_note.read(config) is None:
        raise SwitchError(
            "nothing has ended yet, so nothing is cleaned up: changes flow between both databases, or are to",
            remedy="after a cutover, `cdc finalize` ends the way back first; to stay with SQLite, `cdc cleanup "
            "--capture-only` ends replication",
        )


async def _targets(connection: Connection, config: Config, source_id: str | None, *, there: bool) -> Sequence[str]:
    """The tables that were fed; where nobody knows any more, all of the schema: comments tell which are ours."""
    if there:
        return await Record(connection, source_id).ownership.targets(config.target.schema) if source_id else []
    return list(await catalogue.read_tables(connection, config.target.schema))


async def _goes(
    connection: Connection, config: Config, source_id: str, targets: Sequence[str], *, there: bool
) -> list[str]:
    found = [f"comment of ours on {place}" for place in await marks.marked(connection, config.target.schema, targets)]
    keys = await helper_keys.added(connection, config.target.schema, targets)
    found += [f"column {column} of {table}, the helper key" for table, column in keys]
    found += await ApplicationKeys(connection, config.target.schema).traces(targets)
    if not there:
        return found
    source = SourceRemoval(connection, source_id)
    found += [f"triggers of ours on {table}" for table in await WriteGuard(connection, source_id).guarded()]
    found += [f"trigger {name} is enabled again" for name in await DisabledTriggers(connection, source_id).silent()]
    found += [
        f"the schema {scratch.name}, which a rehearsal left" for scratch in await left_behind(connection, source_id)
    ]
    if await source.others():
        known = source_id and await Record(connection, source_id).stream.read() is not None
        return [*found, "the rows of this source in the schema cdc"] if known else found
    return [*found, f"the schema cdc with {len(await removal.left(connection)):,} tables and other objects"]


def _in_state_folder(config: Config, note: FinalNote | None) -> list[str]:
    folder = config.state.dir
    kept = [f"snapshots in {snapshots_folder(config)}"]
    if note and note.dump:
        kept.append(f"the dump {folder / note.dump.file}")
    if config.target.embedded:
        kept.append(f"the embedded Postgres in {folder / 'postgres'}: it holds the application's rows")
    return [*kept, f"the audit trail in {folder}, which `cdc audit` checks as before"]


def _afterwards(config: Config, note: FinalNote | None, *, keep_fence: bool) -> list[str]:
    if note is None:
        return []
    path = config.source.path
    if keep_fence:
        return [f"{path} refuses every write for good; `cdc cleanup` without --keep-fence takes that fence out"]
    return [f"{path} accepts writes again, unnoticed: `chmod a-w {path}` or move it away, or give --keep-fence"]
