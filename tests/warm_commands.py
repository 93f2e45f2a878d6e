"""`cdc` as a process of its own, without the second that Python needs to start and import it.

A template process has everything imported and forks for each command. What it forks has its own process number,
streams, signals, environment and working directory, is a child of the tests, and ends as any Python does. That `cdc`
starts from nothing is seen by the tests that run the installed program.
"""

import atexit
import contextlib
import ctypes
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

_PROGRAM: Final = Path(__file__).with_name("warm_template.py")
_PR_SET_CHILD_SUBREAPER: Final = 36
_STARTED_SECONDS: Final = 60.0


class WarmCommand:
    """A running command, with the part of `subprocess.Popen` that tests ask for; `environment` is added to ours."""

    def __init__(
        self,
        arguments: Sequence[str],
        output: IO[Any],
        *,
        errors: IO[Any] | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.arguments = list(arguments)
        self.returncode: int | None = None
        self._looking = threading.Lock()
        request = {
            "arguments": self.arguments,
            "environment": {**os.environ, **(environment or {})},
            "folder": str(folder or Path.cwd()),
            "umask": _umask(),
        }
        with Path(os.devnull).open("rb") as nothing:
            streams = [stream.fileno() for stream in (nothing, output, errors or output)]
            self.pid = _template().fork(request, streams)

    def poll(self) -> int | None:
        """The exit code when it ended, negative for a signal, else None."""
        with self._looking:
            if self.returncode is None:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if ended else None
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code once it ended; raises `subprocess.TimeoutExpired` after so many seconds."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended, and another thread has its code
                _wait_for_end(self.pid, timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self.arguments, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing happens when it ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


def _wait_for_end(pid: int, timeout: float | None) -> None:
    ending = os.pidfd_open(pid)
    try:
        select.select([ending], [], [], timeout)
    finally:
        os.close(ending)


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current


class _Template:
    """The process that forks; it ends when the tests do."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.settimeout(_STARTED_SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                cwd=_PROGRAM.parents[1],
            )
        atexit.register(self._end)

    def fork(self, request: Mapping[str, object], streams: Sequence[int]) -> int:
        """The number of a new child of this process."""
        with self._one_at_a_time, _adopting():
            socket.send_fds(self._requests, [json.dumps(request).encode()], streams)
            pid = int(self._requests.recv(64))
            assert self._requests.recv(64) == b"adopted"
        return pid

    def _end(self) -> None:
        self._requests.close()
        self._process.wait()


@functools.cache
def _template() -> _Template:
    return _Template()


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Whoever loses his parent below this process becomes its child, not that of the first process."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def run_warm(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    seconds: float = 60.0,
) -> tuple[int, str, str]:
    """Run a command to its end: exit code, stdout, stderr. Raises `subprocess.TimeoutExpired`, and kills it then."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        command = WarmCommand(arguments, output, errors=errors, environment=environment, folder=folder)
        try:
            code = command.wait(seconds)
        finally:
            command.send_signal(signal.SIGKILL)
        for stream in (output, errors):
            stream.seek(0)
        return code, output.read(), errors.read()
