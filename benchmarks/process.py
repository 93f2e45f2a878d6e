"""A running program, and what the kernel counts for it."""

import os
import subprocess
import time
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Process:
    """A program that was started, here to be measured."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._folder = Path(f"/proc/{process.pid}")

    def peak_until_end(self) -> float:
        """Wait for its end; returns the largest resident size that was seen, in MB. Raises when it failed."""
        peak = 0.0
        while self._process.poll() is None:
            peak = max(peak, peak_rss_mb(self._process.pid))
            time.sleep(0.02)
        self.check()
        return peak

    def check(self) -> None:
        """Raises when it failed."""
        if self._process.poll():
            raise SystemExit(f"the command ended with code {self._process.returncode}")

    def rss_mb(self) -> float:
        """The resident size now."""
        return _status(self._folder, "VmRSS") / 1024

    def cpu_seconds(self) -> float:
        """Processor time so far, of all its threads."""
        stat = (self._folder / "stat").read_text(encoding="ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS_PER_SECOND

    def wakeups(self) -> int:
        """How often any of its threads went to sleep and was woken."""
        return sum(_status(thread, "voluntary_ctxt_switches") for thread in (self._folder / "task").iterdir())

    def holds(self, file: Path) -> bool:
        """Whether it has a file open."""
        return any(_link(entry) == str(file) for entry in (self._folder / "fd").iterdir())


def peak_rss_mb(pid: int | str = "self") -> float:
    """The largest resident size of a program since it began, in MB; 0 when it has just ended.

    Not getrusage: that inherits the peak of the process which started this one.
    """
    return _status(Path(f"/proc/{pid}"), "VmHWM") / 1024


def forget_peak() -> None:
    """Let the largest resident size of this process be what it has now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(folder: Path, name: str) -> int:
    try:
        lines = (folder / "status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def _link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except FileNotFoundError:
        return ""
