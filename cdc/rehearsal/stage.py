"""What happens to the copy: it is switched there and back, killed in the midst of it, and looked at each time."""

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from typing import Final

from cdc.errors import SwitchError
from cdc.facts.progress import Progress, Silent
from cdc.facts.side import Side, Writable
from cdc.facts.table_map import TableMap
from cdc.observe import daemon_file
from cdc.observe.daemon_state import Activity
from cdc.observe.status import gather
from cdc.postgres.connection.open import Connection
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import Endpoint
from cdc.rehearsal.application import RehearsingApplication
from cdc.rehearsal.commands import CommandEnd, Commands
from cdc.rehearsal.kills import Kill, Kills
from cdc.rehearsal.load import Load
from cdc.rehearsal.report import COMMANDS, KillOutcome, RehearsalReport
from cdc.rehearsal.scratch import ScratchPair
from cdc.sqlite.changelog import source_file
from cdc.verify import verify

WRITES_SECONDS: Final = 1.0  # how long the application writes between two switches
SETTLE_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.05

_FOLLOWED: Final[Mapping[str, tuple[Side, Writable]]] = {
    Activity.STREAMING: (Side.SQLITE, Writable.SQLITE),
    Activity.RETURNING: (Side.POSTGRES, Writable.POSTGRES),
}


class RehearsalStage:
    """One copy with its daemon; what is found goes into the report."""

    def __init__(
        self,
        pair: ScratchPair,
        endpoint: Endpoint,
        connection: Connection,
        commands: Commands,
        daemon: Process,
        report: RehearsalReport,
        progress: Progress,
    ) -> None:
        self._pair = pair
        self._endpoint = endpoint
        self._connection = connection
        self._commands = commands
        self._daemon = daemon
        self._report = report
        self._progress = progress
        self._record: Record

    async def begin(self) -> None:
        """Wait until the copy is loaded and followed; rows that its Postgres cannot hold are taken for known."""
        await self._settled(seconds=None)
        source_id, _ = await asyncio.to_thread(source_file.whose, self._pair.config)
        assert source_id is not None
        self._record = Record(self._connection, source_id)
        await self._record.quarantine.acknowledge(None, None, "rehearsal")

    async def connect(self) -> Connection:
        """A further connection, for the application; closed by the caller."""
        return await self._endpoint.connect("rehearsal")

    async def maps(self) -> tuple[TableMap, ...]:
        """The tables of the copy."""
        look = await asyncio.to_thread(source_file.look, self._pair.config)
        return tuple((await current_tables(self._record, self._pair.config, look.schema)).fed)

    async def play(self, application: RehearsingApplication, kills: Sequence[Kill]) -> None:
        """There and back, as often as the report says, then the kills; ends early when a switch is refused."""
        for _ in range(self._report.times):
            if not (await self._switched(Side.POSTGRES) and await self._switched(Side.SQLITE)):
                break
        else:
            await self._kill(application, Kills(kills))
        await self._compare(application, await self._settled())

    def account(self, application: RehearsingApplication, load: Load) -> None:
        """What the application has to tell."""
        self._report.account, self._report.load = application.account, load.words
        self._report.left_out += [f"writes to {name}: {why}" for name, why in application.failing.items()]

    # --- switches that are measured -----------------------------------------------------------------------------------

    async def _switched(self, to: Side) -> bool:
        """One switch and its times; False when it was not made, which the report then has."""
        if not await self._prepared(to):
            return False
        end = await self._commands.run(COMMANDS[to])
        self._progress.advance(1)
        if end.code or end.answer.get("tries", 1) > 1:
            self._refused(COMMANDS[to], end)
        if "run" not in end.answer:
            return False
        self._report.refused_seconds[to].append(end.answer["refused_seconds"])
        await self._keep_times(to, end.answer["run"])
        await self._settled(to)
        await asyncio.sleep(WRITES_SECONDS)
        return True

    async def _prepared(self, to: Side) -> bool:
        if to is Side.SQLITE:
            return True
        end = await self._commands.run("cutover", "--prepare")
        if end.code:
            self._refused("cutover --prepare", end)
        return not end.code

    async def _keep_times(self, to: Side, run: str) -> None:
        for step in await self._record.switch.steps():
            if step.run == run and step.outcome == "done" and step.ended_at is not None:
                taken = (step.ended_at - step.began_at).total_seconds() * 1000
                self._report.milliseconds[to].setdefault(step.step, []).append(taken)

    def _refused(self, command: str, end: CommandEnd) -> None:
        tries = end.answer.get("tries", 1)
        words = f"done at try {tries}" if not end.code and tries > 1 else end.words
        self._report.refusals.append(f"cdc {command}: {words}")

    # --- switches that are killed -------------------------------------------------------------------------------------

    async def _kill(self, application: RehearsingApplication, kills: Kills) -> None:
        side = await self._settled() if kills.left else Side.SQLITE
        while kills.left:
            to = side.other
            if not await self._prepared(to):
                return
            kill = kills.next(to)
            end = await self._commands.run(COMMANDS[to], crash_at=kill.point if kill else "")
            side = await self._settled()
            if not (end.killed or (kill is None and side is to)):  # it will not be made the next time either
                self._refused(COMMANDS[to], end)
                return
            if kill is None:
                continue
            self._progress.advance(1)
            self._report.kills.append(KillOutcome(to, kill.number, kill.step, kill.when, side))
            await self._compare(application, side, f"after {COMMANDS[to]} was killed, {kill}: ")

    # --- what has to hold ---------------------------------------------------------------------------------------------

    async def _compare(self, application: RehearsingApplication, side: Side, when: str = "") -> None:
        """One side takes writes, both hold the same, and what either was told is kept is there."""
        problems = self._report.problems
        async with application.resting():
            accepting = await application.accepting()
            if accepting and accepting != {side}:
                problems.append(f"{when}{' and '.join(sorted(accepting))} took a write, not {side} alone")
            await self._caught_up()
            found = await verify(self._pair.config, None, False, Silent())
            if found.differences or found.rows_result != "equal":
                names = ", ".join(table.table for table in found.tables if table.differences or table.problem)
                problems.append(f"{when}both sides are not alike: {found.differences:,} differences, in {names}")
            if lost := await application.lost():
                problems.append(f"{when}writes that were committed are lost, in {', '.join(lost)}")
        self._report.comparisons += 1
        self._report.compared += sum(table.matched for table in found.tables)

    async def _settled(self, wanted: Side | None = None, seconds: float | None = SETTLE_SECONDS) -> Side:
        """Wait until one side accepts writes and the daemon follows from there; returns which."""
        until = None if seconds is None else time.monotonic() + seconds
        while (side := await self._followed()) is None or wanted not in (None, side):
            self._require(f"{wanted or 'one side'} alone was to accept writes, and to be followed", until)
            await asyncio.sleep(LOOK_SECONDS)
        return side

    async def _followed(self) -> Side | None:
        """The side that accepts writes, when the daemon follows from there."""
        shown = daemon_file.look(self._pair.config)
        if shown is None or shown.doing not in _FOLLOWED:
            return None
        found = await gather(self._pair.config, self._endpoint)
        side, accepting = _FOLLOWED[shown.doing]
        return side if found.writes is accepting and found.daemon_runs else None

    async def _caught_up(self) -> None:
        """Wait until the other side has everything; nobody writes now."""
        until = time.monotonic() + SETTLE_SECONDS
        while (waiting := (await gather(self._pair.config, self._endpoint)).lag_changes) != 0:
            self._require(f"{waiting} changes wait", until)
            await asyncio.sleep(LOOK_SECONDS)

    def _require(self, found: str, until: float | None) -> None:
        if self._daemon.returncode is not None:
            raise _stuck(f"its daemon ended: {self._last_words()}")
        if until is not None and time.monotonic() > until:
            raise _stuck(f"for {SETTLE_SECONDS:.0f} s {found}")

    def _last_words(self) -> str:
        lines = (self._pair.folder / "daemon.log").read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return errors[-1] if errors else f"exit code {self._daemon.returncode}"


def _stuck(why: str) -> SwitchError:
    return SwitchError(
        f"the rehearsal cannot go on with its copy: {why}",
        remedy="nothing of production was touched; what keeps the copy from being followed would keep a switch, too",
    )
