"""Types that the data decides hold every value that is there, and each proposal frees and leaves what it says.

Tables of one column are drawn at random: what it declares, and values of one kind, of two, or of any. A fresh draw is
made with `CDC_FRESH=1`; a failure prints the seed.
"""

import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

import apsw
import msgspec
import pytest
from harness import application, fetch, load, make_config, quarantined

from cdc.config import ColumnOptions, TableOptions
from cdc.facts.proposal import Proposal
from cdc.first_copy.preflight import build_plan

TABLES: Final = 40
SEEDS: Final = [Random().randrange(2**32) if "CDC_FRESH" in os.environ else n for n in range(4)]
# Decided by the data, so that nothing may stay behind at first.
DECIDED: Final = ("DATE", "DATETIME", "TIMESTAMP", "TIME", "JSON", "JSONB", "", "ANY", "UUID", "POINT", "INTERVAL")
DECLARED: Final = ("INTEGER", "BIGINT", "REAL", "TEXT", "BLOB", "BOOLEAN", "NUMERIC", "VARCHAR(9)")
VALUES: Final = {
    "integers": ("0", "1", "2", "-1", "9007199254740993", "-9223372036854775808", "1700000000", "1700000000000"),
    "reals": ("1.5", "-0.25", "12.5", "1e300", "0.1", "9e999", "-9e999", "2460000.5"),
    "texts": ("'a'", "'b '", "'é'", "''", "'1 2'", "'true'", "'No'"),
    "odd texts": ("'a' || char(0)", "CAST(x'ff' AS TEXT)", "char(55296)"),
    "blobs": ("x''", "x'00'", "x'4750'", "x'0c'", "x'ffff'"),
    "moments": ("'2024-01-02 03:04'", "'2024-01-02T03:04:05.5'", "'2024-01-02 03:04:05.123456'"),
    "instants": ("'2024-01-02T03:04Z'", "'2024-01-02 03:04:05+02:00'", "'2024-01-02 03:04:05 +0000'"),
    "days": ("'2024-01-02'", "'0001-01-01'", "'9999-12-31'"),
    "times": ("'03:04'", "'03:04:05'", "'23:59:59.999999'", "'00:00'"),
    "nearly times": ("'24:00'", "'2024-02-30'", "'2024-01-02 03:04:05.1234567'", "'12:60'", "'2024-01-02 25:00'"),
    "documents": ("""'{"a": [1, null]}'""", "'[]'", "'{}'", "'\"x\"'", "' [1.50]'", "'null'", "'[1e3, -0]'"),
    "nearly documents": ("""'{"a": 1, "a": 2}'""", "'[NaN]'", "'{'", "'\"\\u0000\"'", "'[1e999999]'", "'{a: 1}'"),
    "packed": ("""jsonb('{"a": [1]}')""", "jsonb('[]')", "jsonb('\"x\"')", "jsonb('[1.5, {}]')"),
    "uuids": ("'12345678-90ab-cdef-1234-567890abcdef'", "'00000000-0000-4000-8000-000000000000'"),
}


def fill(db: apsw.Connection, chance: Random) -> dict[str, str]:
    """Random tables of one column; what each of them declares."""
    declared: dict[str, str] = {}
    for place in range(TABLES):
        name = f"t{place}"
        declared[name] = chance.choice(DECIDED if place % 2 else DECLARED)
        db.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, c {declared[name]})")
        kinds = chance.sample(list(VALUES), chance.choice((1, 1, 2, 2, 3)))
        for _ in range(chance.randint(1, 6)):
            value = chance.choice(["NULL", *(v for kind in kinds for v in VALUES[kind] * 2)])
            db.execute(f"INSERT INTO {name} (c) VALUES ({value})")
    return declared


def is_whole(db: apsw.Connection, table: str) -> bool:
    """Whether no text of a column is one that Postgres has no text for."""
    odd = f"SELECT CAST(c AS BLOB) FROM {table} WHERE typeof(c) = 'text'"
    return all(b"\0" not in text and text.decode(errors="replace").encode() == text for (text,) in db.execute(odd))


@pytest.mark.parametrize("seed", SEEDS, ids=map(str, range(len(SEEDS))))
async def test_what_the_data_decides_holds_all_of_it(tmp_path: Path, database: str, seed: int) -> None:
    app = application(tmp_path / "app.db")
    declared = fill(app, Random(seed))
    config = make_config(tmp_path, tmp_path / "app.db", database)
    plan = await build_plan(config)
    foreseen = Counter({risk.table: risk.rows for risk in plan.risks if risk.level == "quarantine" and risk.rows})
    await load(config)
    held = Counter(table for table, _, _ in await quarantined(database))
    assert held == Counter({t: sum(r.rows for r in plan.risks if r.table == t and r.rows) for t in held}), seed
    assert set(held) == set(foreseen), seed
    for table, type_ in declared.items():
        if type_ in DECIDED and is_whole(app, table):
            assert table not in held, f"{table} {type_} of seed {seed}"
    counts = [(await fetch(database, f"SELECT count(*) FROM {t}"))[0][0] + held[t] for t in declared]
    assert counts == [app.execute(f"SELECT count(*) FROM {t}").fetchall()[0][0] for t in declared]
    app.close()


@pytest.mark.parametrize("seed", SEEDS, ids=map(str, range(len(SEEDS))))
async def test_each_proposal_does_what_it_says(tmp_path: Path, seed: int) -> None:
    app = application(tmp_path / "app.db")
    fill(app, Random(seed))
    nowhere = "postgresql://nobody@localhost:1/none"
    plan = await build_plan(make_config(tmp_path, tmp_path / "app.db", nowhere))
    before = Counter[str]()
    for risk in plan.risks:
        before[risk.table] += risk.rows if risk.level == "quarantine" else 0
    by_turn: list[dict[str, Proposal]] = [{}, {}]
    for proposal in plan.proposals:
        by_turn[proposal.table in by_turn[0]][proposal.table] = proposal
    for proposals in by_turn:
        chosen = {
            t: TableOptions(columns={"c": msgspec.convert(dict(p.lines), ColumnOptions)}) for t, p in proposals.items()
        }
        then = await build_plan(make_config(tmp_path, tmp_path / "app.db", nowhere, tables=chosen))
        after = Counter[str]()
        for risk in then.risks:
            after[risk.table] += risk.rows if risk.level == "quarantine" else 0
        for table, p in proposals.items():
            assert after[table] == p.leaves, f"{p} of seed {seed}"
            assert before[table] == (p.leaves + p.frees if p.frees else 0), f"{p} of seed {seed}"
    app.close()
