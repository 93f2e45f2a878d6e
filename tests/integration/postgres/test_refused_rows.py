"""Rows that Postgres refuses at the end of a batch of several rounds: the ones to blame stay out, the others do not."""

from pathlib import Path

from harness import execute, value
from replicated_pair import replicated

TABLE = "CREATE TABLE item(id INTEGER PRIMARY KEY, v TEXT)"
UNIQUE = "ALTER TABLE item ADD CONSTRAINT item_v UNIQUE (v) DEFERRABLE"
MANY = "INSERT INTO item VALUES " + ", ".join(f"({n}, 'v{n}')" for n in range(1, 30))


async def test_only_the_row_that_breaks_a_constraint_of_postgres_stays_out(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, TABLE, round_entries=3) as pair:
        # Only Postgres has this constraint, so SQLite may break it.
        await execute(database, UNIQUE)
        await pair.replica.close()
        await pair.write(MANY, "INSERT INTO item VALUES (30, 'v2'), (31, 'last')")
        assert await value(database, "SELECT array_agg(key ORDER BY key) FROM cdc.quarantine") == ["i30"]
        assert await value(database, "SELECT count(*) FROM item") == 30
        assert await pair.differences() == []


async def test_rows_that_come_in_several_rounds_end_as_sqlite_has_them(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, TABLE, round_entries=3) as pair:
        await pair.write(
            MANY,
            "UPDATE item SET v = 'x' || v WHERE id % 2",
            "DELETE FROM item WHERE id % 5 = 0",
            "INSERT INTO item VALUES (5, 'back')",
            "UPDATE item SET id = id + 100 WHERE id % 7 = 0",
        )
        assert await value(database, "SELECT v FROM item WHERE id = 5") == "back"
        assert await pair.differences() == []
