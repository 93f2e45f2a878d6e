"""Whatever view is translated, both databases answer it with the same rows, also when the rows are others later.

The views and rows are the same at every run; `CDC_FRESH=1` draws others, `CDC_SEED=17` replays one seed.
"""

import math
import os
import re
from collections import Counter
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random

import apsw
import asyncpg
import pytest
from harness import fetch
from queries import TABLES, Views, rows
from replicated_pair import Pair, replicated

VIEWS = 80
REPLAYED = os.environ.get("CDC_SEED")
FRESH = "CDC_FRESH" in os.environ  # here, for the tests' own environment has no such name
PARTS = [int(REPLAYED)] if REPLAYED else [1, 2, 3, 4]


@pytest.mark.parametrize("part", PARTS)
async def test_a_translated_view_answers_as_in_sqlite(tmp_path: Path, database: str, part: int) -> None:
    seed = Random().randrange(2**32) if FRESH and not REPLAYED else part
    print(f"replay with CDC_SEED={seed}")  # shown when it fails
    random = Random(seed)
    statements = [TABLES, *rows(random, 1, 30)]
    async with replicated(tmp_path, database, *statements, *written(statements, random)) as pair:
        made = await names(pair, "SELECT viewname::text FROM pg_views WHERE schemaname = 'public'")
        assert len(made) > VIEWS // 4, f"few views are translated: {len(made)}"
        assert "\n".join(await refusals(pair)) == ""
        await same(pair, made)
        await pair.write(
            "DELETE FROM t WHERE id % 3 = 0", *rows(random, 100, 30), "UPDATE u SET s = NULL WHERE id % 5 = 0"
        )
        await same(pair, made)


def written(statements: list[str], random: Random) -> list[str]:
    """Views that SQLite itself takes."""
    scratch = apsw.Connection(":memory:")
    for sql in statements:
        scratch.execute(sql)
    views, kept = Views(random), []
    for number in range(VIEWS):
        sql = views.view(number)
        try:
            scratch.execute(sql)
            scratch.execute(f"SELECT * FROM V{number}").fetchall()
            kept.append(sql)
        except apsw.SQLError:
            views.forget(number)
    return kept


async def names(pair: Pair, sql: str) -> list[str]:
    return [str(row[0]) for row in await pair.rows(sql)]


async def refusals(pair: Pair) -> list[str]:
    """Views that were translated and whose answers differed."""
    details = "entry->'details'->>'view', entry->'details'->>'why'"
    told = await pair.rows(f"SELECT {details} FROM cdc.audit WHERE entry->>'action' = 'leave out view'")
    return [f"{why}: {definition(pair, name)}" for name, why in told]


def definition(pair: Pair, name: str) -> str:
    return str(pair.app.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).get)


async def same(pair: Pair, made: list[str]) -> None:
    for name in made:
        try:
            ours = pair.app.execute(f"SELECT * FROM {name}").fetchall()
        except apsw.SQLError:
            continue  # a sum that overflows has no answer
        theirs = await fetch(pair.dsn, f'SELECT * FROM "{name}"')
        assert Counter(map(plain, ours)) == Counter(map(plain, theirs)), definition(pair, name)


def plain(row: tuple[object, ...] | asyncpg.Record) -> tuple[str, ...]:
    """A row in one form for what the two drivers give as different types; integers beyond a double stay exact."""
    return tuple(map(_plain, row))


def _plain(value: object) -> str:
    match value:
        case datetime():
            return repr(value.isoformat(" ").rstrip("0").rstrip(":").rstrip("."))
        case str() if re.fullmatch(r"\d{4}-.*:.*", value):
            return _plain(datetime.fromisoformat(value))
        case float() if math.isinf(value):
            return str(value)
        case int() | float() | Decimal():
            return str(Fraction(str(value)) if isinstance(value, Decimal) else Fraction(repr(value + 0)))
        case _:
            return repr(value)
