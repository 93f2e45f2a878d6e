"""Writing rows of Postgres to a file of ours, as CSV with a heading, which `COPY ... FROM` reads back."""

import asyncio
import errno
import os
import shutil
from pathlib import Path
from typing import BinaryIO, Final

from cdc import private
from cdc.postgres.connection import Connection

ROOM_BYTES: Final = 256 * 1024 * 1024  # left free on the disk, on which the application may write too
_LOOK_BYTES: Final = 16 * 1024 * 1024  # between two looks at the room that is left


async def save(connection: Connection, query: str, file: Path) -> int:
    """The rows of a query in a new file, which has its name once all of it is on the disk; returns how many.

    Raises `OSError` when it cannot be written, and when little room would be left for others; then there is no file.
    """
    private.make_folder(file.parent)
    partial = file.with_name(f"{file.name}.partial")
    try:
        with private.create(partial) as output:
            sink = _Sink(output, file.parent)
            done = await connection.copy_from_query(query, output=sink.write, format="csv", header=True)
            if sink.error:
                raise sink.error
            output.flush()
            await asyncio.to_thread(os.fsync, output.fileno())
        partial.rename(file)
        await asyncio.to_thread(_flush, file.parent)
    finally:
        partial.unlink(missing_ok=True)
    return int(done.rpartition(" ")[2])


class _Sink:
    """Takes what the server sends. What cannot be written is passed over: the driver cannot leave a COPY half-way."""

    def __init__(self, output: BinaryIO, folder: Path) -> None:
        self._output = output
        self._folder = folder
        self._unseen = _LOOK_BYTES
        self.error: OSError | None = None

    async def write(self, data: bytes) -> None:
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


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
