"""Texts sort, compare and are unique in Postgres as under each of SQLite's collations, whatever they are made of.

A BINARY column does so by itself. For the others Postgres has no collation; what takes its place is the expression of
their index, and that is what is tried here: as the schema script writes it, in queries of both databases.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.config import decode_config
from cdc.mapping.map_tables import map_schema
from cdc.postgres.ddl.runner import apply
from cdc.postgres.ddl.schema_script import script
from cdc.sqlite.schema.read import read_schema

COLLATIONS = ("BINARY", "NOCASE", "RTRIM")
TABLE = """
CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT COLLATE {collation});
CREATE INDEX by_v ON t(v);
CREATE TABLE once(id INTEGER PRIMARY KEY, v TEXT COLLATE {collation} UNIQUE);
"""
# Near misses: letters of either case and their accents, what stands between Z and a, blanks of many kinds.
NEAR = "aAbBzZ[_`{@ \t\u00a0\u2003éÉßẞİ\u0131Kk\u212a\u017fS\u03c3Σς\ufeff\U0001f600e\u0301"
ALPHABETS = (
    st.sampled_from("aA "),
    st.sampled_from(NEAR),
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
)
texts = st.one_of([st.lists(st.text(alphabet, max_size=3), min_size=2, max_size=12) for alphabet in ALPHABETS])


class Rig:
    """The same table on both sides, and what its index orders by in Postgres."""

    def __init__(self, runner: asyncio.Runner, dsn: str, collation: str) -> None:
        self.runner = runner
        self.sqlite = apsw.Connection(":memory:")
        self.sqlite.execute(TABLE.format(collation=collation)).fetchall()
        self.postgres: Any = runner.run(asyncpg.connect(dsn))
        self.term = runner.run(self._make())

    async def _make(self) -> str:
        config = decode_config({"source": {"path": "a.db"}, "target": {"dsn": "x", "schema": "app"}, "tables": {}})
        made = script(map_schema(read_schema(self.sqlite, config), config), "app")
        assert not made.notes
        await apply(self.postgres, made.before_load)
        await apply(self.postgres, made.after_load, together=False)
        definition = await self.postgres.fetchval("SELECT pg_get_indexdef('app.by_v'::regclass, 1, true)")
        return str(definition)

    def fill(self, given: Sequence[str]) -> None:
        rows = list(enumerate(given))
        self.sqlite.execute("DELETE FROM t")
        self.sqlite.executemany("INSERT INTO t VALUES (?, ?)", rows)
        self.runner.run(self.postgres.execute("TRUNCATE app.t, app.once"))
        self.runner.run(self.postgres.executemany("INSERT INTO app.t VALUES ($1, $2)", rows))

    def here(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.sqlite.execute(sql)]

    def there(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.runner.run(self.postgres.fetch(sql))]

    def inserted_here(self, n: int, text: str) -> bool:
        try:
            self.sqlite.execute("INSERT INTO once VALUES (?, ?)", (n, text))
        except apsw.ConstraintError:
            return False
        return True

    def inserted_there(self, n: int, text: str) -> bool:
        try:
            self.runner.run(self.postgres.execute("INSERT INTO app.once VALUES ($1, $2)", n, text))
        except asyncpg.IntegrityConstraintViolationError:
            return False
        return True


@pytest.fixture(params=COLLATIONS)
def rig(request: pytest.FixtureRequest, database: str) -> Iterator[Rig]:
    with asyncio.Runner() as runner:
        made = Rig(runner, database, request.param)
        yield made
        runner.run(made.postgres.close())
        made.sqlite.close()


@settings(max_examples=60, deadline=None, derandomize="CDC_FRESH" not in os.environ, print_blob=True, database=None)
@given(given=texts)
def judge(rig: Rig, given: list[str]) -> None:
    rig.fill(given)
    order = rig.there(f"SELECT id FROM app.t ORDER BY {rig.term}, id")
    assert order == rig.here("SELECT id FROM t ORDER BY v, id"), given
    pairs = "SELECT a.id, b.id FROM {0} AS a JOIN {0} AS b ON {1} {2} {3} ORDER BY 1, 2"
    for operator in ("=", "<"):
        mine, theirs = rig.term.replace("v", "a.v", 1), rig.term.replace("v", "b.v", 1)
        found = rig.there(pairs.format("app.t", mine, operator, theirs))
        assert found == rig.here(pairs.format("t", "a.v", operator, "b.v")), (operator, given)
    rig.sqlite.execute("DELETE FROM once")
    taken = [rig.inserted_here(n, text) for n, text in enumerate(given)]
    assert [rig.inserted_there(n, text) for n, text in enumerate(given)] == taken, given


def test_texts_sort_and_compare_as_under_a_collation_of_sqlite(rig: Rig) -> None:
    judge(rig)
