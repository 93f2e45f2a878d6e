"""What must hold at every stage: the videos that somebody categorised, and those that somebody deleted."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import aiohttp
from stage import StoryError

CATEGORISED: Final = "SELECT id FROM content WHERE subcategories_json IS NOT NULL ORDER BY id"
OTHERS: Final = "SELECT id FROM content WHERE subcategories_json IS NULL ORDER BY id"
SCHEMA: Final = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
CURATED: Final = 67


class Promises:
    """Looked at through the dashboard, as a user would, at whatever address serves users."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            self._categorised, self._others = (
                [str(row[0]) for row in connection.execute(sql)] for sql in (CATEGORISED, OTHERS)
            )
        self._schema = self.schema()
        self._shown: dict[str, bytes] = {}
        self._deleted: list[str] = []

    def schema(self) -> Sequence[tuple[str, ...]]:
        """The schema of the application's file, as SQLite keeps it."""
        with closing(sqlite3.connect(f"{self._file.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(SCHEMA).fetchall()

    @property
    def schema_is_as_it_was(self) -> bool:
        """Whether the application's file has the schema that it had before anything began, to the byte."""
        return self.schema() == self._schema

    async def remember(self, address: str) -> None:
        """How each of the categorised videos looks before anything is done."""
        if len(self._categorised) != CURATED:
            raise StoryError(f"{len(self._categorised)} videos are categorised, not {CURATED}")
        async with aiohttp.ClientSession(f"http://{address}") as user:
            self._shown = {video: await _read(user, f"/api/reports/{video}") for video in self._categorised}

    async def delete_one(self, address: str) -> str:
        """Have a user delete a video that nobody categorised; it must not be seen again."""
        video = self._others.pop()
        async with (
            aiohttp.ClientSession(f"http://{address}") as user,
            user.delete(f"/api/delete/{video}") as answer,
        ):
            if answer.status != 200:
                raise StoryError(f"{video} could not be deleted: {answer.status} {await answer.text()}")
        self._deleted.append(video)
        return video

    async def kept(self, address: str) -> str:
        """What was looked at, in words; raises `StoryError` when anything is not as it was promised."""
        async with aiohttp.ClientSession(f"http://{address}") as user:
            for video, before in self._shown.items():
                if await _read(user, f"/api/reports/{video}") != before:
                    raise StoryError(f"the categorised video {video} is not what it was")
            for video in self._deleted:
                await _read(user, f"/api/reports/{video}", status=404)
            backend = json.loads(await _read(user, "/health/backend"))["backend"]
        deleted = f"; the {len(self._deleted)} deleted ones are gone" if self._deleted else ""
        return f"served from {backend}: all {len(self._shown)} categorised videos are what they were{deleted}"


async def _read(user: aiohttp.ClientSession, path: str, status: int = 200) -> bytes:
    async with user.get(path) as answer:
        if answer.status != status:
            raise StoryError(f"{path} is answered with {answer.status}, not {status}")
        return await answer.read()
