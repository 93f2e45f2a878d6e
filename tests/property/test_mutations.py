"""The generator of random workloads finds faults that are put back on purpose, so it can find others.

`python -m tests.property.mutations` does so with all that are known, in some minutes; here are the quick ones.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from loguru import logger
from mutations import MUTATIONS, QUICK, first_found
from replicas import Place, fast_folder

from cdc.postgres.embedded import EmbeddedServer


@pytest.fixture
def quiet() -> Iterator[None]:
    logger.disable("cdc")
    yield
    logger.enable("cdc")


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.usefixtures("quiet")
async def test_a_fault_that_is_put_back_is_found(server: EmbeddedServer, name: str) -> None:
    connection = await asyncpg.connect(server.dsn, server_settings={"client_min_messages": "warning"})
    with tempfile.TemporaryDirectory(prefix="cdc-mutations-", dir=fast_folder()) as folder:
        place = Place(Path(folder), server.dsn, connection)
        first = QUICK[name]
        found = await first_found(place, name, iter(range(first, first + MUTATIONS[name].most)))
    await connection.close()
    assert found is not None, f"no workload from {first} on found: {name}"
