"""Shadow reads of the dashboard on the application's own tables: alike under the rules of `adopted.toml`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from dashboard import Dashboard, on_sqlite, requests_for
from harness import Daemon, up, wait_until_follows
from test_ytv2_dashboard import example, tables_of_the_application

from cdc.cli import main

MEANT = {"equal", "ignored"}


@pytest.fixture
def ask(tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """`cdc shadow http` over all requests, with these mistakes in the candidate: its exit code and its report."""

    async def asked(plants: str = "") -> tuple[int, Any]:
        config = example(tmp_path, database)
        await tables_of_the_application(database)
        await up(config)
        paths = tmp_path / "paths.txt"
        paths.write_text("\n".join(requests_for(config.source.path)))
        there = {"READ_FROM_POSTGRES": "true", "YTV2_OWN_TABLES": "true", "DATABASE_URL": database}
        candidate = Dashboard(tmp_path / "there", **there, YTV2_PLANT=plants)
        with Daemon(config) as daemon:
            await wait_until_follows(config, daemon)
            async with on_sqlite(tmp_path / "here", config.source.path) as here, candidate:
                sides = ["--baseline", here.url, "--candidate", candidate.url]
                call = ["-q", "-c", str(daemon.file), "shadow", "http", "--requests", str(paths), *sides, "--json"]
                code = await asyncio.to_thread(main, call)
        return code, json.loads(capsys.readouterr().out)

    return asked


async def test_every_endpoint_answers_alike_from_the_applications_own_tables(ask: Any) -> None:
    code, report = await ask()
    counts = report["endpoints"].values()
    assert {verdict for c in counts for verdict, n in c.items() if n} == MEANT, report["differences"]
    assert code == 0
    # What the rules let pass is a part of an answer: most lists and pages have such a part, and all else is equal.
    assert sum(c["equal"] for c in counts) > 20
    assert sum(sum(c.values()) for c in counts) > 100
    assert sum(refused["requests"] for refused in report["not_asked"]) == 4  # the lists that are sorted by views


async def test_the_rules_hide_no_mistake_beside_what_they_are_about(ask: Any) -> None:
    code, report = await ask("like_case")
    differing = {name for name, c in report["endpoints"].items() if c["different"]}
    assert code == 1
    assert "GET /api/reports?q" in differing
    assert all("q" in endpoint.partition("?")[2].split("&") for endpoint in differing)
