"""The load, the audit trail, the status and a comparison count the same rows, and together they are all there are."""

import json

from installation import Installation

from cdc.errors import ExitCode

SCHEMA = """
CREATE TABLE parent(id INTEGER PRIMARY KEY, n INTEGER);
CREATE TABLE child(id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent(id));
INSERT INTO parent VALUES (1, 1), (2, 2), (3, 'no number');
INSERT INTO child VALUES (1, 1), (2, 2), (3, 3), (4, 99);
INSERT INTO t VALUES (1, 'a'), (2, 'b');
"""
ROWS, HELD = 9, 3  # a value that does not fit, its child, and a child of nobody


def counts(site: Installation) -> dict[str, tuple[int, int]]:
    """Rows in Postgres and rows in quarantine, by who says so."""
    (load,) = [e for e in json.loads(site.run("audit", "--json")[1])["entries"] if e["action"] == "load"]
    report = json.loads(site.run("verify", "--json")[1])
    return {
        "audit": (load["details"]["rows"], load["details"]["quarantined"]),
        "status": (ROWS - site.status()["quarantine"]["total"], site.status()["quarantine"]["total"]),
        "verify": (sum(t["matched"] for t in report["tables"]), report["quarantined"]),
    }


def test_what_is_loaded_and_what_is_held_are_counted_alike(site: Installation) -> None:
    site.sql(SCHEMA)
    for command in ("snapshot", "schema"):
        assert site.run("-q", command)[0] == ExitCode.OK
    code, out, _ = site.run("-q", "load")
    assert (code, out) == (ExitCode.OK, "loaded 6 rows, 3 rows in quarantine; next: `cdc run`\n")
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert set(counts(site).values()) == {(ROWS - HELD, HELD)}


def test_a_load_that_was_cut_short_counts_what_it_had_done(site: Installation) -> None:
    site.sql(SCHEMA)
    for command in ("snapshot", "schema"):
        assert site.run("-q", command)[0] == ExitCode.OK
    code, _, _ = site.process("-q", "load", environment={"CDC_CRASH_AT": "load.after_table_commit:2"})
    assert code < 0
    code, out, _ = site.run("-q", "load")
    assert (code, out) == (ExitCode.OK, "loaded 6 rows, 3 rows in quarantine; next: `cdc run`\n")
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert set(counts(site).values()) == {(ROWS - HELD, HELD)}


def test_the_whole_way_at_once_counts_the_same(site: Installation) -> None:
    site.sql(SCHEMA)
    site.followed()
    assert set(counts(site).values()) == {(ROWS - HELD, HELD)}
