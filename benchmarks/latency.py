"""Latency: from the commit in SQLite to the row visible in Postgres, through a real daemon, at 200 commits a second."""

import argparse
import asyncio
import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from benchmarks.rig import Rig, Silent, rig
from cdc import service

PER_SECOND = 200


@contextmanager
def daemon(here: Rig) -> Iterator[None]:
    config = here.folder / "cdc.toml"
    config.write_text(
        f'[source]\npath = "{here.database}"\n[target]\ndsn = "{here.dsn}"\n[state]\ndir = "{here.folder / "state"}"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "cdc", "-c", str(config), "run"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def measure(here: Rig, commits: int) -> dict[str, float]:
    source = apsw.Connection(str(here.database))
    source.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")
    source.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, note TEXT)")
    await service.up(here.config(), until_idle=True, progress=Silent())
    taken: list[float] = []
    with daemon(here):
        async with here.postgres() as connection:
            visible = await connection.prepare("SELECT 1 FROM item WHERE id = $1")
            due = time.perf_counter()
            for n in range(commits + 50):
                due += 1 / PER_SECOND
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                source.execute("INSERT INTO item VALUES (?, 'name', 'note')", (n,))
                committed = time.perf_counter()
                while not await visible.fetchval(n):
                    if time.perf_counter() - committed > 30:
                        raise SystemExit("a commit did not arrive within 30 s")
                taken.append((time.perf_counter() - committed) * 1000)
    source.close()
    steady = sorted(taken[50:])  # the first commits find the daemon still starting
    return {
        "commits": commits,
        "p50_ms": statistics.median(steady),
        "p95_ms": steady[int(len(steady) * 0.95)],
        "p99_ms": steady[int(len(steady) * 0.99)],
        "max_ms": steady[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=2_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with rig() as here:
        found = asyncio.run(measure(here, options.commits))
    if options.json:
        print(json.dumps(found))
        return
    print(f"commit to visible over {found['commits']:,} commits, {PER_SECOND} a second:")
    print(f"p50 {found['p50_ms']:.2f} ms (reach 1.5), p95 {found['p95_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms (reach 5)")


if __name__ == "__main__":
    main()
