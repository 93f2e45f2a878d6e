"""Whatever the application does to its schema between its writes, Postgres holds what SQLite holds in the end.

The runs are the same each time; `CDC_FRESH=1` draws others, and `CDC_SEED=17` replays one.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import asyncpg
import pytest
from comparison import Comparison
from fast_folder import fast_folder
from harness import application, live, load, make_config
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from loguru import logger
from migrations import Application
from replicas import Place, attempt

from cdc.config import Config
from cdc.postgres.connection.open import connect
from cdc.postgres.record.record import Record
from cdc.postgres.server.embedded import EmbeddedServer
from cdc.sql_names import quote
from cdc.verify.schema_check import SchemaCheck

PARTS = 2  # so that several test processes share them
APPLICATIONS = int(os.environ.get("CDC_APPLICATIONS", "6"))
STEPS = 30
REPLAYED = os.environ.get("CDC_SEED")
KNOWN = [
    0,  # a table was built anew without its uniqueness, which went on refusing rows in Postgres
    19,  # rows waited for a parent whose table was dropped
]
SEEDS = st.just(int(REPLAYED)) if REPLAYED else st.integers(0, 2**48)


class Runs:
    """Runs applications on one event loop and one server."""

    def __init__(self, runner: asyncio.Runner, place: Place) -> None:
        self._runner = runner
        self._place = place

    def run(self, seed: int) -> list[str]:
        """What differs in the end, or what went wrong on the way; empty when all is well."""
        return self._runner.run(follow(self._place, seed))


async def follow(place: Place, seed: int) -> list[str]:
    random = Random(f"migrations {seed}")
    folder = place.folder / str(seed)
    folder.mkdir(exist_ok=True)
    file = application(folder / "app.db", wal=random.random() < 0.6)
    app = Application(random, file)
    for sql in app.begin():
        attempt(file, sql)
    config = make_config(folder, folder / "app.db", place.dsn, schema=f"m{seed}")
    seen_share = random.choice((0.1, 0.4, 0.9))  # how often the daemon looks, between the statements of a step too
    try:
        await load(config)
        async with live(config) as replica:
            for _ in range(STEPS):
                for sql in app.step():
                    attempt(file, sql)
                    if file.get_autocommit() and random.random() < seen_share:
                        await replica.sync()
            attempt(file, "COMMIT")
            await replica.sync()
            return [
                *await Comparison(file, place.connection, config.target.schema).differences(),
                *await altered(config, file, place.dsn),
            ]
    finally:
        file.close()
        await place.connection.execute(f"DROP SCHEMA IF EXISTS {quote(config.target.schema)} CASCADE")


async def altered(config: Config, file: apsw.Connection, dsn: str) -> list[str]:
    """What of the schema is not as today's DDL would make it, although nobody but the application altered anything."""
    connection = await connect(dsn, purpose="test")
    try:
        source_id = str(file.execute("SELECT source_id FROM _cdc_state").get)
        report = await SchemaCheck(config).look(Record(connection, source_id))
        return ["it has not settled"] if report is None else [found.words for found in report.findings]
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def runs(server: EmbeddedServer) -> Iterator[Runs]:
    logger.disable("cdc")
    with asyncio.Runner() as runner, fast_folder() as folder:
        quiet = {"client_min_messages": "warning"}
        connection = runner.run(asyncpg.connect(server.dsn, server_settings=quiet))
        try:
            yield Runs(runner, Place(Path(folder), server.dsn, connection))
        finally:
            runner.run(connection.close())
            logger.enable("cdc")


@pytest.mark.parametrize("part", range(1 if REPLAYED else PARTS))
@settings(
    max_examples=max(1, APPLICATIONS // PARTS),
    deadline=None,
    derandomize="CDC_FRESH" not in os.environ,
    print_blob=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # a smaller seed is no simpler application
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
@given(seed=SEEDS)
def test_postgres_follows_an_application_that_changes_its_schema(runs: Runs, part: int, seed: int) -> None:
    distinct = seed if REPLAYED else seed * PARTS + part
    assert runs.run(distinct) == [], f"replay with CDC_SEED={distinct}"


@pytest.mark.parametrize("seed", KNOWN)
def test_applications_that_once_found_something_find_nothing(runs: Runs, seed: int) -> None:
    assert runs.run(seed) == [], f"replay with CDC_SEED={seed}"
