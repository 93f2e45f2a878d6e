"""Reports of a real move, through all its phases and with a database away, by the command itself."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from installation import Installation

from cdc.cutover import run as switch
from cdc.errors import ExitCode
from cdc.facts.progress import Silent
from cdc.report.seal import read_sealed

NASTY = '"<script>alert(1)</script>"'


def report(site: Installation, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the command answers, and the document that it wrote."""
    code, out, err = site.run("-q", "report", "--out", f"{name}.html", "--json")
    answer = json.loads(out)
    assert (answer["exit_code"], err) == (code, "")
    page, file = (read_sealed((site.folder / f"{name}.{kind}").read_bytes()) for kind in ("html", "json"))
    assert page.document == file.document is not None
    assert (site.folder / f"{name}.html").stat().st_mode & 0o777 == 0o600
    return answer, dict(page.document or {})


def verdict(site: Installation, name: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = site.run("report", "--verify", name, "--json")
    return code, json.loads(out)


def test_a_move_is_reported_in_every_phase(site: Installation) -> None:
    site.sql(f"CREATE TABLE {NASTY}(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO {NASTY} VALUES (1, 7), (2, 'many')")
    site.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    assert report(site, "new")[0]["verdict"] == "NOT YET"

    config = site.prepared()
    _, followed = report(site, "followed")
    assert followed["move"]["writes"] == "SQLite"
    assert (followed["rows"]["sqlite"], followed["rows"]["postgres"], followed["rows"]["held"]) == (4, 3, 1)
    assert followed["rows"]["one_position"]
    assert [cause["keys"] for cause in followed["quarantine"]["causes"]] == [["2"]]
    assert {gate["name"] for gate in followed["plan"]["gates"] if not gate["passed"]} == {"daemon", "quarantine"}
    assert followed["verification"]["last"]["result"] == "equal"
    assert len(followed["snapshots"]) == 1
    assert followed["audit"]["file"]["whole"]
    assert followed["audit"]["postgres"]["whole"]

    asyncio.run(switch.cutover(config, lambda _: None))
    there, cut_over = report(site, "cut_over")
    assert there["verdict"] == "CUT OVER"
    assert cut_over["move"]["writes"] == "Postgres"
    assert cut_over["plan"]["to"] == "sqlite"
    assert cut_over["rows"]["one_position"]
    site.target_sql("INSERT INTO t VALUES (3, 'c')")
    assert not report(site, "on_the_way")[1]["rows"]["one_position"]

    asyncio.run(switch.rollback(config, lambda _: None, Silent()))
    back, rolled_back = report(site, "rolled_back")
    assert back["sentence"].startswith("Rolled back on ")
    assert [(t["to"], t["result"]) for t in rolled_back["downtime"]["switches"]] == [
        ("postgres", "done"),
        ("sqlite", "done"),
    ]
    assert rolled_back["downtime"]["refused_seconds"] > 0
    assert rolled_back["rows"]["sqlite"] == 5
    assert "<script>alert(1)</script>" not in (site.folder / "rolled_back.html").read_text(encoding="utf-8")

    assert verdict(site, "cut_over.html")[0] == ExitCode.OK
    code, told = verdict(site, "followed.json")
    assert (code, told["known"]["action"]) == (ExitCode.OK, "report")

    # The copy in Postgres knows it too, once a daemon was there.
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    for file in config.state.dir.glob("audit*"):
        file.unlink()
    code, told = verdict(site, "cut_over.html")
    assert (code, told["known"]["details"]["verdict"]) == (ExitCode.OK, "CUT OVER")


def test_a_report_without_postgres_tells_what_the_state_folder_knows(
    cut_off: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = cut_off.run("-q", "report")
    assert code == ExitCode.UNAVAILABLE
    assert out.startswith("UNKNOWN: Nothing can be decided: ")
    assert err == ""
    (page,) = tmp_path.glob("cdc-report-*.html")
    assert "What stands here of it is what the state folder knows." in page.read_text(encoding="utf-8")
    assert cut_off.run("-q", "report")[0] == ExitCode.UNAVAILABLE
    assert sorted(p.name for p in tmp_path.glob("cdc-report-*")) == [
        *(f"{page.stem}-2.{kind}" for kind in ("html", "json")),
        f"{page.stem}.html",
        f"{page.stem}.json",
    ]
    assert verdict(cut_off, page.name)[0] == ExitCode.OK
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, told = verdict(cut_off, str(page))
    assert (code, told["seal"], told["trail"]) == (
        ExitCode.DIFFERENCE,
        "intact",
        "it could not be read: there is no cdc.toml here",
    )
