"""Random values that the application writes while it is followed arrive as they do by load, into either kind of target.

What is read back is judged as in `test_value_roundtrip`. A batch goes directly where every row fits, else by the stage.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from harness import Live, application, live, load, make_config
from hypothesis import given, settings
from hypothesis import strategies as st
from test_value_roundtrip import KINDS, Rig, values

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.facts.progress import Silent
from cdc.facts.row_key import decode_key
from cdc.facts.values import InvalidText, Value
from cdc.verify.run import verify

FRESH = "CDC_FRESH" in os.environ  # here, for the tests' own environment has no such name
TYPES = "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'it''s')"


class Followed:
    """A table in SQLite for each kind, all with the same values, and their copies."""

    def __init__(self, folder: Path, dsn: str, runner: asyncio.Runner, *, adopted: bool) -> None:
        self.runner = runner
        self.app = application(folder / "app.db")
        self.postgres: Any = runner.run(asyncpg.connect(dsn))
        runner.run(self.postgres.execute(TYPES))
        tables = {}
        for n, kind in enumerate(KINDS):
            self.app.execute(f"CREATE TABLE t{n}(id INTEGER PRIMARY KEY, v)").fetchall()
            tables[f"t{n}"] = TableOptions(columns={"v": ColumnOptions(type="literal" if kind.literal else kind.type)})
            if adopted:
                runner.run(self.postgres.execute(f"CREATE TABLE t{n}(id bigint PRIMARY KEY, v {kind.type})"))
        config = make_config(folder, folder / "app.db", dsn, tables=tables)
        target = msgspec.structs.replace(config.target, adopt=adopted)
        self.config: Config = msgspec.structs.replace(config, target=target)
        runner.run(load(self.config))

    def write(self, given: Sequence[Value]) -> list[Value]:
        """The application's transaction; returns the values as SQLite keeps them."""
        with self.app:
            for n in range(len(KINDS)):
                self.app.execute(f"DELETE FROM t{n}")
                for place, value in enumerate(given):
                    self._insert(n, place, value)
        kept = self.app.execute("SELECT iif(typeof(v) = 'real', v, NULL) FROM t0 ORDER BY id").fetchall()
        return [value if real is None else real for value, (real,) in zip(given, kept, strict=True)]

    def _insert(self, n: int, place: int, value: Value) -> None:
        if isinstance(value, InvalidText):
            self.app.execute(f"INSERT INTO t{n} VALUES (?, CAST(? AS TEXT))", (place, value.data))
        else:
            self.app.execute(f"INSERT INTO t{n} VALUES (?, ?)", (place, value))

    async def check(self, replica: Live, given: Sequence[Value]) -> None:
        kept = self.write(given)
        await replica.sync()
        held = await self.postgres.fetch("SELECT source_table, key, reason FROM cdc.quarantine")
        assert all(row["reason"] == "value" for row in held)
        rejected = {(row["source_table"], decode_key(row["key"])[0]) for row in held}
        for n, kind in enumerate(KINDS):
            for place, value in enumerate(kept):
                await Rig.judge(self, kind, f"t{n}", place, value, (f"t{n}", place) in rejected)  # type: ignore[arg-type]
        assert (await verify(self.config, None, False, Silent())).result == "equal"


@pytest.fixture(params=[False, True], ids=["generated", "adopted"])
def followed(tmp_path: Path, database: str, request: pytest.FixtureRequest) -> Iterator[Followed]:
    with asyncio.Runner() as runner:
        made = Followed(tmp_path, database, runner, adopted=request.param)
        yield made
        runner.run(made.postgres.close())
        made.app.close()


def test_every_value_written_while_followed_is_stored_exactly_or_kept_out(followed: Followed) -> None:
    opened = live(followed.config)
    replica = followed.runner.run(opened.__aenter__())

    @settings(max_examples=30, deadline=None, derandomize=not FRESH, print_blob=True, database=None)
    @given(st.lists(values, min_size=1, max_size=12))
    def check(given: list[Value]) -> None:
        followed.runner.run(followed.check(replica, given))

    try:
        check()
    finally:
        followed.runner.run(opened.__aexit__(None, None, None))
