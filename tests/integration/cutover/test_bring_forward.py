"""A snapshot with what Postgres has since: the file that was there, though it is gone."""

import re
from pathlib import Path
from typing import Any

import apsw
from installation import Installation

from cdc.errors import ExitCode

SCHEMA = """
CREATE TABLE item(id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT UNIQUE, price REAL, at TIMESTAMP, note BLOB);
CREATE TABLE pair(a TEXT, b INTEGER, n, PRIMARY KEY(a, b)) WITHOUT ROWID;
INSERT INTO item(code, price, at, note) VALUES ('a', 1.5, '2024-01-02 03:04:05', x'00ff'), ('b', 2, NULL, NULL);
INSERT INTO item(code) VALUES ('gone'), ('taken');
INSERT INTO pair VALUES ('x', 1, NULL), ('y', 2, 'two');
"""
SINCE = """
UPDATE item SET code = 'c', price = 0.1 WHERE code = 'a';
UPDATE item SET code = 'a' WHERE code = 'b';
DELETE FROM item WHERE code IN ('gone', 'taken');
INSERT INTO item(code, at) VALUES ('new', '2025-01-01 00:00:00');
DELETE FROM item WHERE code = 'new';
INSERT INTO item(code, at) VALUES ('newer', '2025-01-01 00:00:01');
DELETE FROM pair WHERE a = 'x';
INSERT INTO pair VALUES ('x', 3, 'three');
"""


def contents(file: Path) -> dict[str, Any]:
    reader = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert reader.execute("PRAGMA integrity_check").get == "ok"
        tables = ("t", "item", "pair", "sqlite_sequence")
        return {name: reader.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in tables}
    finally:
        reader.close()


def test_a_file_that_is_gone_comes_back_as_it_was(site: Installation) -> None:
    site.sql(SCHEMA)
    site.followed()
    snapshot = next(file.parent for file in (site.folder / ".cdc" / "snapshots").rglob("manifest.json"))
    site.sql(SINCE)
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    was = contents(site.database)
    for file in site.folder.glob("app.db*"):
        file.unlink()

    restored = site.folder / "restored.db"
    code, out, err = site.run("-q", "restore", str(snapshot), "--to", str(restored), "--with-changes")
    assert code == ExitCode.OK, err
    assert contents(restored) == was
    assert "not known" not in out
    assert re.search(r"as SQLite was at entry \d+, of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: 7 rows other", out), out
    assert [file.name for file in site.folder.glob("*.db*")] == ["restored.db"]
