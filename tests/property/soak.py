"""A long run of random workloads: `python -m tests.property.soak --minutes 60 --seed 1`; `make soak` runs it, too."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent)]

import asyncpg
from fast_folder import fast_folder
from loguru import logger
from replicas import Place, run_workload

from cdc.postgres.server import embedded

PROGRESS_SECONDS = 60.0


@contextlib.contextmanager
def _server(given: str | None) -> Iterator[str]:
    if given is not None:
        yield given
        return
    with (
        tempfile.TemporaryDirectory(prefix="cdc-soak-") as folder,
        embedded.start(Path(folder), settings={"fsync": "off"}) as server,
    ):
        yield server.dsn


async def soak(dsn: str, wanted: argparse.Namespace) -> int:
    """Run workloads until enough statements ran; returns the exit code."""
    connection = await asyncpg.connect(dsn, server_settings={"client_min_messages": "warning"})
    began = told = time.monotonic()
    ends = began + wanted.minutes * 60
    seed, statements, failures = wanted.seed, 0, 0
    with fast_folder() as folder:
        place = Place(Path(folder), dsn, connection)
        while time.monotonic() < ends:
            for portable in (True, False):
                failures += await _failed(place, seed, portable, wanted.length)
                statements += wanted.length
            seed += 1
            if time.monotonic() - told >= PROGRESS_SECONDS:
                told = time.monotonic()
                print(f"workloads: {statements:,} statements, seed {seed}, {failures} failures", flush=True)
    await connection.close()
    seconds = time.monotonic() - began
    seeds = f"seeds {wanted.seed} to {seed - 1}"
    print(f"workloads: {statements:,} statements in {seconds:.0f} s, {seeds}, {failures} failures", flush=True)
    return 1 if failures else 0


async def _failed(place: Place, seed: int, portable: bool, length: int) -> bool:
    try:
        found = await run_workload(place, seed, portable=portable, statements=length)
    except Exception:  # noqa: BLE001 (whatever it is, the seed must be named)
        print(f"seed {seed}, portable={portable}:\n{traceback.format_exc()}", flush=True)
        return True
    if found is not None:
        print(found, flush=True)
    return found is not None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--length", type=int, default=40, help="statements of one workload")
    parser.add_argument("--dsn", default=os.environ.get("CDC_SOAK_DSN"), help="a server to use instead of one's own")
    wanted = parser.parse_args()
    logger.disable("cdc")
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # connections that were ended on purpose
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server must be stopped then too
    with _server(wanted.dsn) as dsn:
        return asyncio.run(soak(dsn, wanted))


if __name__ == "__main__":
    sys.exit(main())
