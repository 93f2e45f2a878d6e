"""The sample dashboard answers alike from SQLite and from Postgres, and what is written on one side shows on the other.

Two processes of it, one on the file and one on what was made of it, get the same requests over HTTP.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import apsw
import pytest
from dashboard import VIDEO, Answer, Dashboard, both, cards, configured, on_postgres, requests_for
from harness import Daemon, quarantined, up, value, wait_until_caught_up, wait_until_follows

from cdc.config import Config

WITHOUT_JSON_TOPICS: Final = "yt:DRAVe4JyDh_"


@pytest.fixture
async def copied(tmp_path: Path, any_database: str) -> Config:
    """The file of the migration day, and Postgres that holds it."""
    config = configured(tmp_path / "ytv2", any_database)
    await up(config)
    return config


async def answers(dashboard: Dashboard, requests: Iterable[str]) -> dict[str, Answer]:
    return {request: await dashboard.ask(request) for request in requests}


async def differing(here: Dashboard, there: Dashboard, requests: list[str]) -> set[str]:
    """The requests that are answered otherwise: in status, type or a single byte."""
    first, second = await answers(here, requests), await answers(there, requests)
    return {request for request in requests if first[request] != second[request]}


async def test_every_request_gets_the_same_bytes_from_both_and_none_of_them_writes(copied: Config) -> None:
    requests = requests_for(copied.source.path)
    assert len(requests) == len(set(requests)) > 100
    before = _digest(copied.source.path)
    async with both(copied) as (here, there):
        found = await answers(here, requests)
        assert await differing(here, there, requests) == set()
        assert [(await d.document("/health/backend"))["backend"] for d in (here, there)] == ["sqlite", "postgres"]
    assert _digest(copied.source.path) == before
    assert {answer.status for answer in found.values()} == {200, 400, 404}
    assert len({answer.body for answer in found.values()}) > 80  # it is not one answer to everything
    everything = json.loads(found["/api/reports"].body)
    assert everything["pagination"]["total"] == 81
    assert "published_at" in everything["reports"][0]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


async def test_the_page_has_a_card_for_each_report_of_the_list_and_every_filter_leads_to_its_number(
    copied: Config,
) -> None:
    async with on_postgres(copied.source.path.parent / "there", copied.target.dsn) as there:
        listed = await there.document("/api/reports?sort=views&category=Technology&page=2")
        page = await there.ask("/?sort=views&category=Technology&page=2")
        assert page.kind == "text/html"
        assert cards(page.body, "data-id") == [report["id"] for report in listed["reports"]] != []
        links = re.findall(
            rb'<a class="choice" href="([^"]+)"(?! aria-current).*?class="count">(\d+)<', await _start(there)
        )
        assert len(links) > 50
        for link, count in links[::5]:
            query = link.decode().replace("&amp;", "&")
            assert (await there.document(f"/api/reports{query[1:]}"))["pagination"]["total"] == int(count), query
        key = listed["reports"][0]["id"]
        detail = await there.document(f"/api/reports/{key}")
        shown = await there.ask(f"/{key}.html")
        assert cards(shown.body, "data-summary") == [detail["summary"]["type"]]
        assert cards(shown.body, "data-variant") == [variant["type"] for variant in detail["variants"]]


async def _start(dashboard: Dashboard) -> bytes:
    return (await dashboard.ask("/")).body


@pytest.mark.parametrize("plant", ["null_order", "like_case", "missing_row"])
async def test_a_planted_mistake_shows_in_the_answers_that_it_bends_and_in_no_other(
    tmp_path: Path, database: str, plant: str
) -> None:
    config = configured(tmp_path / "ytv2", database)
    await up(config)
    requests = requests_for(config.source.path)
    async with both(config, plant) as (here, there):
        expected = {
            "null_order": {request for request in requests if "sort=published" in request},
            "like_case": {request for request in requests if await _in_other_letters(config, here, request)},
            "missing_row": {request for request in requests if await _tells_of(here, request, WITHOUT_JSON_TOPICS)},
        }
        assert await differing(here, there, requests) == expected[plant] != set()


async def _tells_of(dashboard: Dashboard, request: str, key: str) -> bool:
    """Whether a list, on whatever page of it, or a count is about this video. The facets count every video."""
    path, status = request.partition("?")[0], (await dashboard.ask(request)).status
    counts = path in ("/", "/api/filters") and status == 200
    return counts or key in await _listed(dashboard, request)


async def _in_other_letters(config: Config, dashboard: Dashboard, request: str) -> bool:
    """Whether a video is found by words that it has in other letters only."""
    (words,) = parse_qs(request.partition("?")[2]).get("q", [""])
    app = apsw.Connection(str(config.source.path), flags=apsw.SQLITE_OPEN_READONLY)
    texts = dict(
        app.execute(
            "SELECT c.id, concat_ws(char(0), title, channel_name, summary_text)"
            " FROM content AS c LEFT JOIN content_summaries AS s ON s.content_id = c.id"
        )
    )
    app.close()
    return any(words not in texts[key] for key in await _listed(dashboard, request))


async def _listed(dashboard: Dashboard, request: str) -> set[str]:
    """The videos that a request is about, on whatever page they stand; none for one that is no list, or refused."""
    path, _, query = request.partition("?")
    if path not in ("/", "/api/reports") or (await dashboard.ask(request)).status != 200:
        return set()
    asked = re.sub(r"\b(page|size)=\w+", "", query)
    pages = [await dashboard.document(f"/api/reports?{asked}&size=50&page={page}") for page in (1, 2)]
    return {report["id"] for page in pages for report in page["reports"]}


async def test_what_is_written_on_sqlite_shows_on_postgres(copied: Config) -> None:
    dsn, key = copied.target.dsn, f"yt:{VIDEO['video_id']}"
    async with both(copied) as (here, there):
        with Daemon(copied) as daemon:
            await wait_until_follows(copied, daemon)

            async def shown(request: str) -> Any:
                """The answer of both, once Postgres has everything."""
                await wait_until_caught_up(copied, dsn, daemon=daemon)
                answer = await there.ask(request)
                assert await here.ask(request) == answer
                return json.loads(answer.body)

            assert await _counts(dsn) == (81, 59, 173, 67)
            assert (await here.document("/api/content", "POST", VIDEO))["id"] == key
            report = await shown(f"/api/reports/{key}")
            assert (report["title"], report["duration_seconds"]) == (VIDEO["title"], 12.1)
            assert report["published_at"] == "2025-09-30T22:00:00Z"
            assert report["summary"]["text"] == VIDEO["summary"]["text"]  # type: ignore[index]
            assert await _counts(dsn) == (82, 60, 173, 68)
            assert b"<script>alert" not in (await there.ask(f"/{key}.html")).body

            again = {"video_id": VIDEO["video_id"], "title": "Another title", "duration_seconds": 60}
            again["summary"] = {"text": "Shorter."}
            await here.document("/api/content", "POST", again)
            report = await shown(f"/api/reports/{VIDEO['video_id']}")
            assert (report["title"], report["duration_seconds"]) == ("Another title", 60)
            assert report["summary"]["text"] == "Shorter."
            assert report["analysis"]["categories"] == VIDEO["categories"]  # what is left out stays
            await here.document(f"/api/content/{key}", "POST", {"view_count": 7, "has_audio": False})
            assert (await shown(f"/api/reports/{key}"))["view_count"] == 7
            assert await _counts(dsn) == (82, 60, 173, 68)

            gone = await here.document(f"/api/delete/{key}", "DELETE")
            assert gone["deleted"] == {"content": 1, "summaries": 1, "variants": 0}
            assert "error" in await shown(f"/api/reports/{key}")
            gone = await here.document("/api/delete/Gl5P7qcnRax", "DELETE")  # by its id at YouTube, with all it has
            assert gone == {
                "id": "yt:Gl5P7qcnRax",
                "status": "deleted",
                "deleted": {"content": 1, "summaries": 1, "variants": 6},
            }
            assert await shown("/api/reports/yt:Gl5P7qcnRax") == {"error": "there is no such video"}
            assert await _counts(dsn) == (80, 58, 167, 67)
            assert await differing(here, there, requests_for(copied.source.path)) == set()
            assert daemon.terminate() == 0
    assert await quarantined(dsn) == []


async def _counts(dsn: str) -> tuple[int, ...]:
    tables = ("content", "content_summaries", "summary_variants", "content WHERE subcategories_json IS NOT NULL")
    return tuple([await value(dsn, f"SELECT count(*) FROM {table}") for table in tables])


async def test_the_same_writes_leave_both_alike(copied: Config) -> None:
    """After a cutover the dashboard writes to Postgres, where constraints are others and triggers of SQLite are not."""
    writes: list[tuple[str, str, object]] = [
        ("/api/content", "POST", VIDEO),
        ("/api/content", "POST", {**VIDEO, "title": "Once more", "summary": {"text": "Shorter."}}),
        ("/api/content", "POST", {"video_id": "orQKfIXMiA8", "title": "It keeps its older id"}),
        (
            "/api/content/yt:xobhnvoi0mc",
            "POST",
            {"duration_seconds": 0.1, "summary": {"text": "New.", "type": "audio"}},
        ),
        ("/api/content/nothing", "POST", {"title": "x"}),
        ("/api/content", "POST", {"video_id": "not an id", "title": "x"}),
        ("/api/content", "POST", {"video_id": "a", "title": "zero \0"}),
        ("/api/content/orQKfIXMiA8", "POST", {"view_count": -1}),
        ("/api/delete/yt:Gl5P7qcnRax", "DELETE", None),
        ("/api/delete/yt:Gl5P7qcnRax", "DELETE", None),
    ]
    async with both(copied) as (here, there):
        for path, method, body in writes:
            assert await here.ask(path, method, body) == await there.ask(path, method, body), (path, body)
        reports = [
            [{**report, "indexed_at": None} for page in (1, 2) for report in (await _page(side, page))["reports"]]
            for side in (here, there)
        ]
        assert reports[0] == reports[1]
        assert len(reports[0]) == 81
        titles = {report["id"]: report["title"] for report in reports[0]}
        assert titles["yt:orqkfixmia8"] == "It keeps its older id"


async def _page(dashboard: Dashboard, page: int) -> Any:
    return await dashboard.document(f"/api/reports?sort=title&size=50&page={page}")
