"""Apply while the comparison in the background is under way with its default share, beside apply without it.

The comparison begins its next pass at once when one has ended, so it always takes the whole of its share; and every
row that is changed is one that it meets.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import apsw
import msgspec
import uvloop

from benchmarks import application, changes, report
from benchmarks.apply import timed
from benchmarks.figures import Figure, compared_speeds
from benchmarks.report import Sizes
from benchmarks.rig import Rig, rig
from cdc.config import Config
from cdc.observe.daemon_state import Activity, DaemonState
from cdc.postgres.connection.open import Connection
from cdc.postgres.server.endpoint import Endpoint
from cdc.stream.session import Session
from cdc.verify.rolling import RollingVerifier

LEAST_RATIO = 0.95
ALWAYS_HOURS = 1e-6
SLICES = "SELECT coalesce(sum(rows + rows_so_far), 0) + count(since) FROM cdc.verified_table"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: int = 300_000
    changes: int = 100_000
    batches: int = 5
    rounds: int = 4


def without_rest(config: Config) -> Config:
    """The same configuration with every table due at any time."""
    return msgspec.structs.replace(config, verify=msgspec.structs.replace(config.verify, rolling_hours=ALWAYS_HOURS))


@contextlib.asynccontextmanager
async def rolling(here: Rig) -> AsyncIterator[None]:
    """The comparison in the background beside what is done inside; breaks when it compared nothing."""
    config = without_rest(here.config())
    state = DaemonState()
    state.doing = Activity.STREAMING
    verifier = RollingVerifier(lambda: config, Endpoint(config), state)
    async with here.postgres() as connection:
        await connection.execute("TRUNCATE cdc.verified_table")
        task = asyncio.create_task(verifier.run())
        while not await connection.fetchval(SLICES):  # the first slice is always due  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            await verifier.stand_by()
    if state.alarms:
        raise SystemExit("the comparison found a difference")


async def speed(connection: Connection, source: apsw.Connection, session: Session, size: Size, turn: int) -> float:
    """Changes a second in batches; what is made between two of them lets a slice fall anywhere in one."""
    taken = 0.0
    for batch in range(size.batches):
        await asyncio.to_thread(changes.make, source, "mix", size.changes, turn * size.batches + batch)
        taken += await timed(connection, session.drain)
    return size.batches * size.changes / taken


async def measure(here: Rig, source: apsw.Connection, session: Session, size: Size) -> list[Figure]:
    speeds: dict[bool, list[float]] = {True: [], False: []}
    async with here.postgres() as connection:
        for turn in range(size.rounds):
            report.tell(f"round {turn + 1} of {size.rounds}")
            for beside in sorted(speeds, reverse=bool(turn % 2)):
                async with rolling(here) if beside else contextlib.nullcontext():
                    speeds[beside].append(await speed(connection, source, session, size, turn))
    return [
        compared_speeds(
            speeds[True],
            speeds[False],
            id="rolling.apply",
            what=f"apply of {size.changes:,} changes beside the comparison in the background, and without it",
            unit="changes/s",
            least_ratio=LEAST_RATIO,
        )
    ]


def run(size: Size) -> list[Figure]:
    async def work() -> list[Figure]:
        source = application.make(here.database, size.rows)
        await here.up()
        async with here.session() as session:
            found = await measure(here, source, session, size)
        source.close()
        return found

    with rig() as here:
        return uvloop.run(work())


SIZES = Sizes(full=Size(), quick=Size(rows=60_000, changes=20_000, rounds=2), check=Size(rounds=3))

if __name__ == "__main__":
    report.main(run, SIZES)
