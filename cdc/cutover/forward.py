"""The cutover, step by step: from SQLite to Postgres, and back again to where it began when a step fails.

SQLite refuses writes from `fence SQLite` on, and Postgres accepts them with `open Postgres`: never both, and nobody
accepts them for the time between, which is bounded. Undoing goes the same way back: also what an application wrote into
Postgres after it was opened comes to SQLite before that opens.
"""

import asyncio
from pathlib import Path
from typing import Final

from cdc.cutover.plan import PlannedStep
from cdc.cutover.scene import Scene, nothing_else, require_active
from cdc.cutover.steps import Step
from cdc.cutover.telling import Telling
from cdc.errors import CaptureLost, SwitchError, SwitchUnequal
from cdc.facts.changes import Position
from cdc.facts.side import Side
from cdc.postgres.tables import sequences
from cdc.postgres.tables.hashed_rows import snapshot
from cdc.reverse.probe import probe
from cdc.sqlite.fence import fence
from cdc.sqlite.fence.fence import RaisedFence
from cdc.stream.session import Session
from cdc.threads import to_its_end
from cdc.verify.compare_recent import RecentComparison

CATCH_UP_ROUNDS: Final = 50
FEW_KEYS: Final = 2_000  # compared within the window without anybody noticing
COMPARE_ROUNDS: Final = 20
LOOK_SECONDS: Final = 0.002
WORD_SECONDS: Final = 0.1  # how long a file that gives the word can go unseen

PLANNED: Final = (
    PlannedStep("catch up", "Postgres", "nothing to undo"),
    PlannedStep("compare what changed", "both", "nothing to undo"),
    PlannedStep("wait for the word", "both", "nothing to undo"),
    PlannedStep("hold writes at the proxy", "proxy", "let them go on"),
    PlannedStep("fence SQLite", "SQLite", "lift the fence"),
    PlannedStep("drain", "Postgres", "nothing to undo"),
    PlannedStep("compare the rest", "both", "nothing to undo"),
    PlannedStep("move sequences", "Postgres", "nothing to undo: they go forward only"),
    PlannedStep("arm the way back", "Postgres", "disarm it"),
    PlannedStep("probe the way back", "both", "nothing to undo: it undoes itself"),
    PlannedStep("keep the fence", "SQLite", "lift the fence"),
    PlannedStep("open Postgres", "Postgres", "close it, and carry back what was written there"),
    PlannedStep("flip the flag", "application", "flip it back"),
    PlannedStep("ask for reads", "application", "nothing to undo"),
    PlannedStep("ask for a write", "application", "nothing to undo"),
)


class Forward:
    """One attempt; `scene` is open, and holds the source's lock."""

    def __init__(self, scene: Scene, session: Session, recent: RecentComparison, word: Path | None) -> None:
        self._scene = scene
        self._session = session
        self._recent = recent
        self._word = word
        self._fenced: RaisedFence | None = None
        self._opening = False  # Postgres may be open
        self._telling = Telling(scene, Side.POSTGRES)

    def steps(self) -> tuple[Step, ...]:
        """What is done, in order."""
        works = (
            (self._catch_up, None),
            (self._compare_changes, None),
            (self._wait_for_word, None),
            (self._hold, self._release),
            (self._raise_fence, self._lift_fence),
            (self._drain, None),
            (self._compare_rest, None),
            (self._move_sequences, None),
            (self._arm, self._disarm),
            (self._probe, None),
            (self._keep_fence, self._lift_fence),
            (self._open, self._close),
            (self._telling.flip, self._telling.flip_back),
            (self._telling.ask_for_reads, None),
            (self._telling.ask_for_write, None),
        )
        return tuple(Step(planned, do, undo) for planned, (do, undo) in zip(PLANNED, works, strict=True))

    async def _catch_up(self) -> str:
        """Apply what is there, for as long as that is much."""
        began = self._session.position.seq
        for _ in range(CATCH_UP_ROUNDS):
            if not await self._session.drain():
                break
        return f"{self._session.position.seq - began:,} entries"

    async def _compare_changes(self) -> str:
        """All that changed since both were last found equal, for as long as that is more than a few keys."""
        left = await self._recent.round()
        for _ in range(COMPARE_ROUNDS):
            if left <= FEW_KEYS:
                break
            await self._session.drain()
            left = await self._recent.round()
        return f"{self._recent.compared:,} keys"

    async def _wait_for_word(self) -> str:
        """Postgres follows meanwhile, so that little is left to do in the last moment."""
        if self._word is None:
            return ""
        while not await asyncio.to_thread(self._word.exists):
            if not await self._session.drain():
                await self._session.tidy()
                await asyncio.sleep(WORD_SECONDS)
        await self._compare_changes()
        return f"{self._word} is there"

    async def _hold(self) -> str:
        await self._scene.end_maintenance(Side.SQLITE)
        await to_its_end(self._scene.flags.hold)
        return ""

    async def _release(self) -> None:
        await to_its_end(self._scene.flags.release)

    async def _raise_fence(self) -> str:
        window = self._scene.window
        raised = await to_its_end(fence.raise_for, self._scene.config, window.limit_seconds)
        window.begin()
        self._fenced = raised
        return f"end {raised.end.seq}"

    async def _lift_fence(self) -> None:
        """Not while Postgres may be open: then both would accept writes."""
        if self._opening:
            require_active(await self._scene.phase(), Side.SQLITE)
        await to_its_end(fence.lift, self._scene.config)
        self._scene.window.end()

    async def _drain(self) -> str:
        """To exactly the end that was read inside the fence."""
        session, end = self._session, self._fenced_end
        while session.position.seq < end.seq:
            self._scene.window.require("Postgres has not applied everything")
            if not await session.drain():
                await asyncio.sleep(LOOK_SECONDS)
        if session.position != end:
            raise _went_on(end)
        await self._require_schema()
        return f"at {end.seq}"

    async def _require_schema(self) -> None:
        """No fence refuses a change of the schema: Postgres must have followed the one that was there when it rose."""
        state = await self._scene.record.stream.read()
        assert state is not None
        assert self._fenced is not None
        there = (await asyncio.to_thread(fence.look, self._scene.config)).counter
        if state.resync or state.schema_version != self._fenced.counter or there != self._fenced.counter:
            raise CaptureLost(
                "the application changed its schema in the midst of the switch", remedy="wait until its upgrade is done"
            )

    async def _compare_rest(self) -> str:
        before = self._recent.compared
        left = await self._recent.round()
        if left and not (differing := self._recent.differing()):
            raise _went_on(self._fenced_end)
        if left:
            raise SwitchUnequal(
                f"rows are not alike in both databases: {differing}",
                remedy="see them with `cdc verify`, and have them moved again with `cdc verify --repair`",
            )
        self._scene.window.require("the comparison")
        return f"{self._recent.compared - before:,} keys"

    async def _move_sequences(self) -> str:
        """Each gives a number that no row has."""
        await self._session.move_sequences()
        async with snapshot(self._scene.record.connection):
            numbers = await sequences.next_numbers(self._scene.record.connection, self._session.maps)
        if behind := [n.sequence for n in numbers if n.next <= n.largest]:
            raise SwitchError(
                f"sequences are behind their tables: {', '.join(behind)}",
                remedy="GRANT USAGE, UPDATE ON SEQUENCE to the role of `dsn`, or move them with setval",
            )
        return f"{len(numbers)} sequences"

    async def _arm(self) -> str:
        await self._scene.guard.arm(self._scene.maps, self._scene.patience_seconds)
        return ""

    async def _disarm(self) -> None:
        scene = self._scene
        if any(table.captured for table in (await scene.guard.look(scene.maps)).values()):
            await scene.guard.disarm(scene.maps, scene.patience_seconds)

    async def _probe(self) -> str:
        probed = await probe(self._scene.carrier)
        self._scene.window.require("the probe of the way back")
        return str(probed)

    async def _keep_fence(self) -> str:
        self._scene.window.require("the fence is not kept")
        await to_its_end(fence.keep, self._scene.config, self._fenced_end)
        await self._require_schema()
        return ""

    async def _open(self) -> str:
        scene, self._opening = self._scene, True
        await scene.open_postgres()
        return ""

    async def _close(self) -> None:
        """What an application wrote meanwhile is carried back before SQLite opens."""
        scene = self._scene
        if (await scene.phase()).active is Side.SQLITE:
            return
        await scene.guard.close_writes(scene.maps, scene.wait_seconds, nothing_else)
        await scene.carrier.carry()
        await scene.require_carried()
        await scene.count_on(Side.SQLITE, scene.wait_seconds)

    @property
    def _fenced_end(self) -> Position:
        assert self._fenced is not None
        return self._fenced.end


def _went_on(end: Position) -> SwitchError:
    """The error of a key that was logged after the fence was raised: nobody could have written it."""
    return SwitchError(
        f"the changelog went on beyond its end at {end.seq}, although SQLite refused writes",
        remedy="something writes past triggers: find it before you try again (`cdc verify` tells what differs)",
    )
