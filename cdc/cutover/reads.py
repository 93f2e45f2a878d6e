"""Reads alone: they can go to Postgres before writes do, and come back alone."""

import asyncio
from typing import Final

from cdc.config import Config
from cdc.cutover import survey
from cdc.cutover.flag.checks import CheckResult, Checks
from cdc.cutover.flag.flags import Flags
from cdc.cutover.plan import SwitchPlan
from cdc.errors import SwitchError
from cdc.facts.side import Side

# What has to hold before anybody reads from Postgres; the others are of writes.
GATES: Final = frozenset(
    {"written to", "replication", "daemon", "lag", "capture", "quarantine", "verified", "shadow reads", "flag"}
)


async def reads_plan(config: Config) -> SwitchPlan:
    """The gates of a cutover that concern reads."""
    plan = await survey.cutover_plan(config)
    return SwitchPlan(
        plan.to, tuple(gate for gate in plan.gates if gate.name in GATES), (), plan.unchecked, option="--reads-only"
    )


async def move_reads(config: Config, side: Side) -> list[CheckResult]:
    """Tell the application where to read, and ask whether it does; where it does not, it is told to go back.

    Raises `SwitchError` then.
    """
    flags = Flags(config)
    await asyncio.to_thread(flags.move_reads, side)
    results = await Checks(config).ask(side, "reads")
    if failed := [result for result in results if not result.met]:
        await asyncio.to_thread(flags.move_reads, side.other)
        words = "; ".join(f"{result.name}: {result.words}" for result in failed)
        raise SwitchError(
            f"reads are where they were, for the application did not go to {side} as it was told: {words}",
            remedy="see its log; the checks are those in [[cutover.checks]]",
        )
    return results
