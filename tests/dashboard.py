"""The sample dashboard as a process of its own, on either database, and what a test asks it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlencode

import aiohttp
import apsw
import msgspec
from harness import DEADLINE_SECONDS

from cdc.config import Config, VerifySection, load_config
from cdc.resources import folder

# A video with all that may go wrong on the way.
VIDEO: Final = {
    "video_id": "Brand-New_1",
    "title": "Curly \u201cquotes\u201d, <b>tags</b> & a\nnew line \U0001f3ac",
    "channel": "Qwen's",
    "published_at": "2025-10-01T00:00:00+02:00",
    "duration_seconds": 12.1,
    "has_audio": True,
    "categories": [{"category": "Technology", "subcategories": ["Web Development", "\u00c9tudes"]}],
    "key_topics": ["one", "two, three"],
    "summary": {"text": "First.\n\nSecond <script>alert(1)</script>.", "type": "audio"},
}

_LISTENS = re.compile(r"listening on (http://\S+),")
_POLL_SECONDS = 0.01


class Answer(NamedTuple):
    """What came back for a request."""

    status: int
    kind: str
    body: bytes


class Dashboard:
    """The dashboard on a free port; killed at the end of the block if it still runs.

    `environment` says which database: `YTV2_DB`, or `READ_FROM_POSTGRES` and `DATABASE_URL`.
    """

    def __init__(self, place: Path, **environment: str) -> None:
        place.mkdir(exist_ok=True)
        self.log, self.access_log = place / "dashboard.log", place / "access.log"
        self.recent = place / "recent.json"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "--port", "0", "--access-log", str(self.access_log)],
                cwd=folder("ytv2"),
                env={**os.environ, "YTV2_RECENT": str(self.recent), "PYTHONDONTWRITEBYTECODE": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.session: aiohttp.ClientSession

    def words(self) -> str:
        """All that it wrote, but for accesses."""
        return self.log.read_text(errors="replace")

    async def ask(self, path: str, method: str = "GET", body: object = None) -> Answer:
        """The answer to one request; a body goes as JSON."""
        async with self.session.request(method, path, json=body) as response:
            return Answer(response.status, response.content_type, await response.read())

    async def document(self, path: str, method: str = "GET", body: object = None) -> Any:
        """The JSON of an answer, which has to be a good one."""
        async with self.session.request(method, path, json=body) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    def terminate(self) -> int:
        """Ask it to end, as systemd does; returns its exit code."""
        self.process.terminate()
        return self.process.wait(DEADLINE_SECONDS)

    def _url(self) -> str:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (told := _LISTENS.search(self.words())):
            assert self.process.poll() is None, self.words()
            assert time.monotonic() < deadline, self.words()
            time.sleep(_POLL_SECONDS)
        return told[1]

    async def __aenter__(self) -> Self:
        try:
            self.url = self._url()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.session = aiohttp.ClientSession(self.url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()
        self.process.kill()
        self.process.wait()


def on_sqlite(place: Path, database: Path) -> Dashboard:
    """The dashboard as it is before the move."""
    return Dashboard(place, YTV2_DB=str(database))


def on_postgres(place: Path, dsn: str, plants: str = "") -> Dashboard:
    """The dashboard as it is afterwards, if need be with mistakes in it."""
    return Dashboard(place, READ_FROM_POSTGRES="true", DATABASE_URL=dsn, YTV2_PLANT=plants)


@asynccontextmanager
async def both(config: Config, plants: str = "") -> AsyncIterator[tuple[Dashboard, Dashboard]]:
    """The dashboard twice: on the file, and on what was made of it, with these mistakes."""
    place = config.source.path.parent
    here, there = on_sqlite(place / "here", config.source.path), on_postgres(place / "there", config.target.dsn, plants)
    async with here, there:
        yield here, there


def configured(place: Path, dsn: str) -> Config:
    """The example as it is shipped, copied to `place`, with a database of its own."""
    shutil.copytree(folder("ytv2"), place, ignore=shutil.ignore_patterns("__pycache__"))
    config = load_config(place / "cdc.toml")
    target = msgspec.structs.replace(config.target, dsn=dsn)
    # What is expected of the shipped rows is asked elsewhere.
    return msgspec.structs.replace(config, target=target, verify=VerifySection())


class _Cards(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[Mapping[str, str | None]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in ("li", "section") and given.get("class") == "card":
            self.attributes.append(given)


def cards(page: bytes, attribute: str) -> list[str | None]:
    """That attribute of each card on a page that has it."""
    parser = _Cards()
    parser.feed(page.decode())
    return [given[attribute] for given in parser.attributes if attribute in given]


def requests_for(database: Path) -> list[str]:
    """GETs of every kind, with every sort and filter, good and bad: what both databases must answer alike."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        channels = [
            row[0] for row in connection.execute("SELECT DISTINCT channel_name FROM content ORDER BY 1 LIMIT 8")
        ]
        videos = list(connection.execute("SELECT id, video_id FROM content ORDER BY id"))[::9]
    finally:
        connection.close()
    return [*_LISTS, *_PAGES, *_OTHERS, *_of_channels(channels), *_of_videos(videos)]


_SORTS = ("newest", "oldest", "published", "title", "longest", "views")
_QUESTIONS = (
    *("category=Technology", "category=History&category=News", "category=AI+Software+Development&has_audio=1"),
    *("subcategory=Web+Development", "subcategory=Politics&category=News", "category=Nothing+like+it"),
    *("content_type=Review", "content_type=News&content_type=Tutorial", "complexity=Beginner", "language=en"),
    *("language=fr", "has_audio=false", "has_audio=true&size=50", "size=500", "size=7&page=3", "page=99"),
    *(
        "q=qwen",
        "q=QWEN&sort=title",
        "q=Qwen3",
        "q=100%25",
        "q=_",
        "q=%C3%89",
        "q=%5C",
        "q=part+1",
        "q=the&size=50&page=2",
    ),
    *("q=black&category=History&sort=views", "q=%00", "page=0", "size=x", "sort=random", "has_audio=maybe"),
)
_LISTS = [
    "/api/reports",
    *(f"/api/reports?sort={sort}&size=50&page={page}" for sort in _SORTS for page in (1, 2)),
    *(f"/api/reports?{question}" for question in _QUESTIONS),
]
_PAGES = ["/", *(f"/?sort={sort}" for sort in _SORTS), *(f"/?{question}" for question in _QUESTIONS[::3])]
_OTHERS = ["/api/filters", "/health", "/nothing", "/api/reports/nothing", "/nothing.html", "/nothing.json"]


def _of_channels(channels: list[str]) -> list[str]:
    return [f"/api/reports?{urlencode({'channel': channel})}" for channel in channels]


def _of_videos(videos: list[Any]) -> list[str]:
    return [
        path
        for key, video in videos
        for path in (f"/api/reports/{key}", f"/api/reports/{video}", f"/{video}.json", f"/{key}.html")
    ]
