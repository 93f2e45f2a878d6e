"""However long a backlog is and whatever is written while it is read, Postgres holds what SQLite holds afterwards.

The backlogs are the same at every run; `CDC_FRESH=1` draws others, `CDC_SEED=17` replays one, `CDC_BACKLOGS=500` runs
more of them. Faults that are put back are found by them, so they can find others: all that are known are tried by
`python -m tests.property.mutations`.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from backlogs import run_backlogs
from fast_folder import fast_folder
from loguru import logger
from mutations import MUTATIONS, QUICK, first_found
from replicas import Place

from cdc.postgres.server.embedded import EmbeddedServer

BACKLOGS = int(os.environ.get("CDC_BACKLOGS", "5"))
FIRST = int(os.environ.get("CDC_SEED", time.time_ns() // 1000 if "CDC_FRESH" in os.environ else 0))
SEEDS = range(FIRST, FIRST + (1 if "CDC_SEED" in os.environ else BACKLOGS))


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


def test_backlogs_leave_both_databases_equal(runner: asyncio.Runner, place: Place) -> None:
    for seed in SEEDS:
        found = runner.run(run_backlogs(place, seed))
        assert found is None, f"replay with CDC_SEED={seed}: {found}"


@pytest.mark.parametrize("name", QUICK)
def test_a_fault_that_is_put_back_is_found(runner: asyncio.Runner, place: Place, name: str) -> None:
    first = QUICK[name]
    found = runner.run(first_found(place, name, iter(range(first, first + MUTATIONS[name].most))))
    assert found is not None, f"nothing from seed {first} on found: {name}"
