"""What docs/audit.md shows to check the trail without this tool really checks it."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Final

from harness import fetch
from installation import Installation

from cdc.audit import trail
from cdc.audit.chain import AuditEntry

PAGE: Final = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")


def shown(language: str) -> str:
    return PAGE.partition(f"```{language}\n")[2].partition("```")[0]


def checked(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", shown("python")], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def test_the_lines_of_python_find_what_was_changed(tmp_path: Path) -> None:
    for number in range(5):
        trail.record(tmp_path, "load", "done", {"rows": number, "reason": 'a ", "hash": "b'})
    end, _ = trail.ends(tmp_path)
    assert checked(tmp_path) == (0, f"whole up to line 5, whose hash is {end.hash}\n")
    file = tmp_path / trail.FILE
    file.write_text(file.read_text().replace('"rows": 2', '"rows": 3'))
    code, words = checked(tmp_path)
    assert code == 1
    assert "line 3, or what is before it, was changed" in words


def test_the_lines_of_python_read_all_pieces_of_a_bounded_file(tmp_path: Path) -> None:
    with trail.opened(tmp_path) as file:
        for _ in range(60):
            file.append([AuditEntry("2026-01-01", "a@b", "batch", "done") for _ in range(50)])
            file.bound(64 * 1024)
    assert trail.check(tmp_path).first > 1
    assert checked(tmp_path)[0] == 0


def test_the_query_finds_what_was_changed(site: Installation) -> None:
    site.followed()
    for number in range(3):
        site.sql(f"INSERT INTO t VALUES ({number}, {number})")
        site.run("-q", "run", "--until-idle")
    assert asyncio.run(fetch(site.dsn, shown("sql"))) == []
    site.target_sql("UPDATE cdc.audit SET entry = replace(entry::text, '@', '@@')::json WHERE n = 3")
    assert [row["n"] for row in asyncio.run(fetch(site.dsn, shown("sql")))] == [3]
    site.target_sql("DELETE FROM cdc.audit WHERE n = 3")
    assert [row["n"] for row in asyncio.run(fetch(site.dsn, shown("sql")))] == [4]
