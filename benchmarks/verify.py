"""The comparison of both databases when they are equal, beside the least that a tool would need which fetches the rows.

That yardstick is psql's `\\copy` of the table into the void: the rows leave Postgres as text, and nobody looks at them.
"""

import time
from dataclasses import dataclass

import uvloop

from benchmarks import mixed, proxy, report
from benchmarks.figures import Figure, compared_speeds
from benchmarks.report import Sizes, tell
from benchmarks.rig import Rig, rig
from cdc import verify
from cdc.config import Config
from cdc.facts.progress import Silent

LEAST_ROWS_PER_SECOND = 500_000
MOST_PERCENT = 0.1


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: int = 1_000_000
    rounds: int = 3


async def compare(config: Config, rows: int, *, again: bool = False) -> None:
    """Compare everything, `again` by what SQLite came to the last time; raises unless all rows are equal."""
    found = await verify.verify(config, None, False, Silent(), trust_changelog=again)
    if again and not all(table.summed_at for table in found.tables):
        raise SystemExit("SQLite was read again")
    if found.result != "equal" or sum(table.matched for table in found.tables) != rows:
        raise SystemExit(f"the comparison ended with {found.result}")


async def speeds(here: Rig, size: Size) -> tuple[list[float], list[float], list[float]]:
    """Rows a second, ours, again where nothing was logged, and the yardstick's."""
    ours: list[float] = []
    again: list[float] = []
    theirs: list[float] = []
    for turn in range(size.rounds):
        tell(f"round {turn + 1} of {size.rounds}")
        started = time.perf_counter()
        here.psql(r"\copy items TO '/dev/null'")
        between = time.perf_counter()
        await compare(here.config(), size.rows)
        after = time.perf_counter()
        await compare(here.config(), size.rows, again=True)
        theirs.append(size.rows / (between - started))
        ours.append(size.rows / (after - between))
        again.append(size.rows / (time.perf_counter() - after))
    return ours, again, theirs


async def wire(here: Rig, size: Size) -> Figure:
    """How much of the data a comparison moves."""
    tell("bytes on the wire")
    async with proxy.counting(here.folder, here.dsn) as counted:
        await compare(here.config(dsn=counted.dsn), size.rows)
        moved = counted.bytes
    async with here.postgres() as connection:
        data = await connection.fetchval("SELECT sum(octet_length(t::text)) FROM items AS t")
    return Figure(
        id="verify.wire",
        what=f"bytes that a comparison moves, of {data / 1e6:,.0f} MB of rows as text",
        value=100 * moved / data,
        unit="%",
        ratio=data / moved,
        steady=True,
        most=MOST_PERCENT,
    )


async def measure(here: Rig, size: Size) -> list[Figure]:
    await here.up()
    ours, again, theirs = await speeds(here, size)
    what = f"comparison of {size.rows:,} equal rows, beside `\\copy` of the table into the void"
    speed = compared_speeds(ours, theirs, id="verify.speed", what=what, unit="rows/s", least=LEAST_ROWS_PER_SECOND)
    what = "the same with `--trust-changelog`, beside the comparison that reads both"
    second = compared_speeds(again, ours, id="verify.again", what=what, unit="rows/s")
    return [speed, second, await wire(here, size)]


def run(size: Size) -> list[Figure]:
    with rig() as here:
        mixed.make(here.database, size.rows)
        return uvloop.run(measure(here, size))


SIZES = Sizes(full=Size(), quick=Size(rows=100_000), check=Size())

if __name__ == "__main__":
    report.main(run, SIZES)
