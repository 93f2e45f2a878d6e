"""All that the steps of a switch work with: both databases, what guards them, the flag and the checks."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from cdc.config import Config
from cdc.cutover.flag.checks import Checks
from cdc.cutover.flag.flags import Flags
from cdc.cutover.flag.state import FlagState
from cdc.cutover.window import RefusedWindow
from cdc.errors import SwitchError
from cdc.facts.phase import Phase
from cdc.facts.side import Side
from cdc.facts.table_map import TableMap
from cdc.mapping.reversible import computed
from cdc.postgres.connection.errors import translated
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.outbox.table_locks import (
    AGAINST_ALL,
    AGAINST_WRITERS,
    end_maintenance,
    locked,
    wait_for_maintenance,
)
from cdc.postgres.record.record import Record
from cdc.reverse.carrier import Carrier
from cdc.sql_names import qualified
from cdc.threads import to_its_end


@dataclass(frozen=True, slots=True)
class Scene:
    """One attempt of a switch. `wait_seconds` is how long writers in flight are waited for in Postgres."""

    config: Config
    record: Record
    maps: Sequence[TableMap]
    guard: WriteGuard
    keys: ApplicationKeys
    carrier: Carrier
    flags: Flags
    checks: Checks
    window: RefusedWindow

    @property
    def wait_seconds(self) -> float:
        """How long transactions in flight are waited for in Postgres, before anything is refused."""
        return self.config.cutover.wait_for_writers_seconds

    async def set_flags(self, state: FlagState) -> None:
        """Tell the application, where it can be told."""
        if self.config.cutover.flags:
            await to_its_end(self.flags.set_all, state)

    async def ask(self, side: Side, after: Literal["reads", "writes"]) -> str:
        """Raise `SwitchError` when a check finds the application elsewhere; returns what there is to tell."""
        results = await self.checks.ask(side, after)
        if failed := [result for result in results if not result.met]:
            words = "; ".join(f"{result.name}: {result.words}" for result in failed)
            raise SwitchError(
                f"the application is not where it was told to be: {words}",
                remedy="see its log; the checks are those in [[cutover.checks]]",
            )
        return ", ".join(result.name for result in results)

    async def phase(self) -> Phase:
        """The phase as Postgres has it now."""
        state = await self.record.stream.read()
        assert state is not None
        return state.phase

    @property
    def patience_seconds(self) -> float:
        """The same while writes are refused."""
        return max(0.0, min(self.wait_seconds, self.window.left_seconds))

    async def end_maintenance(self, active: Side) -> None:
        """Before anything is refused: an autovacuum would keep us from a table for a second."""
        tables = [qualified(mapped.schema, mapped.target) for mapped in self.maps]
        end = end_maintenance if active is Side.SQLITE else wait_for_maintenance
        await end(self.record.connection, tables, self.wait_seconds)

    async def open_postgres(self) -> None:
        """Let applications write to Postgres, and have it be the side that counts, in one transaction."""
        # Asked before, so that no lock has to become a stronger one.
        altered = await self.keys.altered(self.maps)
        mode = AGAINST_ALL if altered else AGAINST_WRITERS
        await self.guard.open_writes(self.maps, self.patience_seconds, self._become(Side.POSTGRES), mode)

    async def count_on(self, side: Side, wait_seconds: float) -> None:
        """Have a side be the one that counts, in a transaction; neither side opens or closes with it."""
        altered = await self.keys.altered(self.maps) if side is Side.POSTGRES else []
        tables = [qualified(mapped.schema, mapped.target) for mapped in altered]
        with translated(f"having {side} be the side that is written to"):
            async with locked(self.record.connection, tables, wait_seconds, AGAINST_ALL):
                await self._become(side)()

    async def require_carried(self) -> None:
        """Raise `SwitchError` when SQLite cannot hold a row that an application wrote to Postgres."""
        if rows := await self.carrier.uncarried.read():
            raise SwitchError(
                f"rows of Postgres cannot be held by SQLite, such as {rows[0]}",
                remedy="`cdc status` tells which rows SQLite cannot hold, and why",
            )

    def _become(self, side: Side) -> Callable[[], Awaitable[None]]:
        async def become() -> None:
            # Whatever the server's default: a crash that took this back could leave both sides open.
            await self.record.connection.execute("SET LOCAL synchronous_commit = on")
            # On the way back the stream gives keys their old form when it begins: that can take longer than a moment.
            if side is Side.POSTGRES:
                await self.keys.make_immediate(self.maps)
            else:
                # What is computed for Postgres was not, while applications wrote there.
                await self.record.stream.request_saved_resync([m.source.name for m in self.maps if computed(m)])
            await self.record.switch_to(side)

        return become


async def nothing_else() -> None:
    """Nothing else belongs into that transaction."""


def require_active(phase: Phase, side: Side) -> None:
    """Raise `SwitchError` when the other side is the one that counts: opening this one would open both."""
    if phase.active is not side:
        raise SwitchError(
            f"{side.other} is the side that is written to, so {side} stays closed",
            remedy="`cdc status` tells which side is open; the daemon opens the one that counts",
        )
