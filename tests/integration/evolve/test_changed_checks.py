"""A migration that widens, narrows or drops a CHECK: Postgres demands what SQLite demands now, and nothing else."""

from pathlib import Path

import pytest
from harness import execute
from replicated_pair import Pair, replicated

ROWS = "INSERT INTO t VALUES (1, 'a', 1, 2), (2, 'b', 3, 4)"


def table(checks: str) -> str:
    return f"CREATE TABLE t(id INTEGER PRIMARY KEY, kind TEXT, low INTEGER, high INTEGER{checks})"


async def rebuild(pair: Pair, checks: str) -> None:
    """What a migration does: another table takes the place of the old one."""
    renamed = table(checks).replace("TABLE t(", "TABLE t_new(")
    steps = (renamed, "INSERT INTO t_new SELECT * FROM t", "DROP TABLE t", "ALTER TABLE t_new RENAME TO t")
    await pair.write(*steps)


async def demands(pair: Pair) -> int:
    """How many CHECKs Postgres has."""
    ((found,),) = await pair.rows("SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'c'")
    return int(found)


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        (", CHECK (kind IN ('a', 'b'))", ", CHECK (kind IN ('a', 'b', 'c'))", 1),
        (", CHECK (kind IN ('a', 'b'))", "", 0),
        (", CONSTRAINT kinds CHECK (kind IN ('a', 'b'))", ", CONSTRAINT kinds CHECK (kind IN ('a', 'b', 'c'))", 1),
        (", CHECK (low < high), CHECK (kind <> 'c' OR low < high)", ", CHECK (low < high)", 1),
        (", CHECK (low < high), CHECK (low > 0 AND kind <> 'c')", ", CHECK (low < high), CHECK (low > 0)", 2),
        (", CHECK (kind <> 'c' OR low < high), CHECK (low < high)", ", CHECK (low < high)", 1),
    ],
)
async def test_rows_that_the_new_check_takes_arrive(
    tmp_path: Path, database: str, before: str, after: str, left: int
) -> None:
    async with replicated(tmp_path, database, table(before), ROWS) as pair:
        await rebuild(pair, after)
        await pair.write("INSERT INTO t VALUES (3, 'c', 5, 6)")
        assert await pair.held() == {}
        assert await pair.differences() == []
        assert await demands(pair) == left


async def test_a_check_of_the_operator_stays(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, table(", CHECK (kind IN ('a', 'b'))"), ROWS) as pair:
        await execute(database, "ALTER TABLE t ADD CHECK (low < 100)")
        await rebuild(pair, "")
        assert await pair.rows(
            "SELECT conname::text FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'c'"
        ) == [("t_low_check",)]


async def test_a_check_that_an_earlier_version_made_goes_too(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, table(", CHECK (kind IN ('a', 'b'))"), ROWS) as pair:
        await execute(database, "COMMENT ON CONSTRAINT t_kind_check ON t IS NULL")
        await execute(database, "UPDATE cdc.mapping SET columns = replace(columns::text, 'choice', 'other')::jsonb")
        await pair.replica.close()
        await pair.replica.sync()
        await rebuild(pair, "")
        await pair.write("INSERT INTO t VALUES (3, 'c', 5, 6)")
        assert await pair.held() == {}
        assert await demands(pair) == 0
