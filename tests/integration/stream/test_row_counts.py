"""At each heartbeat rows in Postgres and rows held are counted against the rows of SQLite, where that is cheap."""

import json
import time
from collections.abc import Callable
from contextlib import closing

import apsw
import pytest
from harness import DEADLINE_SECONDS, Daemon, application, fetch
from installation import Installation

from cdc.config import load_config
from cdc.postgres.connection.open import Connection
from cdc.sqlite.connection.transactions import stopped_after

TABLES = """
CREATE TABLE p(id INTEGER PRIMARY KEY, n BIGINT);
CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id));
CREATE TABLE k(code TEXT PRIMARY KEY, v TEXT);
INSERT INTO p VALUES (1, 5), (2, 'plain text'), (3, 7);
INSERT INTO c VALUES (1, 1), (2, 2), (3, 99);
INSERT INTO k VALUES ('a', 'b');
"""
LATE = "INSERT INTO k VALUES (NULL, 'c'), (NULL, 'd'), (NULL, 'c')"
BEAT = "[replicate]\nheartbeat_seconds = 0.05\nidle_close_seconds = 60"


@pytest.fixture
def followed(site: Installation) -> Installation:
    site.sql(TABLES)
    site.configure(BEAT)
    site.followed()
    site.sql(LATE)
    site.followed()
    return site


def wait(daemon: Daemon, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert daemon.runs, daemon.words()
        assert time.monotonic() < deadline, daemon.words()
        time.sleep(0.05)


def miscounts(site: Installation) -> list[str]:
    entries = json.loads(site.run("audit", "--json")[1])["entries"]
    return [e["details"]["table"] for e in entries if e["action"] == "count rows"]


def differing(site: Installation) -> list[str]:
    told: list[str] = site.status()["verification"]["differing"]
    return told


def test_a_row_deleted_in_postgres_is_told_at_a_heartbeat(followed: Installation) -> None:
    with Daemon(load_config(followed.config_file)) as daemon:
        followed.target_sql("DELETE FROM p WHERE id = 3")
        wait(daemon, lambda: differing(followed) == ["p"])
        assert "p has 1 rows in Postgres and 1 held, and SQLite has more" in daemon.words()
        code, out, _ = followed.run("status")
        assert (code, "the comparison of p was not equal" in out) == (1, True)
        for number in range(30, 35):  # the table grows, and lacks what it lacked
            followed.sql(f"INSERT INTO p VALUES ({number}, {number})")
            time.sleep(0.2)  # some heartbeats
        assert miscounts(followed) == ["p"]  # told once, whatever the number of heartbeats
        # What is printed as the remedy shows the row, and brings it back.
        code, out, _ = followed.run("verify", "--table", "p", "--repair")
        assert (code, "missing" in out) == (1, True), out
        wait(daemon, lambda: followed.run("verify", "--table", "p")[0] == 0)
        assert differing(followed) == []


def test_a_row_added_in_postgres_is_told_at_a_heartbeat(followed: Installation) -> None:
    with Daemon(load_config(followed.config_file)) as daemon:
        followed.target_sql("INSERT INTO k VALUES ('of nobody', 'x')")
        wait(daemon, lambda: differing(followed) == ["k"])
        assert "k has 2 rows in Postgres and 3 held, and SQLite has 4" in daemon.words()


def test_what_is_held_and_what_moves_is_no_miscount(followed: Installation) -> None:
    with Daemon(load_config(followed.config_file)) as daemon:
        for number in range(100):
            followed.sql(f"INSERT INTO p VALUES ({10 + number}, {'NULL' if number % 2 else number})")
            followed.sql(f"INSERT INTO k VALUES (NULL, '{number}'); DELETE FROM k WHERE rowid % 3 = 0")
        followed.target_sql("DELETE FROM c WHERE id = 1")  # a beat that counted has certainly come after all of it
        wait(daemon, lambda: differing(followed) == ["c"])
        assert daemon.words().count("SQLite has") == 1


def test_a_locked_table_holds_nothing_up(followed: Installation) -> None:
    with Daemon(load_config(followed.config_file)) as daemon:

        async def while_locked(holder: Connection) -> None:
            async with holder.transaction():
                await holder.execute("LOCK TABLE p IN ACCESS EXCLUSIVE MODE")
                followed.sql("INSERT INTO k VALUES ('new', 'row')")
                deadline = time.monotonic() + DEADLINE_SECONDS
                while not await fetch(followed.dsn, "SELECT 1 FROM k WHERE code = 'new'"):
                    assert time.monotonic() < deadline, daemon.words()

        followed.postgres(while_locked)
        assert daemon.runs


def test_a_count_that_takes_long_ends(followed: Installation) -> None:
    endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with closing(application(followed.database)) as connection:
        with pytest.raises(apsw.InterruptError), stopped_after(connection, 0.01):
            connection.execute(endless)
        assert connection.execute("SELECT count(*) FROM p").get == 3  # and holds for the block alone
