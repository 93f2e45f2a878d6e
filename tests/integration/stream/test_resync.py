"""A resync says first what it replaces in Postgres, asks where that is much, and saves what it replaces."""

import asyncio
import os
import pty
import signal
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from harness import Daemon, drain
from installation import ROOT, Installation

from cdc.config import load_config
from cdc.errors import ExitCode, TargetError
from cdc.postgres.apply import saved_rows
from cdc.postgres.tables import csv_file
from cdc.sqlite.changelog import source_file

ONE_TO = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) "


def fill(site: Installation, rows: int) -> None:
    site.sql(f"DELETE FROM t; {ONE_TO.format(rows)} INSERT INTO t SELECT i, 'row ' || i FROM n")


def lose_capture(site: Installation, *statements: str) -> None:
    """As when the file is overwritten by one without capture that has other rows."""
    source_file.remove_capture(load_config(site.config_file))
    for sql in statements:
        site.sql(sql)


def held(site: Installation, sql: str = "SELECT id, v FROM t ORDER BY id") -> list[tuple[object, ...]]:
    async def fetch() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(site.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return asyncio.run(fetch())


def saved(site: Installation) -> dict[str, str]:
    """What lies in `replaced` of the state folder: the content of each file by table and kind."""
    folder = site.folder / ".cdc" / "replaced"
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in found)
    return {".".join(file.name.split(".")[:3]): _sorted(file.read_text()) for file in found}


def _sorted(text: str) -> str:
    heading, *rows = text.splitlines(keepends=True)
    return heading + "".join(sorted(rows))


def test_what_it_replaces_is_said_first_saved_and_can_be_put_back(site: Installation) -> None:
    fill(site, 5)
    site.followed()
    lose_capture(
        site, "DELETE FROM t WHERE id < 3", "UPDATE t SET v = 'new' WHERE id = 4", "INSERT INTO t VALUES (9, '9')"
    )
    code, out, err = site.run("-q", "load", "--resync")
    assert code == ExitCode.OK, err
    assert ["t", "5", "1", "1", "2"] in [line.split() for line in out.splitlines()]
    assert "the daemon will compare every row of 1 table" in out
    assert len(held(site)) == 5
    assert saved(site) == {}
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert held(site) == [(3, "row 3"), (4, "new"), (5, "row 5"), (9, "9")]
    assert saved(site) == {"public.t.changed": "id,v\n4,row 4\n", "public.t.deleted": "id,v\n1,row 1\n2,row 2\n"}
    code, out, _ = site.run("audit", "--json")
    assert code == ExitCode.OK
    for file in (site.folder / ".cdc" / "replaced").iterdir():
        assert str(file) in out
        site.target_sql(f"CREATE TABLE IF NOT EXISTS back (LIKE t); COPY back FROM '{file}' WITH (FORMAT csv, HEADER)")
    assert held(site, "SELECT id, v FROM back ORDER BY id") == [(1, "row 1"), (2, "row 2"), (4, "row 4")]


def test_without_a_terminal_much_is_refused_until_yes_is_said(site: Installation) -> None:
    fill(site, 150)
    site.followed()
    lose_capture(site, "DELETE FROM t WHERE id > 10")
    before = site.picture()
    code, _, err = site.run("-q", "load", "--resync")
    assert code == ExitCode.CRITICAL
    assert "t (140 rows to delete, 0 to change, 0 to add, of 150)" in err
    assert "--yes" in err
    assert site.picture() == before
    assert site.run("-q", "load", "--resync", "--yes")[0] == ExitCode.OK
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert len(held(site)) == 10
    assert saved(site)["public.t.deleted"].count("\n") == 141


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", ExitCode.CRITICAL), (b"y\n", ExitCode.OK)])
def test_on_a_terminal_it_asks(site: Installation, answer: bytes, code: ExitCode) -> None:
    fill(site, 150)
    site.followed()
    lose_capture(site, "DELETE FROM t")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cdc", "-q", "load", "--resync"]
    process = subprocess.Popen(
        command, cwd=site.folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True
    )
    os.close(theirs)
    said = b""
    while b"Go on?" not in said:
        said += os.read(ours, 4096)
    os.write(ours, answer)
    assert process.wait(30) == code, said
    os.close(ours)
    assert held(site, "SELECT resync FROM cdc.stream") == [(["t"] if code == ExitCode.OK else [],)]


def test_a_crash_after_saving_replaces_nothing_and_the_next_start_does_both(site: Installation) -> None:
    fill(site, 5)
    site.followed()
    lose_capture(site, "DELETE FROM t WHERE id < 3")
    assert site.run("-q", "load", "--resync")[0] == ExitCode.OK
    with Daemon(load_config(site.config_file), ("run", "--until-idle"), {"CDC_CRASH_AT": "replaced.saved"}) as daemon:
        assert daemon.wait() == -signal.SIGKILL, daemon.words()
    assert len(held(site)) == 5
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert len(held(site)) == 3
    assert saved(site)["public.t.deleted"] == "id,v\n1,row 1\n2,row 2\n"


def test_rows_that_cannot_be_saved_are_not_replaced(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site, 5)
    site.followed()
    lose_capture(site, "DELETE FROM t WHERE id < 3")
    assert site.run("-q", "load", "--resync")[0] == ExitCode.OK
    monkeypatch.setattr(csv_file, "ROOM_BYTES", 1 << 60)
    with pytest.raises(TargetError, match="cannot be saved to"):
        asyncio.run(drain(load_config(site.config_file)))
    assert len(held(site)) == 5
    assert saved(site) == {}
    monkeypatch.undo()
    asyncio.run(drain(load_config(site.config_file)))
    assert len(held(site)) == 3


def test_rows_without_a_fitting_state_are_saved_where_the_schema_changed_as_well(site: Installation) -> None:
    """Tables with other names, generated columns and no key of their own are saved as they are in Postgres."""
    site.sql("CREATE TABLE 'odd name'(a TEXT, twice AS (a || a)); INSERT INTO 'odd name' VALUES ('x'), ('y')")
    site.followed()
    lose_capture(site, "DELETE FROM 'odd name' WHERE a = 'x'")
    assert site.run("-q", "load", "--resync")[0] == ExitCode.OK
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    (content,) = saved(site).values()
    assert "x" in content
    assert "y" not in content


def test_only_the_files_of_the_newest_comparisons_are_kept(tmp_path: Path) -> None:
    for number in range(saved_rows.KEPT + 3):
        for kind in ("changed", "deleted"):
            (tmp_path / f"public.a.b.{kind}.20260101T0000{number:02}.000000Z.csv").touch()
    (tmp_path / "public.adopted.csv").touch()
    csv_file.bound(tmp_path, saved_rows.KEPT)
    left = sorted(file.name for file in tmp_path.iterdir())
    assert len(left) == 2 * saved_rows.KEPT + 1
    assert "public.adopted.csv" in left
    assert left[0].endswith("changed.20260101T000003.000000Z.csv")


def test_a_source_that_was_never_loaded_has_nothing_to_compare_with(site: Installation) -> None:
    """The tables may be there, and may hold what others put into them."""
    assert site.run("-q", "snapshot")[0] == ExitCode.OK
    assert site.run("-q", "schema")[0] == ExitCode.OK
    site.target_sql("INSERT INTO t VALUES (1, 'precious')")
    code, _, err = site.run("-q", "load", "--resync", "--yes")
    assert (code, "was never loaded" in err) == (ExitCode.CRITICAL, True)
    assert held(site) == [(1, "precious")]
