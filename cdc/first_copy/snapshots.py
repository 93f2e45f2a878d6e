"""Phase 0: a checked copy of the file that knows its position in the changelog, and which older ones may go."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.errors import CdcError, SnapshotError, SourceError, TargetError
from cdc.facts.changes import Position
from cdc.facts.profile import TableProfile
from cdc.facts.progress import Progress
from cdc.facts.source_schema import SourceSchema
from cdc.first_copy.unmatched_names import tell_unmatched
from cdc.identity.active_side import refuse_finalized
from cdc.mapping.map_tables import map_schema
from cdc.postgres.record import stream_row
from cdc.postgres.record.status import never_started
from cdc.postgres.server.endpoint import connected
from cdc.sqlite.capture import removal, triggers
from cdc.sqlite.changelog import positions, source_file
from cdc.sqlite.connection.errors import no_tables
from cdc.sqlite.connection.open import open_copy, open_source
from cdc.sqlite.connection.transactions import read_transaction
from cdc.sqlite.schema.profile import profile
from cdc.sqlite.schema.read import read_schema
from cdc.sqlite.snapshot.restore import rehearse
from cdc.sqlite.snapshot.snapshot import Snapshot, check, discard, latest, older_than_newest, take


@dataclass(frozen=True, slots=True)
class Copy:
    """What a snapshot holds: schema and column counts; with capture, also which source it is and its position."""

    schema: SourceSchema
    profiles: Mapping[str, TableProfile]
    source_id: str | None
    position: Position | None


def snapshots_folder(config: Config) -> Path:
    """Where snapshots are kept."""
    return config.state.dir / "snapshots"


async def take_snapshot(config: Config, progress: Progress) -> Snapshot:
    """Install capture, then take a checked copy that knows its position in the changelog, and rehearse its restore.

    What cannot be mapped is refused before anything is written; capture that led to no snapshot is taken out again.
    Raises `Finalized` where capture is on its way out of the file.
    """
    refuse_finalized(config)
    had_capture = await asyncio.to_thread(_install, config)
    try:
        with absolute(progress, "snapshot (bytes)") as shown:
            return await asyncio.to_thread(_rehearsed, config, shown)
    except CdcError:
        if not had_capture:
            # Else the changelog would grow, and nobody would read it.
            with suppress(CdcError):
                await asyncio.to_thread(source_file.remove_capture, config)
        raise


def _install(config: Config) -> bool:
    """Make capture whole, for tables that can be mapped; tells whether there was one before."""
    look = source_file.look(config)
    require_tables(look.schema, config)
    map_schema(look.schema, config)
    tell_unmatched(look.schema, config)
    source_file.install(config)
    return look.capture is not None


def require_tables(schema: SourceSchema, config: Config) -> None:
    """Raises `SourceError` when there is nothing to replicate."""
    if schema.tables:
        return
    if schema.waiting:
        names = ", ".join(w.name for w in schema.waiting)
        raise SourceError(
            f"no table of {config.source.path} can be replicated as it is: {names}: {schema.waiting[0].reason}",
            remedy=f"{schema.waiting[0].remedy}; `cdc plan` tells all of them",
        )
    raise no_tables(config.source.path)


async def take_last_snapshot(config: Config, progress: Progress) -> Snapshot:
    """A checked and rehearsed copy without anything of ours in it: restored, it is the application's file as it was."""
    with absolute(progress, "snapshot (bytes)") as shown:
        return await asyncio.to_thread(_rehearsed, config, shown, _take_capture_out)


def _take_capture_out(copy: Path) -> None:
    with closing(open_source(copy)) as connection:
        removal.remove(connection)


def _rehearsed(config: Config, progress: "_Absolute", finish: Callable[[Path], None] | None = None) -> Snapshot:
    pause = config.snapshot.max_writer_pause_seconds
    taken = take(
        config.source.path,
        snapshots_folder(config),
        max_writer_pause_seconds=pause,
        progress=progress,
        finish=finish,
    )
    try:
        rehearse(taken)
    except CdcError:
        discard(taken)
        raise
    return taken


async def remove_older_snapshots(config: Config) -> list[str]:
    """Remove snapshots beyond the newest `keep`, but none that Postgres began with; returns their names.

    Only after a newer one was proven. Nothing is removed while Postgres cannot say which one it needs.
    """
    older = (
        older_than_newest(snapshots_folder(config), config.source.path, config.snapshot.keep)
        if config.snapshot.keep
        else []
    )
    if not older or (needed := await _snapshots_in_use(config)) is None:
        return []
    removed = [snapshot for snapshot in older if snapshot.manifest.id not in needed]
    for snapshot in removed:
        await asyncio.to_thread(discard, snapshot)
        trail.record(config.state.dir, "remove snapshot", "done", {"snapshot": snapshot.manifest.id})
    return [snapshot.manifest.id for snapshot in removed]


async def _snapshots_in_use(config: Config) -> frozenset[str] | None:
    if never_started(config):
        return frozenset()
    try:
        async with connected(config, "snapshot") as connection:
            return await stream_row.snapshots_in_use(connection)
    except TargetError as error:
        logger.bind(reason=error.message).warning("older snapshots are kept")
        return None


@contextmanager
def absolute(progress: Progress, what: str) -> Iterator["_Absolute"]:
    """A progress for who tells "so many of so many", for the time of a block."""
    shown = _Absolute(progress, what)
    try:
        yield shown
    finally:
        shown.finish()


class _Absolute:
    """Turns "so many of so many" into the steps that a progress display takes; called from the copying thread."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress = progress
        self._what = what
        self._done = -1

    def __call__(self, done: int, total: int) -> None:
        if self._done < 0:
            self._progress.start(self._what, total)
            self._done = 0
        self._progress.advance(done - self._done)
        self._done = done

    def finish(self) -> None:
        if self._done >= 0:
            self._progress.finish()


def verified_snapshot(config: Config) -> Snapshot:
    """The newest snapshot, checked again; raises `SnapshotError` when there is none or it is damaged."""
    snapshot = latest(snapshots_folder(config), config.source.path)
    if snapshot is None:
        raise SnapshotError("there is no snapshot yet", remedy="run `cdc snapshot` first")
    check(snapshot)
    return snapshot


def without_capture(snapshot: Snapshot) -> SnapshotError:
    """The error of a snapshot that does not tell where in the changelog it stands."""
    return SnapshotError(
        f"snapshot {snapshot.manifest.id} was taken without capture", remedy="run `cdc snapshot` again"
    )


def usable_snapshot(config: Config) -> Snapshot | None:
    """The newest snapshot when it is intact and its position stands in the file's changelog now, else None."""
    snapshot = latest(snapshots_folder(config), config.source.path)
    if snapshot is None or not _intact(snapshot):
        return None
    copy = open_copy(snapshot.database)
    try:
        tables = read_schema(copy, config).tables
        captured = triggers.read_capture(copy, tables)
        taken_at = positions.newest(copy) if captured else None
    finally:
        copy.close()
    with source_file.opened(config) as live, read_transaction(live):
        capture = triggers.read_capture(live, read_schema(live, config).tables)
        same = capture and captured and capture.source_id == captured.source_id
        return snapshot if same and taken_at and positions.position_at(live, taken_at.seq) == taken_at else None


def _intact(snapshot: Snapshot) -> bool:
    try:
        check(snapshot)
    except SnapshotError as error:
        logger.bind(snapshot=snapshot.manifest.id, reason=error.message).warning(
            "a snapshot is damaged; taking another"
        )
        return False
    return True


def read_copy(config: Config, database: Path) -> Copy:
    """What a copy of the file holds; every row is looked at once, to count what its columns hold."""
    connection = open_copy(database)
    try:
        tables = read_schema(connection, config)
        capture = triggers.read_capture(connection, tables.tables)
        return Copy(
            schema=tables,
            profiles={t.name: profile(connection, t) for t in tables.tables},
            source_id=capture.source_id if capture else None,
            position=positions.newest(connection) if capture else None,
        )
    finally:
        connection.close()
