"""Live replication: wake, read, convert, apply, prune. Each commit in Postgres is a state that SQLite really had."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Self

from loguru import logger

from cdc import audit
from cdc.config import Config
from cdc.convert import compile_converter
from cdc.decisions import Decisions, recall, remember
from cdc.drift import Findings, judge
from cdc.errors import CaptureLost, SourceChanged, TargetError
from cdc.faults import crash_point
from cdc.mapping import map_schema
from cdc.model import Position, Round, TableMap, TableRows, TargetTable
from cdc.postgres import audit as trail
from cdc.postgres import catalogue, ddl, position, schema
from cdc.postgres.apply import Applier, Batch
from cdc.postgres.connection import Connection, lock_source
from cdc.postgres.position import Durable, StreamState
from cdc.postgres.target import Target
from cdc.retry import retrying
from cdc.sqlite import source as sqlite
from cdc.sqlite.source import Look, Source
from cdc.sqlite.watch import Watch

LOOK_AGAIN_SECONDS: Final = 0.02  # in WAL a file event comes before the commit can be seen, by up to 9 ms measured
LOOK_AGAIN_EVERY_SECONDS: Final = 0.001  # uvloop takes less for nothing, and would spin
FIRST_ATTEMPTS: Final = 3  # a daemon that never got going says why and ends; one that did tries for ever
AUDIT_COPIED: Final = 1_000  # newest entries of the audit file that a starting daemon copies to Postgres
QUIET_SECONDS: Final = 0.5  # pruning waits for a pause of the application this long
BUSY_FACTOR: Final = 10  # unless so many times the usual number of entries wait to be pruned


SessionWork = Callable[["Session"], Awaitable[bool | None]]


class Stream:
    """Replicates one source for as long as it runs. Holds no state that cannot be read again from the databases."""

    def __init__(self, config: Config, target: Target) -> None:
        self._config = config
        self._target = target
        self._watch = Watch(config.source.path)
        self._session: Session | None = None
        self._stirred_at = 0.0
        self._began = False
        self._failed = False

    async def run(self, stop: asyncio.Event, *, until_idle: bool = False) -> None:
        """Follow the source until `stop` is set, or with `until_idle` until Postgres has everything."""
        self._watch.start()
        try:
            while not stop.is_set():
                attempts = None if self._began else FIRST_ATTEMPTS
                if await retrying(self._step, attempts, give_up=stop):
                    self._stirred_at = time.monotonic()
                    continue
                if until_idle:
                    return
                await retrying(self._rest, give_up=stop)
        finally:
            self._watch.close()
            await self._close()

    def wake(self) -> None:
        """Let the loop look at once whether it shall stop."""
        self._watch.wake()

    async def _step(self) -> bool:
        """Move Postgres to the newest state of SQLite; False when it is there already."""
        return bool(await self._in_session(_drain_and_tidy))

    async def _rest(self) -> None:
        """Nothing to apply: show that we live, tidy up, and wait for an event or the timer."""
        await self._in_session(lambda session: session.tidy())
        if await self._watch.wait(LOOK_AGAIN_EVERY_SECONDS if self._alert() else self._config.replicate.poll_seconds):
            self._stirred_at = time.monotonic()

    def _alert(self) -> bool:
        """Whether the application wrote, or changes were applied, so recently that more may be seen at any moment."""
        wal = self._session is not None and self._session.source.wal
        return wal and time.monotonic() - self._stirred_at < LOOK_AGAIN_SECONDS

    async def _in_session(self, work: SessionWork) -> bool | None:
        try:
            if self._session is None:
                self._session = await Session.open(self._config, self._target, self._watch)
                self._began = True
                if self._failed:
                    logger.info("replication goes on")
                    self._failed = False
            return await work(self._session)
        except CaptureLost:
            # A new session looks at the schema, mends what can be mended and refuses what cannot.
            await self._close()
            return True
        except BaseException:
            # Whatever we believed about either database is void: read it again before the next attempt.
            self._failed = True
            await self._close()
            raise

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class Session:
    """Both ends open, the lock held, capture known to be whole, and the position as Postgres has it."""

    def __init__(self, config: Config, connection: Connection, source_id: str, watch: Watch) -> None:
        self._config = config
        self._connection = connection
        self._source_id = source_id
        self._watch = watch
        self._durable = Durable()
        self._resync: tuple[str, ...] = ()
        self._oldest = 0
        self._moved_at = self._pruned_at = time.monotonic()
        self._beat_at = 0.0
        self._let_go = False
        self.source: Source
        self._applier: Applier
        self.position: Position

    @classmethod
    async def open(cls, config: Config, target: Target, watch: Watch) -> Self:
        """Open both ends and settle whatever changed since the last time; raises when that needs a person."""
        look = await asyncio.to_thread(sqlite.look, config)
        connection = await target.connect("daemon")
        try:
            source_id = await identify(connection, config, look)
            await lock_source(connection, source_id)
            session = cls(config, connection, source_id, watch)
            await session._settle(look)
        except BaseException:
            await connection.close()
            raise
        return session

    async def close(self) -> None:
        """Let go of both ends."""
        self.source.close()
        await self._connection.close()

    async def drain(self) -> bool:
        """Apply everything that is there in one transaction; False when nothing was."""
        if not self._resync and (self._asleep() or not await self.source.has_news(self.position)):
            return False
        changes = await self.source.read(self.position)
        if not self._resync and await self._applier.apply_directly(changes, _lag(changes)):
            await self._moved(changes.position)
            return True
        async with self._applier.batch() as batch:
            reached = await self._stage(batch, changes)
            await batch.merge()
            if self._resync:
                await batch.clear_resync()
            await batch.commit(reached, reached.seq - self.position.seq, _lag(changes))
        if self._resync:
            await self._audit("compare whole tables", tables=", ".join(self._resync))
        self._resync = ()
        await self._moved(reached)
        return True

    def _asleep(self) -> bool:
        """Whether the file was let go as idle and nothing has touched it since: no reason to open it.

        A new session knows nothing yet: what the one before failed to apply may still wait in an untouched file.
        """
        return self._let_go and not self.source.is_open and not self._watch.changed()

    async def tidy(self) -> None:
        """Heartbeat, pruning and leaving an idle file alone."""
        now = time.monotonic()
        if now - self._beat_at >= self._config.replicate.heartbeat_seconds:
            await position.heartbeat(self._connection, self._source_id)
            self._beat_at = now
            if self.source.is_open:
                await self.source.check()
            await self._prune_if_due(now)
        if self.source.is_open and now - self._moved_at > self._config.replicate.idle_close_seconds:
            self._watch.changed()
            if not await self.source.has_news(self.position):
                self.source.close()
                self._let_go = True

    async def _stage(self, batch: Batch, changes: Round) -> Position:
        """Stage rounds, whole tables and released rows until the stage is the state of the last snapshot."""
        waiting, done = list(self._resync), set[str]()
        tables: tuple[TableRows, ...] = changes.tables
        while True:
            waiting += [name for name in changes.rescan if name not in done and name not in waiting]
            if waiting:
                await batch.stage(tables)
                done.add(name := waiting.pop())
                await self._stage_whole(batch, name)
                changes = await self.source.read(changes.position)
            elif not changes.complete:
                changes = await _while_reading(batch.stage(tables), self.source.read(changes.position))
            else:
                await batch.stage(tables)
                keys = await batch.releasable()
                if not keys:
                    break
                tables = await self.source.read_keys(keys, changes.position)
                if tables:
                    continue
                changes = await self.source.read(changes.position)
            tables = changes.tables
        for name in done:
            await batch.end_whole(name)
        return changes.position

    async def _stage_whole(self, batch: Batch, name: str) -> None:
        await batch.begin_whole(name)
        last = None
        while True:
            rows, last = await self.source.read_page(name, last)
            await batch.stage((TableRows(name, rows),))
            if last is None:
                return

    async def _moved(self, reached: Position) -> None:
        self.position = reached
        self._moved_at = time.monotonic()

    async def _prune_if_due(self, now: float) -> None:
        durable = await self._durable.advance(self._connection)
        await self._durable.mark(self._connection, self.position.seq)
        prunable = durable - self._oldest
        options = self._config.replicate
        many = prunable >= options.prune_entries
        old = prunable > 0 and now - self._pruned_at >= options.prune_seconds
        quiet = now - self._moved_at >= QUIET_SECONDS
        if (many or old) and (quiet or prunable >= BUSY_FACTOR * options.prune_entries):
            deleted = await self.source.prune(durable, self.position)
            self._oldest, self._pruned_at = self._oldest + deleted, now
            logger.bind(entries=deleted).debug("pruned the changelog")

    async def _settle(self, look: Look) -> None:
        """Make sure of everything the loop relies on: position, capture, targets, mapping."""
        state = await self._state()
        decided = await self._still_there(state.columns)
        maps = self._maps(look, decided)
        findings = judge(look, maps, decided, state.schema_version)
        if not findings.nothing:
            look, decided = await self._mend(look, decided, findings)
            maps = self._maps(look, decided)
        targets = await self._targets(maps)
        tables = [(m, targets[m.target], compile_converter(m, targets[m.target])) for m in maps.values()]
        self._applier = Applier(self._connection, self._source_id, tables)
        await self._applier.prepare()
        for target in targets.values():
            names = await position.disable_triggers(self._connection, self._source_id, target)
            if names:
                await self._audit("disable triggers", table=target.name, triggers=", ".join(names))
        await position.store_schema_version(self._connection, self._source_id, look.signature.schema_version)
        await position.set_phase(self._connection, self._source_id, "replicate")
        self.source = Source(self._config, look, maps)
        self.position = await self._position()
        self._resync = tuple(name for name in (await self._state()).resync if name in maps)
        self._oldest = look.oldest_seq
        await trail.record_missing(self._connection, audit.read(self._config.state.dir, AUDIT_COPIED), self._source_id)

    async def _audit(self, action: str, **details: str) -> None:
        """Every step that changes something beside rows is told: in the log, in the audit file, and in Postgres."""
        logger.bind(**details).info(action)
        entry = audit.record(self._config.state.dir, action, "done", details)
        await trail.record(self._connection, entry, self._source_id)

    async def _state(self) -> StreamState:
        state = await position.read(self._connection, self._source_id)
        if state is None or state.position is None:
            raise TargetError(
                "this source was never loaded into Postgres", remedy="run `cdc up`, or `cdc schema` and `cdc load`"
            )
        return state

    async def _position(self) -> Position:
        found = (await self._state()).position
        assert found is not None
        return found

    async def _still_there(self, decided: Decisions) -> Decisions:
        """The remembered columns without tables that are excluded now and columns that were dropped in Postgres."""
        wanted = {name: columns for name, columns in decided.items() if self._config.replicate.wants(name)}
        names = {name: self._config.options(name).target or name for name in wanted}
        found = await catalogue.read_tables(self._connection, self._config.target.schema, list(names.values()))
        return {
            name: {c: d for c, d in columns.items() if _has_column(found.get(names[name]), c)}
            for name, columns in wanted.items()
        }

    def _maps(self, look: Look, decided: Decisions) -> dict[str, TableMap]:
        return {m.source.name: m for m in recall(map_schema(look.schema, self._config), decided)}

    async def _targets(self, maps: dict[str, TableMap]) -> dict[str, TargetTable]:
        targets = await catalogue.read_tables(
            self._connection, self._config.target.schema, [m.target for m in maps.values()]
        )
        missing = [m.target for m in maps.values() if m.target not in targets]
        if missing:
            raise TargetError(
                f"tables are missing in Postgres: {', '.join(missing)}",
                remedy="run `cdc schema`, then `cdc load --resync`",
            )
        return targets

    async def _mend(self, look: Look, decided: Decisions, findings: Findings) -> tuple[Look, Decisions]:
        """Follow the application: note what must be compared, extend the targets, make capture whole."""
        await self._audit("follow a change of the file", reasons="; ".join(findings.reasons))
        await position.request_resync(self._connection, self._source_id, findings.resync)
        maps = self._maps(look, decided)
        new = [maps[name] for name in findings.new_tables]
        if new:
            script = ddl.script(new, self._config.target.schema)
            await schema.preflight(self._connection, new)
            await schema.apply(self._connection, (*script.before_load, *script.after_load))
        await schema.apply(self._connection, await schema.missing_columns(self._connection, list(maps.values())))
        crash_point("follow.before_capture")
        if findings.reinstall:
            look = await asyncio.to_thread(sqlite.install, self._config)
        crash_point("follow.after_capture")
        await position.store_columns(self._connection, self._source_id, remember(maps.values()))
        return look, remember(maps.values())


async def _drain_and_tidy(session: Session) -> bool:
    moved = await session.drain()
    if moved:
        # An application that never pauses must not keep us from pruning: its changelog would grow without end.
        await session.tidy()
    return moved


async def identify(connection: Connection, config: Config, look: Look) -> str:
    """The stream's id as the file carries it; raises when the file lost it, or was never set up."""
    if look.capture is not None:
        return look.capture.source_id
    if await position.find_by_path(connection, str(config.source.path), config.target.schema):
        raise SourceChanged(
            f"{config.source.path} carries no capture any more: it was overwritten, replaced or restored",
            remedy="if this file is the right one, run `cdc load --resync`: it compares every row and goes on",
        )
    raise TargetError(f"{config.source.path} is not set up for replication", remedy="run `cdc up`")


def _has_column(table: TargetTable | None, name: str) -> bool:
    return table is None or table.column(name) is not None


def _lag(changes: Round) -> float | None:
    return None if changes.oldest_at is None else max(0.0, time.time() - changes.oldest_at)


async def _while_reading(staging: Awaitable[None], reading: Awaitable[Round]) -> Round:
    """Stage one round while the next is read; the read is waited for whatever happens, it holds the connection."""
    read = asyncio.ensure_future(reading)
    try:
        await staging
    except BaseException:
        await asyncio.wait([read])
        raise
    return await read
