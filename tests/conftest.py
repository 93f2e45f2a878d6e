"""What every test may ask for: a clean environment, real Postgres servers, and a fresh database on them."""

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw
import pytest
from harness import application, make_config, up
from installation import CLOSED_PORT, Installation

from cdc.config import Config
from cdc.postgres.server import embedded
from cdc.postgres.server.embedded import EmbeddedServer

BUNDLED = "bundled"
SYSTEM = sorted(str(found.parent) for found in Path("/usr/lib/postgresql").glob("*/bin/postgres"))
# What a power cut would leave does not matter to a test; everything else is as users have it.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "2GB", "max_connections": "100"}

StartServer = Callable[[str], EmbeddedServer]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("PG", "CDC_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Starts a server from a folder of programs (or `BUNDLED`) once in a test process; all stop at its end."""
    started: dict[str, EmbeddedServer] = {}
    with ExitStack() as running:

        def start(binaries: str) -> EmbeddedServer:
            if binaries not in started:
                programs = embedded.bundled_binaries() if binaries == BUNDLED else Path(binaries)
                folder = tmp_path_factory.mktemp("postgres")
                started[binaries] = running.enter_context(embedded.start(folder, binaries=programs, settings=SETTINGS))
            return started[binaries]

        yield start


@pytest.fixture(scope="session")
def server(start_server: StartServer) -> EmbeddedServer:
    """The newest Postgres there is: the bundled one."""
    return start_server(BUNDLED)


@pytest.fixture(scope="session", params=[BUNDLED, *SYSTEM])
def any_server(request: pytest.FixtureRequest, start_server: StartServer) -> EmbeddedServer:
    """Every Postgres there is, one after the other."""
    return start_server(request.param)


@pytest.fixture
def database(server: EmbeddedServer) -> Iterator[str]:
    """The URI of an empty database that is gone after the test."""
    with fresh_database(server) as dsn:
        yield dsn


@pytest.fixture
def any_database(any_server: EmbeddedServer) -> Iterator[str]:
    """The same on every Postgres there is."""
    with fresh_database(any_server) as dsn:
        yield dsn


@contextmanager
def fresh_database(server: EmbeddedServer) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    _administer("createdb", server, "--template=template0", name)
    try:
        yield server.database_dsn(name)
    finally:
        _administer("dropdb", server, "--force", name)


def _administer(program: str, server: EmbeddedServer, *arguments: str) -> None:
    binary = str(embedded.bundled_binaries() / program)
    command = [binary, f"--host={server.socket}", "--username=postgres", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
def app(request: pytest.FixtureRequest, tmp_path: Path) -> apsw.Connection:
    """An application's connection to its file, which the test module's `SCHEMA` makes."""
    connection = application(tmp_path / "app.db")
    connection.execute(request.module.SCHEMA)
    return connection


@pytest.fixture
async def config(app: apsw.Connection, tmp_path: Path, database: str) -> Config:
    """The configuration of that file once it is loaded; a daemon looks at both ends many times a second."""
    config = make_config(tmp_path, app.filename, database, heartbeat_seconds=0.05)
    await up(config)
    return config


@pytest.fixture
def site(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Installation:
    """A configured source with an empty Postgres, and the working directory in its folder."""
    monkeypatch.chdir(tmp_path)
    return Installation(tmp_path, database, capsys)


@pytest.fixture
def cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Installation:
    """The same with a Postgres that cannot be reached."""
    monkeypatch.chdir(tmp_path)
    return Installation(tmp_path, CLOSED_PORT, capsys)
