"""A dump of one schema by Postgres' own programs: found where they are installed, run, and its archive read back.

A program takes no server that is newer than itself. Of those that are new enough the oldest is chosen, so that its
archive is restored by as many others as can be. The password is handed over in the environment, never on a command
line.
"""

import asyncio
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdc.errors import TargetError, TargetUnavailable
from cdc.host import private_files
from cdc.log import redact
from cdc.postgres.connection.dsn import without_password
from cdc.postgres.server.embedded import bundled_binaries
from cdc.sql_names import quote

_PROGRAM: Final = "pg_dump"
_READER: Final = "pg_restore"
_INSTALLED: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin")
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")
_LAST_WORDS: Final = 300  # characters of what a program complained about
_DATA: Final = re.compile(r"^\d+; \d+ \d+ TABLE DATA (.*) \S+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DumpPrograms:
    """`pg_dump` with the `pg_restore` beside it, and the major version of both."""

    folder: Path
    version: int

    def __str__(self) -> str:
        """For people."""
        return f"{self.folder / _PROGRAM} {self.version}"


async def find_programs(server_version: int) -> DumpPrograms | None:
    """The programs for a server of this major version, None where none that is new enough is installed."""
    found = [made for folder in _folders() if (made := await _at(folder)) and made.version >= server_version]
    return min(found, key=lambda programs: programs.version, default=None)


def _folders() -> Iterable[Path]:
    """In which they may be, those of the operator's own path first."""
    places = [Path(place) for place in os.environ.get("PATH", "").split(os.pathsep) if place]
    for pattern in _INSTALLED:
        places += sorted(Path("/").glob(pattern.lstrip("/")))
    with suppress(TargetUnavailable):
        places.append(bundled_binaries())
    return dict.fromkeys(place for place in places if _is_itself(place / _PROGRAM) and _is_itself(place / _READER))


def _is_itself(program: Path) -> bool:
    """Not a wrapper, as Debian has it in the path, which takes another version for each server."""
    return program.is_file() and program.resolve().name == program.name


async def _at(folder: Path) -> DumpPrograms | None:
    try:
        code, told, _ = await _run([str(folder / _PROGRAM), "--version"])
    except OSError:
        return None
    found = _VERSION.search(told)
    return DumpPrograms(folder, int(found[1])) if found and code == 0 else None


async def try_dump(programs: DumpPrograms, dsn: str, password: str | None, schema: str) -> None:
    """Dump the schema without its rows, to nowhere: whether login and rights are enough. Raises `TargetError`."""
    await _dump(programs, dsn, password, schema, "--schema-only", "--format=plain", f"--file={os.devnull}")


async def dump(programs: DumpPrograms, dsn: str, password: str | None, schema: str, file: Path) -> None:
    """Dump a schema into a file, which is there whole or not at all; raises `TargetError`."""
    private_files.make_folder(file.parent)
    partial = file.with_name(f"{file.name}.partial")
    private_files.touch(partial)
    try:
        await _dump(programs, dsn, password, schema, "--format=custom", f"--file={partial}")
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)


async def require_readable(programs: DumpPrograms, file: Path, schema: str, tables: Iterable[str]) -> None:
    """Raise `TargetError` unless the archive can be read to its end, and holds the rows of all these tables."""
    read = [str(programs.folder / _READER)]
    code, told, complaint = await _run([*read, "--list", str(file)])
    if code == 0:
        code, _, complaint = await _run([*read, f"--file={os.devnull}", str(file)])
    held = set(_DATA.findall(told))
    lacking = sorted(name for name in tables if f"{schema} {name}" not in held)
    if code or lacking:
        why = f"it lacks the rows of {', '.join(lacking)}" if not code else _words(complaint)
        raise TargetError(
            f"the dump {file} cannot be read back: {why}", remedy="see whether the disk is well, then try again"
        )


async def _dump(programs: DumpPrograms, dsn: str, password: str | None, schema: str, *options: str) -> None:
    address, inside = without_password(dsn)
    secret = password if password is not None else inside
    environment = {**os.environ, "LC_ALL": "C", "PGAPPNAME": "cdc dump"}
    environment |= {} if secret is None else {"PGPASSWORD": secret}
    command = [str(programs.folder / _PROGRAM), f"--schema={quote(schema)}", "--no-password", *options]
    code, _, complaint = await _run([*command, f"--dbname={address}"], environment)
    if code:
        raise TargetError(
            f"{programs} could not dump schema {schema}: {_words(complaint)}",
            remedy="let the role of `dsn` read everything in the schema, make room on the disk, or make a backup of "
            "your own and give the command again with --without-dump",
        )


async def _run(command: list[str], environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; a program that is not waited for any more is ended."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        told, complaint = await process.communicate()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, told.decode("utf-8", "replace"), complaint.decode("utf-8", "replace")


def _words(complaint: str) -> str:
    """The end of it in one line, without secrets."""
    return redact(" ".join(complaint.split())[-_LAST_WORDS:])
