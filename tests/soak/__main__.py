"""Everything that can happen, for an hour: `python -m tests.soak --minutes 60 --seed 1`. Exit code 1 on a difference.

Random workloads run in one process, and beside them real daemons follow writers that go on, while everything is struck
that can be. Only this machine is talked to.
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent)]

import record
from arena import Arena
from loguru import logger
from servers import Server
from sources import Kind
from strikes import STRIKES

TELL_SECONDS: Final = 60.0
STEADY: Final = (0.01, 0.05, 0.2)
# One in WAL; one in rollback-journal mode and one with two writers, which share a schema and keep to their own tables.
KINDS: Final = (
    Kind("alone", "alone", wal=True, writers=1, pauses=STEADY),
    Kind("journal", "shared", wal=False, writers=1, pauses=(0.05, 0.2)),
    Kind("pair", "shared", wal=True, writers=2, pauses=STEADY),
)


def main() -> int:
    wanted = parse()
    logger.disable("cdc")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started must be stopped then, too
    began = time.monotonic()
    libraries = wanted.sqlite or [""]
    kinds = [
        Kind(k.name, k.schema, wal=k.wal, writers=k.writers, pauses=k.pauses, sqlite=libraries[n % len(libraries)])
        for n, k in enumerate(KINDS)
    ]
    with (
        tempfile.TemporaryDirectory(prefix="cdc-soak-", ignore_cleanup_errors=True) as folder,
        _server(Path(folder) / "postgres") as server,
        _workloads(wanted) as workloads,
    ):
        arena = Arena(Path(folder), server, kinds, wanted.seed, wanted.strikes)
        asyncio.run(_told(arena, wanted.minutes * 60))
        failed = workloads.wait() if workloads else 0
    words = [f"seed {wanted.seed}, {(time.monotonic() - began) / 60:.1f} minutes", *arena.counts.lines()]
    words += [] if wanted.no_workloads else ["workloads beside it: " + ("a difference" if failed else "no difference")]
    print("\n".join(words))
    if wanted.record:
        record.write(arena.counts, words)
    if not arena.counts.comparisons:
        arena.counts.differences.append("nothing was compared: it took too long to begin")
    if arena.counts.differences or failed:
        print("\n".join(arena.counts.differences))
        print(f"repeat with: python -m tests.soak --seed {wanted.seed} --minutes {wanted.minutes:g}")
    return int(bool(arena.counts.differences or failed))


@contextmanager
def _server(folder: Path) -> Iterator[Server]:
    folder.mkdir()
    server = Server(folder)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _workloads(wanted: argparse.Namespace) -> "Iterator[subprocess.Popen[bytes] | None]":
    """Random workloads in a process beside, for as long."""
    if wanted.no_workloads:
        yield None
        return
    command = ["-m", "tests.property.soak", "--seed", str(wanted.seed), "--minutes", str(wanted.minutes)]
    process = subprocess.Popen([sys.executable, *command], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


async def _told(arena: Arena, seconds: float) -> None:
    telling = asyncio.create_task(_tell(arena))
    try:
        await arena.run(seconds)
    finally:
        telling.cancel()


async def _tell(arena: Arena) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(TELL_SECONDS)
        print(f"{(time.monotonic() - began) / 60:.0f} min: {'; '.join(arena.counts.lines())}", flush=True)


def parse() -> argparse.Namespace:
    """The command line; ends the program when it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--no-workloads", action="store_true", help="daemons and writers alone")
    parser.add_argument("--record", action="store_true", help="write the result into docs/reliability.md")
    parser.add_argument("--sqlite", action="append", help="a module or shared library that applications write with")
    parser.add_argument("--strikes", default=",".join(STRIKES), help=f"of {', '.join(STRIKES)}; empty for none")
    wanted = parser.parse_args()
    wanted.strikes = [name for name in wanted.strikes.split(",") if name]
    if unknown := set(wanted.strikes) - set(STRIKES):
        parser.error(f"unknown strike {', '.join(sorted(unknown))}")
    return wanted


if __name__ == "__main__":
    sys.exit(main())
