"""What the figures were measured on and with."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import apsw

from cdc.postgres.server import embedded

ROOT = Path(__file__).parents[1]


def facts() -> dict[str, str]:
    """The machine, the versions of everything that takes part, the commit and the date."""
    kibibytes = int(_first("/proc/meminfo", r"MemTotal:\s+(\d+)"))
    system = _first("/etc/os-release", r'PRETTY_NAME="(.+)"')
    return {
        "processor": _first("/proc/cpuinfo", r"model name\s*: (.+)"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{kibibytes / 1024**2:.0f} GiB",
        "system": f"{system}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "SQLite": apsw.sqlite_lib_version(),
        "apsw": version("apsw"),
        "asyncpg": version("asyncpg"),
        "Postgres": _number(str(embedded.bundled_binaries() / "postgres"), "--version"),
        "pgloader": pgloader_version() or "not installed",
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def pgloader_version() -> str | None:
    """The version of the peer, None when it is not installed."""
    return _number("pgloader", "--version") if shutil.which("pgloader") else None


def _first(file: str, pattern: str) -> str:
    found = re.search(pattern, Path(file).read_text(encoding="utf-8"))
    return found[1] if found else "0"


def _number(*command: str) -> str:
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+(?:\.\d+)+\S*|\d+", told)
    return found[0].strip('"') if found else told.strip()


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # Only what runs counts: the record itself is about to be written.
        changed = git("status", "--porcelain", "--", "cdc", "triggers", "benchmarks/*.py")
        return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
