"""`cdc shadow` as an operator meets it: queries asked beside a running daemon, the report, a rule, and begun anew."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from harness import Daemon, application, execute, make_config, up, value, wait_for, write_config

from cdc.cli import main

QUERIES = """
-- name: by note
SELECT id, note FROM item ORDER BY note, id;
-- name: count
SELECT count(*) AS many FROM item
"""
PORTED = """
[[query]]
name = "by note"
sql = "SELECT id, note FROM item ORDER BY note, id"
target_sql = "SELECT id, note FROM item ORDER BY note, id"
"""


async def test_an_operator_asks_mends_and_asks_again(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, note TEXT); INSERT INTO item VALUES (1, NULL), (2, 'a')")
    app.close()
    config = make_config(tmp_path, tmp_path / "app.db", database)
    patient = msgspec.structs.replace(config.shadow, query_allowance_ms=60_000.0)  # a busy machine is slow
    config = msgspec.structs.replace(config, shadow=patient)
    write_config(tmp_path / "cdc.toml", config)
    await up(config)
    (tmp_path / "queries.sql").write_text(QUERIES)
    (tmp_path / "ported.toml").write_text(PORTED)
    with Daemon(config) as daemon:
        holds = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
        await wait_for(lambda: value(database, holds), "the daemon to follow", daemon=daemon)

        assert await told("shadow", "report", capsys=capsys, code=2) == (
            "nothing was asked yet: see `cdc shadow sql --help` and `cdc shadow http --help`\n"
        )
        assert "100 answers alike on both sides" in await told(
            "shadow", "sql", "queries.sql", "--repeat", "50", capsys=capsys, code=0
        )
        assert "all 2 endpoints clean for" in await told("shadow", "report", capsys=capsys, code=0)
        assert "shadow reads  2 endpoints alike for" in await told("status", capsys=capsys)

        words = await told("shadow", "sql", "ported.toml", capsys=capsys, code=1)
        assert "! by note, order: order of NULL" in words
        assert "NULLS FIRST" in words
        await execute(database, "DELETE FROM item WHERE id = 2")
        found = json.loads(await told("shadow", "sql", "queries.sql", "--json", capsys=capsys, code=1))
        assert {o["endpoint"]: o["differences"][0]["cause"] for o in found["outcomes"]} == {
            "by note": "missing row",
            "count": "changed value",
        }
        assert "2 of 2 endpoints not shown to be alike" in await told("status", capsys=capsys)
        assert "2 endpoints of 2 not shown to be alike" in await told("shadow", "report", capsys=capsys, code=1)
        report = json.loads(await told("shadow", "report", "--json", capsys=capsys, code=1))
        assert [(e["endpoint"], e["asked"], e["clean_since"]) for e in report["endpoints"]] == [
            ("by note", 52, None),
            ("count", 51, None),
        ]
        files = ("--html", "report.html", "--har", "differences.har")
        assert "0 examples in differences.har" in await told("shadow", "report", *files, capsys=capsys, code=1)
        assert "2 of 2 endpoints are not shown" in (tmp_path / "report.html").read_text()
        assert json.loads((tmp_path / "differences.har").read_text())["log"]["entries"] == []  # queries are no requests
        assert "forgotten" in await told("shadow", "report", "--forget", capsys=capsys, code=0)
        await told("shadow", "report", capsys=capsys, code=2)


async def told(*call: str, capsys: pytest.CaptureFixture[str], code: int | None = None) -> str:
    found = await asyncio.to_thread(main, ["-q", *call])
    shown = capsys.readouterr()
    assert code in {None, found}, shown.out + shown.err
    return str(shown.out)


async def test_a_rule_is_printed_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    call = ("shadow", "ignore", "GET /api/reports", "--path", "$.generated_at", "--reason", 'a "clock"')
    assert await told(*call, capsys=capsys, code=0) == (
        '[[shadow.rules]]\nendpoint = "GET /api/reports"\npath = "$.generated_at"\nread = "ignored"\n'
        'reason = "a \\"clock\\""\n'
    )
    of_a_column = await told("shadow", "ignore", "by note", "--path", "row 3, note", capsys=capsys, code=0)
    assert 'path = "note"\n' in of_a_column
