"""The first minutes after a cutover: the application is asked again and again, and taken back when it does badly."""

import asyncio
import time
from typing import Final

from cdc.config import Config
from cdc.cutover.flag.checks import Checks
from cdc.errors import ConfigError
from cdc.facts.side import Side

ASK_SECONDS: Final = 1.0
FEWEST: Final = 20  # answers before their times mean something


def require_checks(config: Config) -> None:
    """Raise `ConfigError` when nothing could be watched."""
    if not any(check.after == "reads" for check in config.cutover.checks):
        raise ConfigError(
            "there is nothing to watch: no check of reads is configured",
            remedy="add one to the configuration, a [[cutover.checks]] with the address of a page that must answer",
        )


async def watch(config: Config, seconds: float, *, every_seconds: float = ASK_SECONDS) -> str | None:
    """Ask the checks of reads for so long; returns why to go back, None when all was well."""
    checks = Checks(config)
    until = time.monotonic() + seconds
    times: list[float] = []
    while time.monotonic() < until:
        began = time.monotonic()
        results = await checks.ask(Side.POSTGRES, "reads")
        times.append(time.monotonic() - began)
        if failed := [result for result in results if not result.met]:
            return "; ".join(f"{result.name}: {result.words}" for result in failed)
        limit = config.cutover.watch_p95_seconds
        if limit and len(times) >= FEWEST and (slow := p95(times[-10 * FEWEST :])) > limit:
            return f"the checks take {slow:.2f} s (95th percentile), over the limit of {limit:g} s"
        await asyncio.sleep(min(every_seconds, max(0.0, until - time.monotonic())))
    return None


def p95(times: list[float]) -> float:
    """The 95th percentile: of twenty the second largest."""
    return sorted(times)[max(0, -(-95 * len(times) // 100) - 1)]
