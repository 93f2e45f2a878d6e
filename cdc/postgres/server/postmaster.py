"""Which process serves a data folder, by the pid file that Postgres writes there.

The lines that count here are the first, the process, the fifth, the folder of its socket, and the eighth, which says
when the server is ready (src/include/utils/pidfile.h of Postgres). It writes them one after the other as it starts.
"""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A server that lives; `ready` once it accepts connections."""

    pid: int
    socket: Path
    ready: bool


def read_pid_file(data: Path) -> str:
    """The pid file of a data folder, empty where there is none."""
    try:
        return (data / "postmaster.pid").read_text()
    except OSError:
        return ""


def _arguments_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def postmaster_of(data: Path, stale: str = "") -> Postmaster | None:
    """The live server of a data folder, told from any other process that got its number after a crash or reboot."""
    text = read_pid_file(data)
    lines = text.splitlines()
    if text == stale or not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    if os.fsencode(data) not in _arguments_of(pid):
        return None
    ready = len(lines) > 7 and lines[7].strip() == "ready"
    return Postmaster(pid, Path(lines[4]) if len(lines) > 4 else Path(), ready)


def drop_recycled(data: Path) -> None:
    """Remove a dead server's pid file when its number now belongs to something that is no Postgres.

    Postgres clears a pid file of a dead process by itself, but refuses one whose number is taken, which is common
    after a container restarts: process numbers there are small and come again.
    """
    first = read_pid_file(data).partition("\n")[0].strip()
    arguments = _arguments_of(int(first)) if first.isdigit() else []
    if arguments and not any(b"postgres" in argument for argument in arguments):
        (data / "postmaster.pid").unlink(missing_ok=True)
