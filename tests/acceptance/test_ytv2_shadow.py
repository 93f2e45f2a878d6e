"""Shadow reads of the sample dashboard, every endpoint of it: alike as it is, and its planted mistakes are found."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from dashboard import both, configured, requests_for
from harness import Daemon, up, value, wait_for

from cdc.cli import main

FOLLOWS = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
BACKEND = "GET /health/backend"  # it names its database, so it has to differ


@pytest.fixture
def ask(tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """`cdc shadow http` over all requests, with these mistakes in the candidate: how many differ, by endpoint."""

    async def found(plants: str) -> tuple[dict[str, int], int]:
        config = configured(tmp_path / "ytv2", database)
        await up(config)
        paths = tmp_path / "paths.txt"
        paths.write_text("\n".join(["/health/backend", *requests_for(config.source.path)]))
        with Daemon(config) as daemon:
            await wait_for(lambda: value(database, FOLLOWS), "the daemon to follow", daemon=daemon)
            async with both(config, plants) as (here, there):
                sides = ["--baseline", here.url, "--candidate", there.url]
                call = ["-q", "-c", str(daemon.file), "shadow", "http", "--requests", str(paths), *sides, "--json"]
                assert await asyncio.to_thread(main, call) == 1
        report = json.loads(capsys.readouterr().out)
        assert report["not_asked"] == []
        counts = report["endpoints"].values()
        assert {v for c in counts for v, n in c.items() if n} == {"equal", "different"}  # all else says nothing
        asked = sum(sum(c.values()) for c in counts)
        return {name: c["different"] for name, c in report["endpoints"].items() if c["different"]}, asked

    return found


async def test_every_endpoint_of_the_dashboard_answers_alike(ask: Any) -> None:
    differing, asked = await ask("")
    assert differing == {BACKEND: 1}
    assert asked > 100


async def test_an_order_that_forgets_null_is_found_where_something_is_sorted_so(ask: Any) -> None:
    assert (await ask("null_order"))[0] == {BACKEND: 1, "GET /api/reports?page&size&sort": 2, "GET /?sort": 1}


async def test_a_search_that_minds_letter_case_is_found_where_something_is_searched(ask: Any) -> None:
    differing, _ = await ask("like_case")
    assert differing.pop(BACKEND) == 1
    assert "GET /api/reports?q" in differing
    assert all("q" in endpoint.partition("?")[2].split("&") for endpoint in differing)


async def test_a_row_that_a_join_hides_is_found_in_lists_and_counts(ask: Any) -> None:
    differing, _ = await ask("missing_row")
    assert {"GET /api/reports", "GET /api/filters", "GET /"} <= differing.keys()
    assert "GET /health" not in differing
