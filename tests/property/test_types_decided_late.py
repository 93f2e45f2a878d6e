"""Whatever comes in a column that was empty at first, Postgres holds it, and no row waits.

The runs are the same each time; `CDC_FRESH=1` draws others, `CDC_SEED=17` replays one, `CDC_LATE=500` runs more.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from fast_folder import fast_folder
from late_types import run_late_types
from loguru import logger
from mutations import MUTATIONS, first_found
from replicas import Place

from cdc.postgres.server.embedded import EmbeddedServer

LATE = int(os.environ.get("CDC_LATE", "8"))
FIRST = int(os.environ.get("CDC_SEED", time.time_ns() // 1000 if "CDC_FRESH" in os.environ else 0))
SEEDS = range(FIRST, FIRST + (1 if "CDC_SEED" in os.environ else LATE))
FAULTS = [name for name, mutation in MUTATIONS.items() if mutation.late]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    logger.disable("cdc")
    with asyncio.Runner() as found:
        yield found
    logger.enable("cdc")


@pytest.fixture(scope="module")
def place(server: EmbeddedServer, runner: asyncio.Runner) -> Iterator[Place]:
    quiet = {"client_min_messages": "warning"}
    connection = runner.run(asyncpg.connect(server.dsn, server_settings=quiet))
    with fast_folder() as folder:
        yield Place(Path(folder), server.dsn, connection)
    runner.run(connection.close())


@pytest.mark.parametrize("seed", SEEDS)
def test_late_values_are_all_held(runner: asyncio.Runner, place: Place, seed: int) -> None:
    found = runner.run(run_late_types(place, seed))
    assert found is None, f"replay with CDC_SEED={seed}: {found}"


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_is_put_back_is_found(runner: asyncio.Runner, place: Place, name: str) -> None:
    found = runner.run(first_found(place, name, iter(range(MUTATIONS[name].most))))
    assert found is not None, f"nothing found: {name}"
