"""Phases 0 and 1: snapshot, plan, schema; and the small jobs around capture. Every step can be given again."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from loguru import logger

from cdc import audit, removal, views
from cdc.adoption import Adopted, adapt, compare, require_compatible
from cdc.config import Config
from cdc.decisions import map_known, recall, remember, with_leftovers
from cdc.drift import without_rekeyed
from cdc.errors import CdcError, SnapshotError, SourceError, TargetError
from cdc.faults import crash_point
from cdc.mapping import TableProfile, map_schema
from cdc.model import Position, Progress, SourceSchema, TableMap
from cdc.plan import Plan, make_plan
from cdc.postgres import ddl, ownership, pending, position, quarantine, schema
from cdc.postgres.catalogue import read_tables
from cdc.postgres.connection import Connection, lock_source
from cdc.postgres.counts import count_rows
from cdc.postgres.position import StreamState
from cdc.postgres.script import Statement
from cdc.postgres.status import never_started
from cdc.postgres.target import connected
from cdc.postgres.views import translate_views
from cdc.rehearsal import rehearse_load
from cdc.risks import kept_out
from cdc.sqlite import changelog, triggers
from cdc.sqlite import source as sqlite
from cdc.sqlite.catalogue import read_schema
from cdc.sqlite.connection import no_tables, not_set_up, open_copy, read_transaction
from cdc.sqlite.profile import profile
from cdc.sqlite.snapshot import Snapshot, check, discard, latest, older_than_newest, rehearse, take
from cdc.whereabouts import settle_path


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


# --- phase 0 ----------------------------------------------------------------------------------------------------------


async def take_snapshot(config: Config, progress: Progress) -> Snapshot:
    """Install capture, then take a checked copy that knows its position in the changelog, and rehearse its restore.

    What cannot be mapped is refused before anything is written; capture that led to no snapshot is taken out again.
    """
    had_capture = await asyncio.to_thread(_install, config)
    try:
        with _shown(progress, "snapshot (bytes)") as shown:
            return await asyncio.to_thread(_rehearsed, config, shown)
    except CdcError:
        if not had_capture:
            # Else the changelog would grow, and nobody would read it.
            with suppress(CdcError):
                await asyncio.to_thread(remove_capture, config)
        raise


def _install(config: Config) -> bool:
    """Make capture whole, for tables that can be mapped; tells whether there was one before."""
    look = sqlite.look(config)
    require_tables(look.schema, config)
    map_schema(look.schema, config)
    sqlite.install(config)
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


def _rehearsed(config: Config, progress: "_Absolute") -> Snapshot:
    pause = config.snapshot.max_writer_pause_seconds
    taken = take(config.source.path, snapshots_folder(config), max_writer_pause_seconds=pause, progress=progress)
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
    removed = [found for found in older if found.manifest.id not in needed]
    for found in removed:
        await asyncio.to_thread(discard, found)
        audit.record(config.state.dir, "remove snapshot", "done", {"snapshot": found.manifest.id})
    return [found.manifest.id for found in removed]


async def _snapshots_in_use(config: Config) -> frozenset[str] | None:
    if never_started(config):
        return frozenset()
    try:
        async with connected(config, "snapshot") as connection:
            return await position.snapshots_in_use(connection)
    except TargetError as error:
        logger.bind(reason=error.message).warning("older snapshots are kept")
        return None


@contextmanager
def _shown(progress: Progress, what: str) -> Iterator["_Absolute"]:
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
    found = latest(snapshots_folder(config), config.source.path)
    if found is None:
        raise SnapshotError("there is no snapshot yet", remedy="run `cdc snapshot` first")
    check(found)
    return found


def without_capture(snapshot: Snapshot) -> SnapshotError:
    """The error of a snapshot that does not tell where in the changelog it stands."""
    return SnapshotError(
        f"snapshot {snapshot.manifest.id} was taken without capture", remedy="run `cdc snapshot` again"
    )


def usable_snapshot(config: Config) -> Snapshot | None:
    """The newest snapshot when it is intact and its position stands in the file's changelog now, else None."""
    found = latest(snapshots_folder(config), config.source.path)
    if found is None or not _intact(found):
        return None
    copy = open_copy(found.database)
    try:
        tables = read_schema(copy, config).tables
        captured = triggers.read_capture(copy, tables)
        then = changelog.newest(copy) if captured else None
    finally:
        copy.close()
    with sqlite.opened(config) as live, read_transaction(live):
        capture = triggers.read_capture(live, read_schema(live, config).tables)
        same = capture and captured and capture.source_id == captured.source_id
        return found if same and then and changelog.position_at(live, then.seq) == then else None


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
    """What a copy of the file holds."""
    connection = open_copy(database)
    try:
        tables = read_schema(connection, config)
        capture = triggers.read_capture(connection, tables.tables)
        return Copy(
            schema=tables,
            profiles={t.name: profile(connection, t) for t in tables.tables},
            source_id=capture.source_id if capture else None,
            position=changelog.newest(connection) if capture else None,
        )
    finally:
        connection.close()


# --- plan -------------------------------------------------------------------------------------------------------------


async def build_plan(config: Config) -> Plan:
    """The preflight report; touches neither database, and holds up a rollback-journal writer no longer than allowed.

    Postgres is asked only where tables are to be adopted.
    """
    async with _copy_for_plan(config) as database:
        copy = await asyncio.to_thread(read_copy, config, database)
        if not copy.schema.waiting:
            require_tables(copy.schema, config)
        maps = map_schema(copy.schema, config, copy.profiles)
        found = await _look_at_adopted(config, maps)
        maps = adapt(maps, found)
        rehearsal = await asyncio.to_thread(rehearse_load, database, maps, found.tables)
    script = ddl.script(maps, config.target.schema)
    found_risks = [*compare(maps, found), *kept_out(rehearsal)]
    translated = translate_views(copy.schema.views, maps, config.target.schema)
    return make_plan(copy.schema, maps, script, translated, copy.profiles, found_risks)


@asynccontextmanager
async def _copy_for_plan(config: Config) -> AsyncIterator[Path]:
    """The newest snapshot, or a copy for the time of the block."""
    found = latest(snapshots_folder(config), config.source.path)
    if found is not None:
        yield found.database
        return
    pause = config.snapshot.max_writer_pause_seconds
    with tempfile.TemporaryDirectory(prefix="cdc-plan-") as folder:
        taken = await asyncio.to_thread(take, config.source.path, Path(folder), max_writer_pause_seconds=pause)
        yield taken.database


async def _look_at_adopted(config: Config, maps: Sequence[TableMap]) -> Adopted:
    if not any(m.adopted for m in maps):
        return Adopted({}, {}, config.target.existing_rows)
    async with connected(config, "plan") as connection:
        return await read_adopted(connection, config, maps)


async def read_adopted(connection: Connection, config: Config, maps: Sequence[TableMap]) -> Adopted:
    """The adopted tables as they are now."""
    names = [m.target for m in maps if m.adopted]
    tables = await read_tables(connection, config.target.schema, names)
    rows = await count_rows(connection, config.target.schema, list(tables)) if tables else {}
    return Adopted(tables, rows, config.target.existing_rows)


# --- phase 1: schema --------------------------------------------------------------------------------------------------


async def render_schema(config: Config) -> str:
    """The DDL as text that psql runs; touches neither database."""
    async with _copy_for_plan(config) as database:
        copy = await asyncio.to_thread(read_copy, config, database)
    maps = map_schema(copy.schema, config, copy.profiles)
    translated = translate_views(copy.schema.views, maps, config.target.schema)
    return ddl.script(maps, config.target.schema).sql + "".join(view.script for view in translated.made)


async def create_schema(config: Config) -> list[str]:
    """Create what is missing of the target tables; returns what was created.

    Before the first load, that is what the newest snapshot needs, without what follows the load. Afterwards it is what
    the file needs now, and the daemon fills it; and views, while Postgres holds what the file holds.
    """
    snapshot = await asyncio.to_thread(verified_snapshot, config)
    copy = await asyncio.to_thread(read_copy, config, snapshot.database)
    if copy.source_id is None:
        raise without_capture(snapshot)
    async with connected(config, "schema") as connection:
        state = await position.read(connection, copy.source_id)
        if state is not None:
            if state.position is not None and state.ended_at is not None:
                raise removal.ended(config, state.ended_at)
            await position.bring_up_to_date(connection)
            await settle_path(connection, config, copy.source_id, state.source_path)
        if state is not None and state.position is not None:
            done = await _extend(connection, config, copy.source_id, state)
            made = await views.make_now(connection, config, copy.source_id)
        else:
            done, made = await _begin(connection, config, copy, copy.source_id), []
    return [f"{statement.kind} {statement.object}" for statement in done] + [f"view {name}" for name in made]


async def _begin(connection: Connection, config: Config, copy: Copy, source_id: str) -> list[Statement]:
    maps = await mapped_for(connection, config, copy, source_id)
    await schema.preflight(connection, maps)
    require_compatible(maps, await read_adopted(connection, config, maps))
    await position.create_state(connection)
    # Claimed before and after: what is there without an owner would be anybody's, and a claim on a table that is not
    # there does not count. Not in one transaction with the tables: Postgres has only so many locks for one.
    async with connection.transaction():
        await position.register(connection, source_id, str(config.source.path), config.target.schema)
        await ownership.claim(connection, config, source_id, maps)
    done = await schema.apply(connection, ddl.script(maps, config.target.schema).before_load)
    async with connection.transaction():
        await ownership.claim(connection, config, source_id, maps)
        await position.store_columns(connection, source_id, remember(maps))
        await position.set_phase(connection, source_id, "schema")
    return done


async def require_free(config: Config) -> None:
    """Raises `TargetTaken` when a table that would be filled is another source's, before anything is touched."""
    if never_started(config):
        return
    look = await asyncio.to_thread(sqlite.look, config)
    source_id = look.capture.source_id if look.capture else ""
    async with connected(config, "up") as connection:
        await ownership.require_free(connection, config, source_id, map_schema(look.schema, config))


async def _extend(connection: Connection, config: Config, source_id: str, state: StreamState) -> list[Statement]:
    """What was decided is left to the daemon: by that it knows which tables and columns it has yet to fill."""
    look = await asyncio.to_thread(sqlite.look, config)
    leftovers = await pending.read(connection, source_id)
    known = with_leftovers(state.columns, leftovers)
    maps = map_known(look.schema, config, known)
    maps = without_rekeyed(maps, await read_tables(connection, config.target.schema, [m.target for m in maps]), known)
    await ownership.claim(connection, config, source_id, maps)
    await schema.preflight(connection, maps)
    script = ddl.script(maps, config.target.schema)
    done = await schema.apply(connection, script.before_load)
    done += await schema.apply(connection, await schema.missing_columns(connection, maps))
    late = [replace(statement, optional=True) for statement in script.after_load]
    return done + await schema.apply(connection, late, together=False)


async def mapped_for(connection: Connection, config: Config, copy: Copy, source_id: str) -> tuple[TableMap, ...]:
    """The mapping of a copy, with decisions taken before standing."""
    state = await position.read(connection, source_id)
    maps = map_schema(copy.schema, config, copy.profiles)
    return recall(maps, state.columns) if state else maps


# --- capture and quarantine -------------------------------------------------------------------------------------------


def remove_capture(config: Config) -> bool:
    """Take capture out of the application's file without a trace; False when there was none."""
    with sqlite.opened(config) as connection:
        return triggers.remove(connection)


def release_triggers(config: Config) -> int:
    """Take the triggers out of the file, but not what was logged; returns how many there were."""
    with sqlite.opened(config) as connection:
        return triggers.release(connection)


def require_capture(config: Config) -> None:
    """Raises `SourceError` when the file was never set up."""
    if sqlite.look(config).capture is None:
        raise not_set_up(config.source.path)


async def retry_quarantined(config: Config, table: str | None) -> int:
    """Log quarantined keys again, of one source table or all, so that the daemon tries them; returns how many."""
    look = await asyncio.to_thread(sqlite.look, config)
    if look.capture is None:
        raise not_set_up(config.source.path)
    async with connected(config, "quarantine") as connection:
        keys = await quarantine.keys_of(connection, look.capture.source_id, table)
    return await asyncio.to_thread(sqlite.log_again, config, keys)


async def request_resync(config: Config) -> list[str]:
    """Accept the file as it is now: the daemon will compare every row and go on from there. Returns the tables.

    For a file that was restored, replaced or overwritten on purpose. Nothing is taken out of Postgres before the
    daemon has read every row of the new file.
    """
    look = await asyncio.to_thread(sqlite.install, config)
    assert look.capture is not None
    assert look.newest is not None
    new_id = look.capture.source_id
    async with connected(config, "resync") as connection:
        old_id, state = await followed(connection, config, new_id, look.schema)
        # A running daemon goes by what it knew when it began: it would not see what is asked for here.
        await lock_source(connection, old_id)
        crash_point("resync.before_adopt")
        if old_id != new_id:
            await position.adopt(connection, old_id, new_id)
        crash_point("resync.before_position")
        tables = [t.name for t in look.schema.tables]
        async with connection.transaction():
            await position.reposition(connection, new_id, look.newest, tables)
            maps = map_known(look.schema, config, state.columns)
            await ownership.claim(connection, config, new_id, maps)
    return tables


async def followed(
    connection: Connection, config: Config, source_id: str | None, schema: SourceSchema
) -> tuple[str, StreamState]:
    """The stream that a file may carry on, by its id, else by its path; raises `TargetError` when there is none."""
    await position.bring_up_to_date(connection)
    path = str(config.source.path)
    found = source_id if source_id and await position.read(connection, source_id) else None
    found = found or await position.find_by_path(connection, path, config.target.schema)
    state = await position.read(connection, found) if found else None
    if found is None or state is None or state.position is None:
        await ownership.require_free(connection, config, source_id or "", map_schema(schema, config))
        raise position.never_loaded()
    await settle_path(connection, config, found, state.source_path)
    await ownership.require_free(connection, config, found, map_known(schema, config, state.columns))
    return found, state
