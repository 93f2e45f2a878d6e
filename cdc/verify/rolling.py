"""The comparison that never ends: the daemon compares a slice now and then, for a share of its time, table by table.

Each slice is a comparison as `cdc verify` makes it, of at most so many rows, so that no snapshot lasts long and no page
of the application's file is read twice for nothing. How far it is stands in `cdc.verified_table`: a new daemon goes on
there. What differs is told at once.
"""

import asyncio
import math
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.errors import CdcError, Policy
from cdc.facts.changes import AppliedBatch
from cdc.facts.progress import Silent
from cdc.facts.row_key import shown_key
from cdc.facts.table_map import TableMap
from cdc.observe.daemon_state import Activity, Alarm, DaemonState, Listener, difference_in
from cdc.postgres.connection.open import Connection, hang_up
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.record.verification import Verification
from cdc.postgres.record.verified_tables import VerifiedTable
from cdc.postgres.server.endpoint import Endpoint
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.connection.verify_scratch import Scratch
from cdc.threads import to_its_end
from cdc.verify.compare_tables import JointComparison, Slice
from cdc.verify.recurrence import Recurrence
from cdc.verify.report import TableReport, VerifyReport
from cdc.verify.rolling_choice import PUT_OFF_SECONDS, SHORTEST_SECONDS, SLICE_ROWS, Part, advanced, choose, nothing_due
from cdc.verify.rolling_schema import RollingSchema

SHOWN_KEYS: Final = 5
FIRST_SECONDS: Final = 10.0  # a daemon that has just begun has something better to do
LOOK_SECONDS: Final = 1.0  # how often it is looked whether something is due
# Rows that the stream has yet to reach cannot be judged, and to learn which they are takes time from it.
BEHIND_SECONDS: Final = 2.0


class RollingVerifier(Listener):
    """Compares for as long as it runs, while the stream follows; `config` is asked anew for each slice."""

    def __init__(self, config: Callable[[], Config], endpoint: Endpoint, daemon_state: DaemonState) -> None:
        self._config = config
        self._endpoint = endpoint
        self._daemon_state = daemon_state
        self._connection: Connection | None = None
        self._put_off: dict[str, float] = {}  # tables, until a moment of the monotonic clock
        self._told: dict[str, int] = {}  # how many rows were said to differ, by table, while they do
        self._written: set[str] = set()  # tables that batches wrote to since their last pass began
        self._schema = RollingSchema(daemon_state)
        self._took_over = False
        self._stood_by_at = -LOOK_SECONDS
        self._working: asyncio.Task[float | None] | None = None
        self._stirred = asyncio.Event()
        self._fell_behind_at = -math.inf  # when a batch ended last that was too late
        self._gives_way_since: float | None = None
        daemon_state.listeners = (*daemon_state.listeners, self)

    async def run(self) -> None:
        """Go on until cancelled."""
        await asyncio.sleep(min(FIRST_SECONDS, 0.1 * 3600 * self._config().verify.rolling_hours))
        try:
            while True:
                await self._turn()
        finally:
            await self._let_go()

    async def _rest_undue(self, seconds: float) -> None:
        """While nothing is due, rest so long, or until an alarm or a write changes that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stirred.wait()

    def alarmed(self, alarm: Alarm) -> None:
        """Its table is due sooner."""
        self._stirred.set()

    calmed = alarmed

    def applied(self, batch: AppliedBatch) -> None:
        """What was written to is compared soon: a batch that left something undone shows there."""
        if (batch.lag_seconds or 0.0) > BEHIND_SECONDS:
            self._fell_behind_at = time.monotonic()
        if new := batch.tables.keys() - self._written:
            self._written |= new
            self._stirred.set()

    async def _turn(self) -> None:
        """Compare a slice if one is due, then rest: the work stays within its share, whatever happens meanwhile."""
        config = self._config()
        share = config.verify.rolling_share
        if not share or self._stands_by or self._daemon_state.doing is not Activity.STREAMING:
            await self._let_go()  # a daemon that is paused has no connection to either database
            await asyncio.sleep(LOOK_SECONDS)
            return
        if self._gives_way():
            await asyncio.sleep(LOOK_SECONDS)
            return
        self._stirred.clear()  # before it is asked what is due: what stirs after that counts
        began = time.monotonic()
        self._working = asyncio.create_task(self._slice(config))
        try:
            undue = await self._working
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            await asyncio.sleep(LOOK_SECONDS)  # by `stand_by`
            return
        except CdcError as error:
            await self._let_go()
            passing = error.policy is not Policy.NEEDS_A_PERSON
            logger.bind(error=error.message).log("DEBUG" if passing else "WARNING", "a comparison was given up")
            await asyncio.sleep(LOOK_SECONDS if passing else PUT_OFF_SECONDS)
            return
        except Exception as error:  # noqa: BLE001 (a fault nobody foresaw must not end all comparisons to come)
            await self._let_go()
            logger.bind(kind=type(error).__name__).error("a comparison ended that should not")
            await asyncio.sleep(PUT_OFF_SECONDS)
            return
        if undue is None:
            await asyncio.sleep((time.monotonic() - began) * (1 / min(share, 1.0) - 1))
            return
        await self._let_go()
        await self._rest_undue(undue)

    def _gives_way(self) -> bool:
        """Whether the stream is behind and has the machine for itself: for a minute at a time, for it may never end."""
        now = time.monotonic()
        since = self._daemon_state.behind_since
        is_late = since is not None and time.time() - since > BEHIND_SECONDS
        if not is_late and now > self._fell_behind_at + LOOK_SECONDS:
            self._gives_way_since = None
            return False
        if self._gives_way_since is None:
            self._gives_way_since = now
        if now < self._gives_way_since + PUT_OFF_SECONDS:
            return True
        self._gives_way_since = None
        return False

    async def stand_by(self) -> None:
        """Give up what is under way and let go of both databases, because the daemon is held.

        Nothing begins in the moment until the daemon says that it is paused.
        """
        self._stood_by_at = time.monotonic()
        if self._working is not None and not self._working.done():
            self._working.cancel()
            await asyncio.wait({self._working})
        await self._let_go()

    @property
    def _stands_by(self) -> bool:
        return time.monotonic() < self._stood_by_at + LOOK_SECONDS

    async def _slice(self, config: Config) -> float | None:
        """Compare what is due; when nothing is, how many seconds nobody needs to look."""
        look = await to_its_end(source_file.look, config)
        if look.capture is None:
            return LOOK_SECONDS  # the stream finds that out, and says what to do
        connection = self._connection = self._connection or await self._endpoint.connect("verify in the background")
        record = Record(connection, look.capture.source_id)
        state = await record.stream.read()
        if state is None or state.position is None or state.resync:
            return LOOK_SECONDS
        now = await current_tables(record, config, look.schema)
        within = timedelta(hours=config.verify.rolling_hours)
        began = datetime.now(UTC)
        await self._take_over(record)
        await self._schema.look_if_due(record, config)
        waiting = {name for name, until in self._put_off.items() if until > time.monotonic()}
        known, sooner = await record.verified.read(), self._alarmed(now.fed) | self._written
        parts = choose(now.fed, known, began, within, sooner=sooner, put_off=waiting)
        if not parts:
            undue = nothing_due(known, began, within, sooner=sooner, put_off=waiting)
            return max(SHORTEST_SECONDS, min(undue, self._schema.seconds))
        self._written -= {part.before.name for part in parts if part.before.began_at is None}
        joint, reports = await self._compared(record, config, look, parts)
        assert joint.position is not None
        for part, report in zip(parts, reports, strict=True):
            if report.problem or (report.pending and not report.matched):
                self._put_off[report.table] = time.monotonic() + PUT_OFF_SECONDS
                logger.bind(table=report.table, reason=report.problem).debug("a table is compared later")
                continue
            after = advanced(part.before, report, joint.ranges.get(report.table), began)
            await record.verified.store([after])
            verification = VerifyReport(began, datetime.now(UTC), joint.position, (report,)).as_verification(
                complete=False
            )
            await self._tell(record, config, part.mapped, report, after, verification, joint.again.get(report.table))
        await record.verified.keep([mapped.source.name for mapped in now.fed])
        return None

    async def _compared(
        self, record: Record, config: Config, look: Look, parts: Sequence[Part]
    ) -> tuple[JointComparison, tuple[TableReport, ...]]:
        slices = {part.before.name: Slice(part.before.after_key, SLICE_ROWS) for part in parts}
        scratch = await to_its_end(Scratch, config.state.dir)
        try:
            joint = JointComparison(record, config, look, [part.mapped for part in parts], scratch, slices)
            return joint, await joint.compare(Silent())
        finally:
            await to_its_end(scratch.close)

    def _alarmed(self, maps: Sequence[TableMap]) -> frozenset[str]:
        return frozenset(m.source.name for m in maps if difference_in(m.source.name) in self._daemon_state.alarms)

    async def _take_over(self, record: Record) -> None:
        """What a daemon before found, or a count, lasts until the table is compared again."""
        if not self._took_over:
            for name in await record.verifications.outstanding():
                remedy = f"see which rows with `cdc verify --table {shlex.quote(name)}`"
                self._daemon_state.alarm(difference_in(name), f"rows of {name} differ", remedy)
            self._took_over = True

    async def _tell(
        self,
        record: Record,
        config: Config,
        mapped: TableMap,
        report: TableReport,
        after: VerifiedTable,
        found: Verification,
        came_back: Recurrence | None,
    ) -> None:
        """An alarm with each difference of a table that is new, and its end once a whole pass found none."""
        name = report.table
        differences = after.differences_so_far if after.began_at else after.differences
        if differences > self._told.get(name, 0):
            self._told[name] = differences
            await record.verifications.record(found)
            samples = [key for keys in report.samples.values() for key in keys[:SHOWN_KEYS]]
            keys = ", ".join(shown_key(key, name, mapped.source.key.columns) for key in samples)
            remedy = f"see all of them with `cdc verify --table {shlex.quote(name)}`; `--repair` moves them again"
            counts = {"different": report.different, "missing": report.missing, "extra": report.extra}
            logger.bind(table=name, **counts, keys=keys, remedy=remedy).error("rows are not alike in both databases")
            again = "; ".join([came_back.words(), *came_back.writers.lines()]) if came_back else ""
            if came_back:
                logger.bind(table=name, reason=again).error("rows that were repaired differ again")
            rows_again = came_back.rows if came_back else None
            details: dict[str, trail.Detail] = {"table": name, **counts, "keys": keys, "came_back": rows_again}
            trail.record(config.state.dir, "find a difference", "failed", details)
            self._daemon_state.alarm(
                difference_in(name), f"{differences:,} rows of {name} differ{again and f'; {again}'}", remedy
            )
        elif after.began_at is None and not after.differences:
            if difference_in(name) in self._daemon_state.alarms:
                await record.verifications.record(found)
                logger.bind(table=name).warning("rows are alike again in both databases")
                trail.record(config.state.dir, "end of a difference", "done", {"table": name})
            self._daemon_state.calm(difference_in(name))
            self._told.pop(name, None)

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await hang_up(connection)
