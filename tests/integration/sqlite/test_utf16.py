"""Files that keep texts as UTF-16: every text arrives as it is, or its row is held back; none becomes another."""

from pathlib import Path

import pytest
from replicated_pair import Pair, replicated

from cdc.config import decode_config
from cdc.facts.profile import TableProfile
from cdc.sqlite.schema.profile import profile
from cdc.sqlite.schema.read import read_schema
from cdc.verify import verify

HALF = "CAST(x'3DD85100' AS TEXT)"  # the first half of a surrogate pair, and a Q, little-endian
TABLES = (
    "PRAGMA encoding = 'UTF-16le'",
    "CREATE TABLE m(id INTEGER PRIMARY KEY, t TEXT)",
    "CREATE TABLE k(name TEXT NOT NULL PRIMARY KEY, n INTEGER)",
)


class Silent:
    """Nobody looks."""

    def start(self, what: str, total: int | None) -> None: ...

    def advance(self, n: int) -> None: ...

    def finish(self) -> None: ...


@pytest.fixture
def rows() -> tuple[str, ...]:
    return (
        f"INSERT INTO m VALUES (1, 'a' || char(0x1F600) || 'é'), (2, {HALF}), (3, '')",
        f"INSERT INTO k VALUES ('é', 1), ({HALF}, 2)",
    )


async def held_and_there(pair: Pair) -> None:
    assert sorted(await pair.held()) == ["k invalid text x'3dd85100'", "m 2"]
    assert await pair.rows("SELECT id, t FROM m ORDER BY id") == [(1, "a😀é"), (3, "")]
    assert await pair.rows("SELECT name, n FROM k") == [("é", 1)]
    assert await pair.differences() == []
    assert {(t.missing, t.different, t.extra) for t in (await verify(pair.config, None, False, Silent())).tables} == {
        (0, 0, 0)
    }


async def test_half_a_surrogate_pair_is_held_back_by_the_first_copy(
    tmp_path: Path, database: str, rows: tuple[str, ...]
) -> None:
    async with replicated(tmp_path, database, *TABLES, *rows) as pair:
        await held_and_there(pair)


async def test_half_a_surrogate_pair_is_held_back_while_following(
    tmp_path: Path, database: str, rows: tuple[str, ...]
) -> None:
    async with replicated(tmp_path, database, *TABLES) as pair:
        await pair.write(*rows)
        await held_and_there(pair)
        await pair.write(f"UPDATE m SET t = 'whole' WHERE t = {HALF}", f"DELETE FROM k WHERE name = {HALF}")
        assert await pair.held() == {}
        assert await pair.differences() == []


async def test_the_forms_of_texts_are_known(tmp_path: Path, database: str, rows: tuple[str, ...]) -> None:
    async with replicated(tmp_path, database, *TABLES) as pair:
        pair.app.execute("INSERT INTO m VALUES (1, '2024-01-02'), (2, 'a' || char(0)), (3, 'é')")
        pair.app.execute(f"INSERT INTO m VALUES (4, {HALF})")
        config = decode_config({"source": {"path": "app.db"}, "target": {"dsn": "postgresql://localhost/app"}})
        table = read_schema(pair.app, config).table("m")
        assert table is not None
        found: TableProfile = profile(pair.app, table)
        forms = found.columns[1].forms
        assert (forms.date, forms.nul, forms.invalid) == (1, 1, 1)
        assert found.columns[1].first == "2024-01-02"
