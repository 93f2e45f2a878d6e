"""The daemon as systemd has it: started with its environment, told by its signals, and heard on its socket."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import apsw
import asyncpg
import msgspec
import pytest
from comparison import Comparison
from fake_systemd import Supervisor
from harness import (
    Daemon,
    application,
    execute,
    make_config,
    up,
    value,
    wait_for,
    wait_until_caught_up,
    write_config,
)

from cdc.audit import trail
from cdc.config import Config
from cdc.errors import ExitCode
from cdc.facts.progress import Silent
from cdc.faults import STALL_POINTS
from cdc.first_copy import create_schema, snapshots
from cdc.postgres.connection.open import Connection
from cdc.postgres.server import embedded
from cdc.postgres.server.embedded import EmbeddedServer

STOP_SECONDS: Final = 10.0  # within which a stop ends by itself
WATCHDOG_SECONDS: Final = 1.5
MANY: Final = 300  # changes that are read in a thread and not in the event loop

SCHEMA: Final = """
CREATE TABLE note(id INTEGER PRIMARY KEY, body TEXT);
CREATE TABLE tag(name TEXT PRIMARY KEY, n INTEGER);
INSERT INTO note(body) VALUES ('one'), ('two');
"""
# A check that lets nothing in before the gate is open, so that a statement takes as long as a test wants.
GATE: Final = """
CREATE TABLE gate(open boolean);
CREATE FUNCTION passes() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    WHILE NOT EXISTS (SELECT FROM public.gate) LOOP PERFORM pg_sleep(0.05); END LOOP;
    RETURN true;
END $$;
ALTER TABLE note ADD CHECK (passes()) NOT VALID;
"""


class Stage:
    """An application that writes, its replica, and the daemon as systemd starts it."""

    def __init__(self, folder: Path, config: Config, app: apsw.Connection) -> None:
        self.folder = folder
        self.config = config
        self.app = app

    @property
    def dsn(self) -> str:
        return self.config.target.dsn

    def write(self, rows: int = 1) -> None:
        """The application commits so many rows in one transaction."""
        with self.app:
            for _ in range(rows):
                self.app.execute("INSERT INTO note(body) VALUES (hex(randomblob(4)))")

    @contextmanager
    def started(
        self, *command: str, environment: Mapping[str, str] | None = None, **supervision: Any
    ) -> Iterator[tuple[Daemon, Supervisor]]:
        with Supervisor(self.folder, **supervision) as supervisor:
            told = {**supervisor.environment, **(environment or {})}
            with Daemon(self.config, command or ("run",), told) as daemon:
                yield daemon, supervisor

    async def caught_up(self, daemon: Daemon) -> None:
        await wait_until_caught_up(self.config, self.dsn, daemon=daemon)

    async def stops(self, daemon: Daemon, number: int = signal.SIGTERM, *, again: bool = False) -> None:
        """Told to stop, it ends by itself in time and without an error."""
        daemon.process.send_signal(number)
        if again:
            await wait_for(_told(daemon, "told to stop"), "the first signal to arrive")
            daemon.process.send_signal(number)
        code = await asyncio.to_thread(daemon.wait, STOP_SECONDS)
        assert code == ExitCode.OK, daemon.words()

    async def is_whole(self) -> None:
        """Started again, the daemon brings both databases to the same state."""
        with Daemon(self.config, ("up",)) as daemon:
            self.write()
            await self.caught_up(daemon)
            target = await asyncpg.connect(self.dsn)
            try:
                assert await Comparison(self.app, target).differences() == []
            finally:
                await target.close()


def _told(daemon: Daemon, words: str) -> Callable[[], Awaitable[bool]]:
    return _async(lambda: words in daemon.words())


def _async(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return condition()

    return holds


@pytest.fixture
async def stage(tmp_path: Path, database: str) -> AsyncIterator[Stage]:
    async with staged(tmp_path, database) as found:
        await up(found.config)
        yield found


@asynccontextmanager
async def staged(folder: Path, dsn: str, **replicate: Any) -> AsyncIterator[Stage]:
    app = application(folder / "app.db")
    app.execute(SCHEMA)
    try:
        yield Stage(folder, make_config(folder, folder / "app.db", dsn, **replicate), app)
    finally:
        app.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A Postgres of this test alone, for tests that end it or have it hang."""
    with embedded.start(tmp_path / "server", settings={"fsync": "off"}) as server:
        yield server


@asynccontextmanager
async def locked(dsn: str, statement: str, name: str = "a curious operator") -> AsyncIterator[Connection]:
    """Somebody else holds a lock for the time of a block."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": name})
    try:
        await connection.execute(f"BEGIN; {statement}")
        yield connection
    finally:
        await connection.close()


async def is_held_up(dsn: str, daemon: Daemon) -> None:
    """Wait until the daemon's backend waits for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'cdc %'"

    async def held_up() -> bool:
        return bool(await value(dsn, waits))

    await wait_for(held_up, "the daemon to wait for a lock", daemon=daemon)


@contextmanager
def hanging(server: EmbeddedServer) -> Iterator[None]:
    """The server takes connections and answers nothing, as one does whose disk hangs."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    processes = [server.pid, *map(int, children.split())]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


# --- readiness and status ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("abstract", [False, True], ids=["a socket in a folder", "an abstract socket"])
async def test_it_is_ready_when_changes_flow_and_stopping_when_it_is_told_to(stage: Stage, abstract: bool) -> None:
    with stage.started(abstract=abstract) as (daemon, supervisor):
        await supervisor.hears("READY=1", daemon=daemon)
        stage.write()
        await stage.caught_up(daemon)
        await supervisor.hears(lambda line: line.startswith("STATUS=following the application: no lag"), daemon=daemon)
        await stage.stops(daemon)
        told = [line for line in supervisor.heard if not line.startswith(("STATUS=", "EXTEND_TIMEOUT_USEC="))]
        assert told == ["READY=1", "STOPPING=1"]


async def test_stopping_is_told_when_the_end_begins(stage: Stage) -> None:
    async with locked(stage.dsn, "LOCK TABLE note"):
        with stage.started() as (daemon, supervisor):
            await supervisor.hears("READY=1", daemon=daemon)
            stage.write()
            await is_held_up(stage.dsn, daemon)
            daemon.process.terminate()
            await supervisor.hears("STOPPING=1", daemon=daemon)
            assert daemon.runs


async def test_it_is_never_ready_while_postgres_is_away(stage: Stage) -> None:
    away = msgspec.structs.replace(
        stage.config, target=msgspec.structs.replace(stage.config.target, dsn="postgresql://x@127.0.0.1:1/x")
    )
    stage.config = away
    with stage.started() as (daemon, supervisor):
        assert daemon.wait() == ExitCode.UNAVAILABLE
        assert "READY=1" not in supervisor.heard
        assert any(s.startswith("ended: Postgres at 127.0.0.1:1/x cannot be reached") for s in supervisor.statuses)


async def test_it_is_not_ready_while_it_settles(stage: Stage) -> None:
    async with locked(stage.dsn, "LOCK TABLE cdc.stream"):
        with stage.started() as (daemon, supervisor):
            await is_held_up(stage.dsn, daemon)
            await supervisor.hears("STATUS=starting: opening both databases", daemon=daemon)
            assert "READY=1" not in supervisor.heard


async def test_it_says_which_database_it_waits_for_and_that_it_lives(
    tmp_path: Path, own_server: EmbeddedServer
) -> None:
    async with staged(tmp_path, own_server.dsn) as stage:
        await up(stage.config)
        with stage.started(watchdog_seconds=WATCHDOG_SECONDS) as (daemon, supervisor):
            await supervisor.hears("READY=1", daemon=daemon)
            own_server.stop()
            await supervisor.hears(lambda line: line.startswith("STATUS=waiting for Postgres"), daemon=daemon)
            await supervisor.pings(4, daemon=daemon)
            with embedded.start(tmp_path / "server", settings={"fsync": "off"}):
                stage.write()
                await stage.caught_up(daemon)
                await wait_for(
                    _async(lambda: "no lag" in supervisor.statuses[-1]), "the status of before", daemon=daemon
                )
                assert supervisor.count("READY=1") == 1
                await stage.stops(daemon)


async def test_a_first_copy_asks_for_more_time_and_tells_how_far_it_is(tmp_path: Path, database: str) -> None:
    async with staged(tmp_path, database) as stage:
        with stage.started("up", environment={"CDC_STALL_AT": "snapshot.copy"}) as (daemon, supervisor):
            await supervisor.hears(lambda line: line.startswith("EXTEND_TIMEOUT_USEC="), daemon=daemon)
            await supervisor.hears(lambda line: line.startswith("STATUS=first copy: snapshot"), daemon=daemon)
            assert "READY=1" not in supervisor.heard


# --- the watchdog -----------------------------------------------------------------------------------------------------


async def test_an_idle_daemon_shows_that_it_lives(stage: Stage) -> None:
    with stage.started(watchdog_seconds=WATCHDOG_SECONDS) as (daemon, supervisor):
        await supervisor.hears("READY=1", daemon=daemon)
        await supervisor.pings(6, daemon=daemon)


async def test_a_daemon_that_polls_seldom_shows_that_it_lives(tmp_path: Path, database: str) -> None:
    async with staged(tmp_path, database, poll_seconds=3600.0) as stage:
        await up(stage.config)
        with stage.started(watchdog_seconds=21.0) as (daemon, supervisor):
            await supervisor.hears("READY=1", daemon=daemon)
            await supervisor.pings(3, daemon=daemon)


async def test_signs_of_life_are_not_told_when_they_are_expected_of_another_process(stage: Stage) -> None:
    with stage.started(environment={"WATCHDOG_PID": "1"}, watchdog_seconds=0.2) as (daemon, supervisor):
        await supervisor.hears(lambda line: "no lag" in line, daemon=daemon)
        stage.write()
        await stage.caught_up(daemon)
        await stage.stops(daemon)
        assert "WATCHDOG=1" not in supervisor.heard


async def test_a_statement_that_takes_long_is_no_silence(stage: Stage) -> None:
    await execute(stage.dsn, GATE)
    with stage.started(watchdog_seconds=WATCHDOG_SECONDS) as (daemon, supervisor):
        await supervisor.hears("READY=1", daemon=daemon)
        stage.write(MANY)
        await supervisor.hears(lambda line: line.startswith("STATUS=following the application: applying"))
        await supervisor.pings(6, daemon=daemon)
        assert await value(stage.dsn, "SELECT count(*) FROM note") == 2
        await execute(stage.dsn, "INSERT INTO gate VALUES (true)")
        await stage.caught_up(daemon)
        await supervisor.pings(2, daemon=daemon)


async def test_a_lock_of_somebody_else_is_no_silence_and_is_told_by_name(stage: Stage) -> None:
    with stage.started(watchdog_seconds=WATCHDOG_SECONDS) as (daemon, supervisor):
        await supervisor.hears("READY=1", daemon=daemon)
        async with locked(stage.dsn, "LOCK TABLE note") as holder:
            stage.write()
            await supervisor.pings(6, daemon=daemon)
            named = f"process {holder.get_server_pid()} (a curious operator)"
            assert f'a statement waits in Postgres for a lock  blockers="{named}"' in daemon.words()
            assert f"following the application: waiting in Postgres for a lock of {named}" in supervisor.statuses
        await stage.caught_up(daemon)


@pytest.mark.parametrize("point", ["loop.step:3", "sqlite.read"])
async def test_a_daemon_that_hangs_shows_no_sign_of_life(stage: Stage, point: str) -> None:
    assert point.partition(":")[0] in STALL_POINTS
    stalled = {"CDC_STALL_AT": point}
    with stage.started(environment=stalled, watchdog_seconds=WATCHDOG_SECONDS) as (daemon, supervisor):
        await supervisor.hears("READY=1", daemon=daemon)
        stage.write(MANY)
        await supervisor.misses_a_ping(daemon=daemon)
        daemon.process.send_signal(signal.SIGABRT)  # as systemd does
        daemon.wait()
    await stage.is_whole()


async def test_a_server_that_hangs_is_no_sign_of_life(tmp_path: Path, own_server: EmbeddedServer) -> None:
    async with staged(tmp_path, own_server.dsn) as stage:
        await up(stage.config)
        with stage.started(watchdog_seconds=WATCHDOG_SECONDS) as (daemon, supervisor):
            await supervisor.pings(1, daemon=daemon)
            with hanging(own_server):
                await supervisor.misses_a_ping(daemon=daemon)
        await stage.is_whole()


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_daemon_stops_at_once(stage: Stage, number: int) -> None:
    with stage.started() as (daemon, supervisor):
        await supervisor.hears("READY=1", daemon=daemon)
        await stage.stops(daemon, number)
        assert "given up" not in daemon.words()
    assert await value(stage.dsn, "SELECT stopped_reason IS NULL FROM cdc.stream")


async def test_a_stop_lets_the_transaction_under_way_finish(stage: Stage) -> None:
    await execute(stage.dsn, GATE)
    with stage.started() as (daemon, supervisor):
        await supervisor.hears("READY=1", daemon=daemon)
        stage.write(MANY)
        await supervisor.hears(lambda line: "applying changes" in line, daemon=daemon)
        daemon.process.terminate()
        await supervisor.hears("STOPPING=1", daemon=daemon)
        await execute(stage.dsn, "INSERT INTO gate VALUES (true)")
        assert daemon.wait(STOP_SECONDS) == ExitCode.OK
        assert "given up" not in daemon.words()
    assert await value(stage.dsn, "SELECT count(*) FROM note") == 2 + MANY


@pytest.mark.parametrize("again", [False, True], ids=["told once", "told twice"])
async def test_a_stop_gives_up_a_transaction_that_waits_for_a_lock(stage: Stage, again: bool) -> None:
    async with locked(stage.dsn, "LOCK TABLE note IN EXCLUSIVE MODE"):  # the daemon may count its rows meanwhile
        with stage.started() as (daemon, supervisor):
            await supervisor.hears("READY=1", daemon=daemon)
            stage.write(MANY)
            await is_held_up(stage.dsn, daemon)
            await stage.stops(daemon, again=again)
            assert "given up" in daemon.words()
    assert await value(stage.dsn, "SELECT count(*) FROM note") == 2
    await stage.is_whole()


async def test_a_stop_while_it_settles(stage: Stage) -> None:
    async with locked(stage.dsn, "LOCK TABLE cdc.stream"):
        with stage.started() as (daemon, supervisor):
            await is_held_up(stage.dsn, daemon)
            await stage.stops(daemon)
            assert "STOPPING=1" in supervisor.heard
    await stage.is_whole()


async def test_a_stop_while_it_waits_for_postgres(tmp_path: Path, own_server: EmbeddedServer) -> None:
    async with staged(tmp_path, own_server.dsn) as stage:
        await up(stage.config)
        with stage.started() as (daemon, supervisor):
            await supervisor.hears("READY=1", daemon=daemon)
            own_server.stop()
            await supervisor.hears(lambda line: line.startswith("STATUS=waiting for Postgres"), daemon=daemon)
            stage.write(MANY)
            await stage.stops(daemon)
        with embedded.start(tmp_path / "server", settings={"fsync": "off"}):
            await stage.is_whole()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "with changes to apply"])
async def test_a_stop_while_postgres_hangs(tmp_path: Path, own_server: EmbeddedServer, busy: bool) -> None:
    async with staged(tmp_path, own_server.dsn, heartbeat_seconds=0.05) as stage:
        await up(stage.config)
        with stage.started() as (daemon, supervisor):
            await supervisor.hears("READY=1", daemon=daemon)
            with hanging(own_server):
                stage.write(MANY if busy else 0)
                await supervisor.hears(lambda line: line.startswith("STATUS=following"), daemon=daemon)
                await stage.stops(daemon)
        await stage.is_whole()


async def test_a_stop_while_a_read_of_sqlite_hangs(stage: Stage) -> None:
    with stage.started(environment={"CDC_STALL_AT": "sqlite.read"}) as (daemon, supervisor):
        await supervisor.hears("READY=1", daemon=daemon)
        stage.write(MANY)
        await supervisor.hears(lambda line: "applying" in line or "no lag" in line, daemon=daemon)
        await stage.stops(daemon)
    await stage.is_whole()


async def test_a_stop_while_the_first_copy_is_taken(tmp_path: Path, database: str) -> None:
    async with staged(tmp_path, database) as stage:
        with stage.started("up", environment={"CDC_STALL_AT": "snapshot.copy"}) as (daemon, supervisor):
            await supervisor.hears(lambda line: line.startswith("STATUS=first copy: snapshot"), daemon=daemon)
            await stage.stops(daemon)
            assert "STOPPING=1" in supervisor.heard
        await stage.is_whole()


async def test_a_stop_while_the_first_copy_is_loaded(tmp_path: Path, database: str) -> None:
    async with staged(tmp_path, database) as stage:
        stage.write(MANY)
        await snapshots.take_snapshot(stage.config, Silent())
        await create_schema.create_schema(stage.config)
        async with locked(database, "LOCK TABLE note"):
            with stage.started("up") as (daemon, supervisor):
                await is_held_up(database, daemon)
                await supervisor.hears(lambda line: line.startswith("STATUS=first copy"), daemon=daemon)
                await stage.stops(daemon)


async def test_an_embedded_server_ends_after_the_daemon_and_in_order(tmp_path: Path) -> None:
    async with staged(tmp_path, "embedded") as stage:
        with stage.started("up") as (daemon, supervisor):
            await supervisor.hears("READY=1", daemon=daemon)
            daemon.process.terminate()
            assert daemon.wait() == ExitCode.OK
        assert "database system is shut down" in (stage.config.state.dir / "postgres" / "server.log").read_text()
        assert embedded.find(stage.config.state.dir / "postgres") is None


async def test_a_catch_up_that_was_told_to_stop_has_not_done_what_was_asked(stage: Stage) -> None:
    async with locked(stage.dsn, "LOCK TABLE note"):
        stage.write()
        with stage.started("run", "--until-idle") as (daemon, _):
            await is_held_up(stage.dsn, daemon)
            assert daemon.terminate() == 128 + signal.SIGTERM


# --- reading the configuration again ----------------------------------------------------------------------------------


async def test_a_reload_takes_up_another_choice_of_tables(tmp_path: Path, database: str) -> None:
    async with staged(tmp_path, database, exclude=["tag"]) as stage:
        await up(stage.config)
        with stage.started() as (daemon, supervisor):
            await supervisor.hears("READY=1", daemon=daemon)
            stage.app.execute("INSERT INTO tag VALUES ('a', 1)")
            stage.config = make_config(tmp_path, tmp_path / "app.db", database, heartbeat_seconds=1.0)
            write_config(daemon.file, stage.config)
            daemon.process.send_signal(signal.SIGHUP)
            await supervisor.hears("READY=1", 2, daemon=daemon)
            told = [line for line in supervisor.heard if line.startswith(("READY", "RELOADING", "MONOTONIC"))]
            assert told[1] == "RELOADING=1"
            assert re.fullmatch(r"MONOTONIC_USEC=\d+", told[2])
            await stage.caught_up(daemon)
            assert await value(database, "SELECT count(*) FROM tag") == 1
            assert 'keys="replicate.exclude, replicate.heartbeat_seconds"' in daemon.words()
        entry = next(e for e in trail.read(stage.config.state.dir) if e.action == "reload")
        assert (entry.result, entry.details) == (
            "done",
            {"keys": "replicate.exclude, replicate.heartbeat_seconds"},
        )


REFUSED: Final[dict[str, tuple[Callable[[str], str], str]]] = {
    "a broken file": (lambda c: "[source\n", "is not valid TOML"),
    "an unknown key": (lambda c: f"{c}\n[snapshots]\n", "snapshots"),
    "another file": (
        lambda c: c.replace("app.db", "other.db"),
        "this cannot change while the daemon runs: source.path",
    ),
    "another server": (
        lambda c: re.sub('"dsn" = ".*"', '"dsn" = "postgresql://x@y/z"', c),
        "this cannot change while the daemon runs: target.dsn",
    ),
    "another folder": (
        lambda c: re.sub('"dir" = ".*"', '"dir" = "elsewhere"', c),
        "this cannot change while the daemon runs: state.dir",
    ),
    "a target that is not there": (
        lambda c: f'{c}\n[tables.note]\ntarget = "nowhere"\n',
        "tables are missing in Postgres: nowhere",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_reload_that_is_refused_leaves_everything_as_it_was(stage: Stage, case: str) -> None:
    change, reason = REFUSED[case]
    with stage.started() as (daemon, supervisor):
        await supervisor.hears("READY=1", daemon=daemon)
        text = daemon.file.read_text()
        daemon.file.write_text(change(text))
        daemon.process.send_signal(signal.SIGHUP)
        await supervisor.hears("READY=1", 2, daemon=daemon)
        assert "the new configuration is refused; the old one stays" in daemon.words()
        assert reason in daemon.words()
        stage.write(MANY)
        await stage.caught_up(daemon)
        daemon.file.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
        await supervisor.hears("READY=1", 3, daemon=daemon)
        assert "the configuration is as it was" in daemon.words()
        await stage.stops(daemon)
    entry = next(e for e in trail.read(stage.config.state.dir) if e.action == "reload")
    assert entry.result == "failed"
    assert reason in str(entry.details["reason"])


async def test_a_reload_before_it_is_ready_does_not_make_it_look_ready(stage: Stage) -> None:
    async with locked(stage.dsn, "LOCK TABLE cdc.stream"):
        with stage.started() as (daemon, supervisor):
            await is_held_up(stage.dsn, daemon)
            daemon.process.send_signal(signal.SIGHUP)
            await wait_for(_told(daemon, "is read again only once changes flow"), "the refusal", daemon=daemon)
            assert not {"READY=1", "RELOADING=1"} & set(supervisor.heard)


async def test_a_reload_while_postgres_is_away_is_taken_up_when_it_is_back(
    tmp_path: Path, own_server: EmbeddedServer
) -> None:
    async with staged(tmp_path, own_server.dsn, exclude=["tag"]) as stage:
        await up(stage.config)
        with stage.started() as (daemon, supervisor):
            await supervisor.hears("READY=1", daemon=daemon)
            own_server.stop()
            await supervisor.hears(lambda line: line.startswith("STATUS=waiting for Postgres"), daemon=daemon)
            write_config(daemon.file, make_config(tmp_path, tmp_path / "app.db", stage.dsn))
            daemon.process.send_signal(signal.SIGHUP)
            await supervisor.hears("READY=1", 2, daemon=daemon)
            stage.app.execute("INSERT INTO tag VALUES ('a', 1)")
            with embedded.start(tmp_path / "server", settings={"fsync": "off"}):
                await wait_for(_told(daemon, "the configuration was read again"), "the reload", daemon=daemon)
                await stage.caught_up(daemon)
                assert await value(stage.dsn, "SELECT count(*) FROM tag") == 1
                await stage.stops(daemon)


# --- credentials and logs ---------------------------------------------------------------------------------------------


async def test_the_password_comes_from_the_credentials_of_the_unit(tmp_path: Path, own_server: EmbeddedServer) -> None:
    secret = "tops3cret with blanks"
    async with staged(tmp_path, own_server.dsn) as stage:
        await up(stage.config)
        await execute(own_server.dsn, f"ALTER ROLE postgres PASSWORD '{secret}'")
        (own_server.folder / "data" / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        os.kill(own_server.pid, signal.SIGHUP)
        await wait_for(lambda: _is_refused(own_server.dsn), "the server to ask for a password")
        with stage.started() as (daemon, _):
            assert daemon.wait() == ExitCode.UNAVAILABLE
            assert "refused the login" in daemon.words() or "no password" in daemon.words()
        (tmp_path / "credentials").mkdir()
        (tmp_path / "credentials" / "cdc-password").write_text(secret + "\n")
        given = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
        with stage.started(environment=given) as (daemon, supervisor):
            await supervisor.hears("READY=1", daemon=daemon)
            await stage.stops(daemon)
        with stage.started(environment={**given, "PGPASSWORD": "another"}) as (daemon, supervisor):
            assert daemon.wait() == ExitCode.UNAVAILABLE, "the environment comes before the credential"
            told = [path.read_text(errors="replace") for path in (tmp_path / "state").glob("*") if path.is_file()]
            assert secret not in "".join([*told, daemon.words(), *supervisor.heard])


async def _is_refused(dsn: str) -> bool:
    try:
        await (await asyncpg.connect(dsn)).close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError):
        return True
    return False
