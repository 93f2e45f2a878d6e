"""The sample dashboard as a service: what it says when a database does not do what it is asked, how it ends, its log of
accesses, and the traffic that keeps a log of what was acknowledged.
"""

import asyncio
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from dashboard import VIDEO, Dashboard, both, configured, on_postgres, on_sqlite
from harness import Daemon, execute, fetch, open_files, up, wait_for, wait_until_caught_up, wait_until_follows
from installation import CLOSED_PORT

from cdc.resources import folder


async def test_a_trigger_that_refuses_is_heard_in_its_own_words_from_both(tmp_path: Path, database: str) -> None:
    config = configured(tmp_path / "ytv2", database)
    await up(config)
    app = apsw.Connection(str(config.source.path))
    app.execute("CREATE TRIGGER closed BEFORE INSERT ON content BEGIN SELECT RAISE(ABORT, 'writes are closed'); END")
    app.close()
    await execute(
        config.target.dsn,
        "CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'writes are closed'; END $$;"
        "CREATE TRIGGER closed BEFORE INSERT ON content FOR EACH ROW EXECUTE FUNCTION closed()",
    )
    async with both(config) as sides:
        for side in sides:
            answer = await side.ask("/api/content", "POST", VIDEO)
            assert (answer.status, json.loads(answer.body)) == (409, {"error": "writes are closed"})
            assert "POST /api/content: Refused by" in side.words()
            assert "writes are closed" in side.words()
            assert (await side.ask(f"/api/reports/{VIDEO['video_id']}")).status == 404  # nothing of it is there
            assert not side.recent.exists()


async def test_a_database_that_is_away_is_told_and_comes_back(tmp_path: Path, database: str) -> None:
    file = tmp_path / "app.db"
    async with on_sqlite(tmp_path / "here", file) as here:
        for request in ("/", "/api/reports", "/health"):
            answer = await here.ask(request)
            assert (answer.status, json.loads(answer.body)) == (503, {"error": "unable to open database file"})
        assert not file.exists()
        assert "GET /health: Unavailable by sqlite: unable to open database file" in here.words()
        shutil.copyfile(folder("ytv2") / "ytv2_migration_day.db", file)
        assert (await here.document("/api/reports"))["pagination"]["total"] == 81
    async with on_postgres(tmp_path / "there", CLOSED_PORT) as there:
        assert (await there.ask("/health")).status == 503
        assert "GET /health: Unavailable by postgres: " in there.words()
    async with on_postgres(tmp_path / "there", database) as there:
        assert (await there.ask("/api/reports")).status == 503  # no tables
        assert 'relation "content" does not exist' in there.words()
        await up(configured(tmp_path / "ytv2", database))
        assert (await there.document("/api/reports"))["pagination"]["total"] == 81
        await execute(database, "ALTER TABLE content ALTER COLUMN view_count TYPE numeric")
        assert (await there.document("/api/reports"))["pagination"]["total"] == 81
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ytv2'"
        assert [row[0] for row in await fetch(database, ended)] == [True]
        assert (await there.ask("/health")).status in (200, 503)
        assert (await there.ask("/health")).status == 200


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"READ_FROM_POSTGRES": "perhaps"}, "READ_FROM_POSTGRES is true or false, not 'perhaps'"),
        ({"READ_FROM_POSTGRES": "true"}, "READ_FROM_POSTGRES is set and DATABASE_URL is not"),
        ({"YTV2_PLANT": "null_order,weeds"}, "YTV2_PLANT knows like_case, missing_row, null_order, not weeds"),
    ],
)
def test_an_environment_without_a_meaning_is_refused_and_no_other_database_is_taken(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    dashboard = Dashboard(tmp_path, **environment)
    assert dashboard.process.wait(60) == 78
    assert said in dashboard.words()


async def test_a_request_that_is_being_answered_is_answered_before_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "app.db"
    shutil.copyfile(folder("ytv2") / "ytv2_migration_day.db", file)
    other = apsw.Connection(str(file))
    async with on_sqlite(tmp_path / "here", file) as here:
        other.execute("BEGIN IMMEDIATE")
        answer = asyncio.create_task(here.ask("/api/content", "POST", VIDEO))

        async def waits() -> bool:
            return str(file) in open_files(here.process.pid)

        async def takes_no_more() -> bool:
            host, port = here.url.removeprefix("http://").split(":")
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                return True
            writer.close()
            return False

        await wait_for(waits, "the dashboard to wait for the file")
        here.process.terminate()
        await wait_for(takes_no_more, "the dashboard to take no more requests")
        other.execute("ROLLBACK")
        assert (await answer).status == 200
        assert here.process.wait(60) == 0
        assert "ended" in here.words()
    assert other.execute("SELECT count(*) FROM content WHERE video_id = ?", (VIDEO["video_id"],)).get == 1
    other.close()


async def test_accesses_are_logged_in_the_common_log_format_and_one_get_has_an_effect(tmp_path: Path) -> None:
    file = tmp_path / "app.db"
    shutil.copyfile(folder("ytv2") / "ytv2_migration_day.db", file)
    async with on_sqlite(tmp_path / "here", file) as here:
        await here.document("/api/content", "POST", VIDEO)
        assert json.loads(here.recent.read_text()) == [{"id": "yt:Brand-New_1", "title": VIDEO["title"]}]
        await here.ask("/api/reports?q=two+words")
        assert here.recent.exists()
        await here.document("/api/reset")
        assert not here.recent.exists()
        assert here.terminate() == 0
        lines = here.access_log.read_text().splitlines()
    shape = r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(\w+ \S+) HTTP/1\.1" 200 \d+'
    assert [re.fullmatch(shape, line)[1] for line in lines] == [  # type: ignore[index]
        *("POST /api/content", "GET /api/reports?q=two+words", "GET /api/reset")
    ]


# --- traffic ---


async def traffic(url: str, *arguments: str) -> tuple[int, Any]:
    """What the program for it ends with and prints."""
    command = (sys.executable, "-m", "app.traffic", url, *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder("ytv2"), env={"PYTHONDONTWRITEBYTECODE": "1"}, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    return process.returncode or 0, json.loads(told)


async def test_every_acknowledged_write_of_some_traffic_is_shown_by_both_and_a_lost_one_is_found(
    tmp_path: Path, database: str
) -> None:
    config = configured(tmp_path / "ytv2", database)
    await up(config)
    log = tmp_path / "writes.jsonl"
    async with both(config) as (here, there):
        with Daemon(config) as daemon:
            await wait_until_follows(config, daemon)
            code, done = await traffic(here.url, "--seconds", "4", "--rate", "30", "--log", str(log))
            assert code == 0
            assert done["ingest acknowledged"] > 10
            assert {outcome for outcome in done if "acknowledged" not in outcome} == {"read 200", "look as logged"}
            await wait_until_caught_up(config, database, daemon=daemon)
            for side in (here, there):
                assert await traffic(side.url, "--check", "--log", str(log)) == (0, [])
            assert daemon.terminate() == 0
        written = {json.loads(line)["video_id"] for line in log.read_text().splitlines()}
        kept = max([video for video in written if (await there.ask(f"/api/reports/{video}")).status == 200])
        await execute(database, f"DELETE FROM content WHERE video_id = '{kept}'")
        code, contradictions = await traffic(there.url, "--check", "--log", str(log))
        assert (code, [found["video_id"] for found in contradictions]) == (1, [kept])


async def test_a_write_without_an_answer_may_be_there_or_not(tmp_path: Path) -> None:
    log = tmp_path / "writes.jsonl"
    shutil.copyfile(folder("ytv2") / "ytv2_migration_day.db", tmp_path / "app.db")
    lines = [("ingest", "one", "acknowledged"), ("ingest", "two", "unknown"), ("delete", "", "refused")]
    entries = [{"kind": k, "video_id": "a", "title": t, "outcome": o} for k, t, o in lines]
    log.write_text("\n".join(map(json.dumps, entries)))
    async with on_sqlite(tmp_path / "here", tmp_path / "app.db") as here:
        for title, contradicts in (("one", False), ("two", False), ("three", True)):
            await here.document("/api/content", "POST", {"video_id": "a", "title": title})
            code, found = await traffic(here.url, "--check", "--log", str(log))
            assert (code == 1) is contradicts is bool(found)
