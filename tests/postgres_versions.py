"""Which versions of Postgres there are to test with: the bundled one, one that a wheel brings, those of Debian.

`python tests/postgres_versions.py 15 16 18` shows them, and fails when one of these is missing.
"""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from cdc.postgres.server import embedded

_DEBIAN = Path("/usr/lib/postgresql")


@cache
def postgres_versions() -> dict[int, Path]:
    """The folder of programs of each major version, the newest first; of two with the same version, the first found."""
    versions: dict[int, Path] = {}
    for folder in _folders():
        versions.setdefault(_version(folder), folder)
    return dict(sorted(versions.items(), reverse=True))


def _folders() -> Iterator[Path]:
    yield embedded.bundled_binaries()
    wheel = importlib.util.find_spec("pgserver")  # not imported: it would set up a server of its own
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    yield from sorted(program.parent for program in _DEBIAN.glob("*/bin/postgres"))


def _version(folder: Path) -> int:
    command = [str(folder / "postgres"), "--version"]
    words = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    number = re.search(r"\d+", words)
    assert number is not None, words
    return int(number[0])


if __name__ == "__main__":
    for version, folder in postgres_versions().items():
        print(f"Postgres {version}: {folder}")
    missing = set(map(int, sys.argv[1:])) - set(postgres_versions())
    sys.exit(f"not there: {sorted(missing)}" if missing else 0)
