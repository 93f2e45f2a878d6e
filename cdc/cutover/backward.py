"""The rollback, step by step: from Postgres back to SQLite, and to Postgres again when a step fails.

Postgres refuses writes from `fence Postgres` on, and SQLite accepts them with `lift the fence`: what was committed in
Postgres until then is in SQLite before it opens. Replication from SQLite goes on where it stood, for nothing was logged
there meanwhile.
"""

import asyncio
from typing import Final

from cdc.cutover.plan import PlannedStep
from cdc.cutover.scene import Scene, nothing_else, require_active
from cdc.cutover.steps import Step
from cdc.cutover.telling import Telling
from cdc.errors import SwitchError, SwitchUnequal
from cdc.facts.progress import Progress
from cdc.facts.side import Side
from cdc.reverse.session import ReverseSession
from cdc.sqlite.fence import fence
from cdc.threads import to_its_end
from cdc.verify.compare_recent import RecentComparison

CATCH_UP_ROUNDS: Final = 50
FEW_KEYS: Final = 2_000  # compared while nobody accepts writes, without anybody noticing
COMPARE_ROUNDS: Final = 20
RAISED_SECONDS: Final = 10.0  # until it is kept, a moment later

PLANNED: Final = (
    PlannedStep("catch up", "SQLite", "nothing to undo"),
    PlannedStep("compare everything", "both", "nothing to undo"),
    PlannedStep("hold writes at the proxy", "proxy", "let them go on"),
    PlannedStep("fence Postgres", "Postgres", "open it again"),
    PlannedStep("drain", "SQLite", "nothing to undo"),
    PlannedStep("compare the rest", "both", "nothing to undo"),
    PlannedStep("move numbers", "SQLite", "nothing to undo: they go forward only"),
    PlannedStep("leave Postgres", "Postgres", "go back to it"),
    PlannedStep("lift the fence", "SQLite", "raise it again, unless somebody wrote"),
    PlannedStep("flip the flag", "application", "flip it back"),
    PlannedStep("ask for reads", "application", "nothing to undo"),
    PlannedStep("disarm the way back", "Postgres", "nothing to undo"),
    PlannedStep("ask for a write", "application", "nothing to undo"),
)


class Backward:
    """One attempt; `scene` is open, and holds the source's lock."""

    def __init__(self, scene: Scene, session: ReverseSession, recent: RecentComparison, progress: Progress) -> None:
        self._scene = scene
        self._session = session
        self._recent = recent
        self._progress = progress
        session.carrier.touched = recent.note  # what is carried from now on is compared once more
        self._telling = Telling(scene, Side.SQLITE)

    def steps(self) -> tuple[Step, ...]:
        """What is done, in order."""
        works = (
            (self._catch_up, None),
            (self._compare_everything, None),
            (self._hold, self._release),
            (self._fence, self._open_again),
            (self._drain, None),
            (self._compare_rest, None),
            (self._move_numbers, None),
            (self._leave, self._go_back),
            (self._lift, self._raise_again),
            (self._telling.flip, self._telling.flip_back),
            (self._telling.ask_for_reads, None),
            (self._disarm, None),
            (self._telling.ask_for_write, None),
        )
        return tuple(
            Step(planned, do, undo, commits=do == self._telling.ask_for_reads)
            for planned, (do, undo) in zip(PLANNED, works, strict=True)
        )

    async def _catch_up(self) -> str:
        rounds = 0
        while rounds < CATCH_UP_ROUNDS and await self._session.drain():
            rounds += 1
        return f"{rounds} rounds"

    async def _compare_everything(self) -> str:
        """While applications write on: what differs only because it is on its way is looked at again.

        Some rows may be written to without a pause. These are on their way at every look, until nobody can write.
        """
        await self._recent.everything(self._progress)
        left = FEW_KEYS
        for _ in range(COMPARE_ROUNDS):
            await self._session.drain()
            if not (left := await self._recent.round()):
                break
        if left > FEW_KEYS:
            self._require_equal()
        return f"{self._recent.compared:,} rows"

    async def _hold(self) -> str:
        await self._scene.end_maintenance(Side.POSTGRES)
        await to_its_end(self._scene.flags.hold)
        return ""

    async def _release(self) -> None:
        await to_its_end(self._scene.flags.release)

    async def _fence(self) -> str:
        scene = self._scene
        scene.window.begin()
        await scene.guard.close_writes(scene.maps, scene.patience_seconds, nothing_else)
        return ""

    async def _open_again(self) -> None:
        """Not while SQLite may be open: then both would accept writes."""
        scene = self._scene
        require_active(await scene.phase(), Side.POSTGRES)
        # Whoever kept it from being closed would keep it from being opened, too.
        if any(table.fenced for table in (await scene.guard.look(scene.maps)).values()):
            await scene.guard.open_writes(scene.maps, scene.wait_seconds, nothing_else)
        scene.window.end()

    async def _drain(self) -> str:
        """All of it: nobody can write any more, so what is read then is everything."""
        await self._session.drain()
        if waiting := (await self._session.lag()).entries:
            raise SwitchError(
                f"{waiting:,} changes in Postgres cannot be carried back",
                remedy="`cdc status` tells which rows SQLite cannot hold, and why",
            )
        await self._scene.require_carried()
        self._scene.window.require("SQLite has not everything")
        return ""

    async def _compare_rest(self) -> str:
        before = self._recent.compared
        await self._recent.round()
        self._require_equal()
        self._scene.window.require("the comparison")
        return f"{self._recent.compared - before:,} keys"

    def _require_equal(self) -> None:
        if differing := self._recent.differing():
            raise SwitchUnequal(
                f"rows are not alike in SQLite, where Postgres is written to: {differing}",
                remedy="`cdc verify` tells all of them; a row that is written in Postgres once more, unchanged too, is "
                "carried back again",
            )

    async def _move_numbers(self) -> str:
        return f"{await self._session.follow_sequences()} tables"

    async def _leave(self) -> str:
        """From here on SQLite is the side that counts, though it is not open yet: whoever comes next opens it."""
        self._scene.window.require("Postgres is not left")
        await self._scene.count_on(Side.SQLITE, self._scene.patience_seconds)
        return ""

    async def _go_back(self) -> None:
        if not (await asyncio.to_thread(fence.look, self._scene.config)).permanent:
            raise SwitchError(
                "SQLite accepts writes already, so Postgres stays closed",
                remedy="nothing: SQLite is written to, as before the cutover; `cdc status` tells more",
            )
        if (await self._scene.phase()).active is Side.SQLITE:
            await self._scene.count_on(Side.POSTGRES, self._scene.wait_seconds)

    async def _lift(self) -> str:
        await to_its_end(fence.lift, self._scene.config)
        return ""

    async def _raise_again(self) -> None:
        """Only where nobody wrote to SQLite meanwhile: Postgres would not have it."""
        if (await asyncio.to_thread(fence.look, self._scene.config)).permanent:
            return  # it was never lifted
        raised = await to_its_end(fence.raise_for, self._scene.config, RAISED_SECONDS)
        if raised.end != self._session.position:
            await to_its_end(fence.lift, self._scene.config)
            raise SwitchError(
                "applications wrote to SQLite already, so it stays open",
                remedy="nothing: SQLite is written to, as before the cutover; `cdc flag` tells where the flag points",
            )
        await to_its_end(fence.keep, self._scene.config, raised.end)

    async def _disarm(self) -> str:
        await self._scene.guard.disarm(self._scene.maps, self._scene.wait_seconds)
        return ""
