"""Damage done by hand at random places is found, the very rows and no other, while an application writes all the time.

The rows and places are the same at every run; `CDC_FRESH=1` draws others, and `CDC_SEED=17` replays one draw.
`CDC_ROWS=1000000` takes a larger table.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import pytest
from app_processes import Client
from harness import Daemon, application, execute, make_config, up, value, wait_for
from quiet_rows import EVERY, REST, is_quiet

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.facts.progress import Silent
from cdc.verify import VerifyReport, verify

# Here, for the tests' own environment has no such names.
SEED: Final = int(os.environ.get("CDC_SEED", Random().randrange(2**32) if "CDC_FRESH" in os.environ else 1))
ROWS: Final = int(os.environ.get("CDC_ROWS", "30000"))
CLIENT: Final = Path(__file__).with_name("busy_client.py")
TABLES: Final = """
CREATE TABLE item(id INTEGER PRIMARY KEY, price REAL, note TEXT, tag TEXT, at TEXT, doc TEXT);
CREATE TABLE child(id INTEGER PRIMARY KEY, item INTEGER REFERENCES item(id), body BLOB);
CREATE TABLE word(w TEXT PRIMARY KEY, n INTEGER);
"""
# A child and a word for each tenth row of `item`, all of them quiet.
REST_OF_TABLES: Final = f"""
INSERT INTO child SELECT id, id, CAST('body ' || id AS BLOB) FROM item WHERE id % {EVERY} = {REST};
INSERT INTO word SELECT 'w' || id, id FROM item WHERE id % 5 = {REST};
"""
TYPES: Final = {"item": {"at": "timestamptz", "doc": "jsonb"}}


def rows(chance: Random, count: int) -> Iterator[tuple[int, float, str, str | None, str, str]]:
    """Rows of `item`: of the quiet ones, every tenth costs 1.0, every tenth has an empty tag, every tenth has none."""
    for key in range(1, count + 1):
        kind = key // EVERY % 10
        price = 1.0 if kind == 0 else chance.uniform(-1e6, 1e6)
        tag = "" if kind == 1 else None if kind == 2 else f"tag {key % 7}"
        at = f"2024-0{key % 9 + 1}-11T{key % 24:02}:00:0{key % 10}.{key % 1000:03}+02:00"
        document = f'{{"b": {{"list": [1, {{"x": {key}}}]}}, "a": 1.50, "long key": "Ü"}}'
        yield key, price, f"Café {key} \u00e5", tag, at, document


@dataclass(frozen=True)
class Damage:
    """What was done to some rows of a table, and as what it has to be found; "" for what changes nothing."""

    sql: str
    table: str
    keys: Sequence[str]
    found: str = "different"


class Attacker:
    """Somebody with psql, who picks each quiet row at most once."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        quiet = range(REST, ROWS + 1, EVERY)
        self.prices = {key: price for key, price, *_ in rows(Random(seed), ROWS) if is_quiet(key)}
        self.free = {kind: [key for key in quiet if key // EVERY % 10 == kind] for kind in range(10)}

    def pick(self, kind: int | None = None) -> int:
        """A row of a kind, else one of those that are like all others."""
        group = self.free[self.chance.randrange(3, 10) if kind is None else kind]
        return group.pop(self.chance.randrange(len(group)))

    def damages(self) -> list[Damage]:
        """One of each kind."""
        one, other = self.pick(), self.pick()
        pairs = f"(({one}, {other}), ({other}, {one}))"
        swapped = f"UPDATE item AS a SET note = b.note FROM item AS b WHERE (a.id, b.id) IN {pairs}"
        child, word = self.pick(), self.pick()
        return [
            Damage(swapped, "item", [f"i{one}", f"i{other}"]),
            Damage(f"DELETE FROM child WHERE id = {child}", "child", [f"i{child}"], "missing"),
            Damage(f"DELETE FROM word WHERE w = 'w{word}'", "word", [f"tw{word}"], "missing"),
            self.item("price = 1.0000000000000002", 0),
            self.item("note = normalize(note, NFD)"),
            self.item("at = (at AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/Berlin'"),
            self.item("doc = jsonb_set(doc, '{b,list,1,x}', '-1')"),
            self.item("doc = jsonb_set(doc, '{a}', '1.5')"),
            self.item("tag = NULL", 1),
            self.item("tag = ''", 2),
            self.item(
                'doc = (\'{"long key": "Ü", "a": 1.50, "b": \' || (doc -> \'b\')::text || \'}\')::jsonb', found=""
            ),
            self.bit(),
        ]

    def item(self, change: str, kind: int | None = None, found: str = "different") -> Damage:
        key = self.pick(kind)
        return Damage(f"UPDATE item SET {change} WHERE id = {key}", "item", [f"i{key}"], found)

    def bit(self) -> Damage:
        """One bit of a float, of its mantissa."""
        key = self.pick()
        (bits,) = struct.unpack(">q", struct.pack(">d", self.prices[key]))
        (bent,) = struct.unpack(">d", struct.pack(">q", bits ^ 1 << self.chance.randrange(52)))
        return Damage(f"UPDATE item SET price = {bent!r} WHERE id = {key}", "item", [f"i{key}"])


@pytest.fixture
async def config(tmp_path: Path, database: str) -> Config:
    app = application(tmp_path / "app.db")
    app.execute(TABLES).fetchall()
    with app:
        app.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)", rows(Random(SEED), ROWS))
    app.execute(REST_OF_TABLES).fetchall()
    app.close()
    tables = {
        name: TableOptions(columns={column: ColumnOptions(type=type_) for column, type_ in columns.items()})
        for name, columns in TYPES.items()
    }
    made = make_config(tmp_path, tmp_path / "app.db", database, tables=tables)
    await up(made)
    return made


def found(report: VerifyReport) -> dict[str, dict[str, set[str]]]:
    assert report.problems == ()
    assert [table.problem for table in report.tables] == [None] * 3
    for table in report.tables:
        counts = {"different": table.different, "missing": table.missing, "extra": table.extra}
        assert {kind: len(keys) for kind, keys in table.samples.items()} == {k: n for k, n in counts.items() if n}
    return {t.table: {kind: set(keys) for kind, keys in t.samples.items()} for t in report.tables if t.samples}


def expected(damages: Sequence[Damage]) -> dict[str, dict[str, set[str]]]:
    wanted: dict[str, dict[str, set[str]]] = {}
    for damage in damages:
        if damage.found:
            wanted.setdefault(damage.table, {}).setdefault(damage.found, set()).update(damage.keys)
    return wanted


async def test_damage_is_found_exactly_while_the_application_writes(config: Config) -> None:
    async def flows() -> bool:
        return bool(await value(config.target.dsn, f"SELECT seq > {ROWS // 10} FROM cdc.stream"))

    attacker = Attacker(SEED)
    with Daemon(config) as daemon, Client(CLIENT, config.source.path, SEED, ROWS) as client:
        await wait_for(flows, "changes to flow", daemon=daemon)
        assert found(await verify(config, None, False, Silent())) == {}
        damages: list[Damage] = []
        for _ in range(2):
            fresh = attacker.damages()
            await execute(config.target.dsn, ";\n".join(damage.sql for damage in fresh))
            damages += fresh
            assert found(await verify(config, None, False, Silent())) == expected(damages), f"CDC_SEED={SEED}"
        assert client.runs
        client.end()
        assert daemon.runs
    assert found(await verify(config, None, False, Silent())) == expected(damages), f"CDC_SEED={SEED}"
