"""Writing rows of Postgres to a file of ours, as CSV with a heading, which `COPY ... FROM` reads back."""

import asyncio
import errno
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote as quote_name

from cdc.errors import TargetError
from cdc.facts.target_schema import TargetTable
from cdc.host import private_files
from cdc.host.durable import flush
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.sql_names import listed, qualified

ROOM_BYTES: Final = 256 * 1024 * 1024  # left free on the disk, on which the application may write too
_LOOK_BYTES: Final = 16 * 1024 * 1024  # between two looks at the room that is left
_NAMED: Final = re.compile(r"\.(deleted|changed|added)\.(?P<at>\d{8}T\d{6}\.\d{6}Z)(\.\d+)?\.csv$")


def moment() -> str:
    """Now, as names of files have it: all files of one event share it, and `bound` goes by it."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"


def file_name(target: TargetTable, kind: str, at: str, part: str = "") -> str:
    """The name of a file of a target's rows; `kind` is what becomes of them: `deleted`, `changed` or `added`."""
    table = ".".join(quote_name(word, safe=" ") for word in (target.schema, target.name))
    return f"{table}.{kind}.{at}{part}.csv"


def bound(folder: Path, kept: int) -> None:
    """Keep the files of so many newest events only; what was saved of adopted tables has no time and stays."""
    by_time: dict[str, list[Path]] = {}
    for file in folder.glob("*.csv"):
        if named := _NAMED.search(file.name):
            by_time.setdefault(named["at"], []).append(file)
    for at in sorted(by_time)[:-kept]:
        for file in by_time[at]:
            with suppress(OSError):
                file.unlink()


async def save(connection: Connection, query: str, file: Path) -> int:
    """The rows of a query in a new file, which has its name once all of it is on the disk; returns how many.

    Raises `OSError` when it cannot be written, and when little room would be left for others; then there is no file.
    """
    async with writing(file) as sink:
        done = await connection.copy_from_query(query, output=sink.write, format="csv", header=True)
    return int(done.rpartition(" ")[2])


@asynccontextmanager
async def writing(file: Path) -> "AsyncIterator[Sink]":
    """A new file to fill; it has its name once all of it is on the disk. Raises `OSError` as `save` does."""
    private_files.make_folder(file.parent)
    partial = file.with_name(f"{file.name}.partial")
    try:
        with private_files.create(partial) as output:
            sink = Sink(output, file.parent)
            yield sink
            if sink.error:
                raise sink.error
            output.flush()
            await asyncio.to_thread(os.fsync, output.fileno())
        partial.rename(file)
        await asyncio.to_thread(flush, file.parent)
    finally:
        partial.unlink(missing_ok=True)


def line(fields: Iterable[str | None]) -> bytes:
    """One line of such a file, from values as Postgres shows them; None is NULL, which an empty text is not."""
    return (",".join("" if f is None else '"' + f.replace('"', '""') + '"' for f in fields) + "\n").encode()


class Sink:
    """Takes what the server sends. What cannot be written is passed over: the driver cannot leave a COPY half-way."""

    def __init__(self, output: BinaryIO, folder: Path) -> None:
        self._output = output
        self._folder = folder
        self._unseen = _LOOK_BYTES
        self.error: OSError | None = None

    async def write(self, data: bytes) -> None:
        """Write what the server sends, up to the first error, which is kept for the end."""
        if self.error is None:
            try:
                self._write(data)
            except OSError as error:
                self.error = error

    def _write(self, data: bytes) -> None:
        self._unseen += len(data)
        if self._unseen >= _LOOK_BYTES:
            self._unseen = 0
            if shutil.disk_usage(self._folder).free < ROOM_BYTES:
                self.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return
        self._output.write(data)


async def save_rows(
    connection: Connection, target: TargetTable, file: Path, columns: Sequence[str] | None = None
) -> int:
    """Write the target's rows to a CSV file with a heading, which `COPY ... FROM` reads back; returns how many.

    Only some columns when they are named. A file that is there already holds what was found first, and stays. Raises
    `TargetError` when it cannot be written.
    """
    selected = listed(columns if columns is not None else [c.name for c in target.columns if not c.generated])
    try:
        if await asyncio.to_thread(file.exists):
            return 0
        with translated(f"saving the rows of {target.schema}.{target.name}"):
            return await save(connection, f"SELECT {selected} FROM {qualified(target.schema, target.name)}", file)
    except OSError as error:
        raise TargetError(
            f"the rows of {target.schema}.{target.name} cannot be saved to {file}: {error.strerror}",
            remedy="make room there, or make `dir` in [state] a folder that this user may write",
        ) from None
