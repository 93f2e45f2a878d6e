"""Tables that a migration made for Postgres by renames and narrowings: the first configuration finds its way into them.

The tables are the same at every run; `CDC_FRESH=1` draws others, and `CDC_SEED=17` replays one draw.
"""

import json
import os
import re
from dataclasses import dataclass
from random import Random
from typing import Final

import pytest
from installation import Installation

from cdc.errors import ExitCode
from cdc.sql_names import quote

FIRST: Final = int(os.environ.get("CDC_SEED", Random().randrange(2**32) if "CDC_FRESH" in os.environ else 1))
DRAWS: Final = 1 if "CDC_SEED" in os.environ else 6

# What SQLite declares, what a migration makes of it, and values: those that a line lets in exactly, or only by a loss.
EXACT: Final = (
    ("DATETIME", "timestamptz", ["'2024-02-29 12:00:00'", "'2024-02-29'", "'2024-02-29T12:00:00+02:00'"]),
    ("DATETIME", "timestamp(3)", ["'2024-02-29 12:00:00.25'", "'2024-02-29T12:00:00Z'"]),
    ("INTEGER", "timestamptz", ["1700000000", "1800000000"]),
    ("INTEGER", "timestamptz", ["1700000000123", "1800000000123"]),
    ("BIGINT", "integer", ["0", "2147483647"]),
    ("INTEGER", "boolean", ["0", "1"]),
    ("TEXT", "boolean", ["'yes'", "'no'", "'TRUE'", "0"]),
    ("CHAR(32)", "uuid", ["'550E8400E29B41D4A716446655440000'", "'{550e8400-e29b-41d4-a716-446655440001}'"]),
    ("BLOB", "uuid", ["x'550e8400e29b41d4a716446655440000'"]),
    ("TEXT", "varchar(5)", ["''", "'five5'"]),
    ("REAL", "real", ["0.5", "2.0"]),
    ("TEXT", "integer", ["'17'", "'-4'"]),
    ("DECIMAL(8, 2)", "numeric(8, 2)", ["0.25", "17"]),
    ("TEXT", "jsonb", ["'{\"a\": 1}'", "'[]'"]),
)
LOSSY: Final = (
    ("REAL", "real", ["0.1"]),
    ("TEXT", "varchar(3)", ["'longer'"]),
    ("DATETIME", "date", ["''", "'2024-02-29'"]),
    ("DATETIME", "timestamp(0)", ["'2024-02-29 12:00:00.7'"]),
    ("INTEGER", "smallint", ["70000"]),
)


@dataclass(frozen=True)
class Drawn:
    """A table of the application with its counterpart, and the columns of it that lose something there."""

    name: str
    source: str
    target: str
    rows: tuple[str, ...]
    lossy: frozenset[str]


def other_case(name: str, random: Random) -> str:
    return "".join(random.choice([char.lower(), char.upper()]) for char in name)


def draw_table(name: str, random: Random) -> Drawn:
    kinds = random.sample(EXACT, random.randint(2, 8)) + random.sample(LOSSY, random.randint(0, 2))
    named = [(f"column_{n}", *kind) for n, kind in enumerate(kinds)]
    there = [f"{quote(other_case(column, random))} {type_}" for column, _, type_, _ in named]
    lossy = {column for column, *kind in named if tuple(kind) in LOSSY}
    gone = named[0][0] if random.random() < 0.3 else None
    if gone:  # a column that the migration left out
        there, lossy = there[1:], lossy - {gone}
    if random.random() < 0.5:
        there.append("made_there text DEFAULT 'x'")
    twice = random.random() < 0.5
    if twice:
        there.append("twice int GENERATED ALWAYS AS (id * 2) STORED")
    declared = [f"{column} {type_}" for column, type_, *_ in named]
    declared += ["twice INTEGER GENERATED ALWAYS AS (id * 2)"] if twice else []
    random.shuffle(there)
    rows = tuple(
        ", ".join([str(n), *(random.choice(["NULL", *values]) if n else values[-1] for *_, values in named)])
        for n in range(6)
    )
    return Drawn(
        name,
        f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, {', '.join(declared)})",
        f"CREATE TABLE {quote(other_case(name, random))}(id int PRIMARY KEY, {', '.join(there)})",
        rows,
        frozenset(lossy),
    )


@pytest.mark.parametrize("seed", [FIRST + n for n in range(DRAWS)])
def test_the_first_configuration_leaves_nothing_to_the_plan_that_a_line_could_solve(
    site: Installation, seed: int
) -> None:
    random = Random(seed)
    drawn = [draw_table(f"table_{n}", random) for n in range(4)]
    site.sql("DROP TABLE t")
    for table in drawn:
        site.sql(table.source)
        columns = ", ".join(["id", *(f"column_{n}" for n in range(table.source.count("column_")))])
        for row in table.rows:
            site.sql(f"INSERT INTO {table.name}({columns}) VALUES({row})")
        site.target_sql(table.target)
    assert site.run("init", str(site.database), "--target", site.dsn, "--adopt", "--force")[0] == ExitCode.OK
    text = site.config_file.read_text(encoding="utf-8")
    risks = json.loads(site.run("plan", "--json")[1])["risks"]
    assert [risk for risk in risks if risk["level"] == "blocks"] == [], f"CDC_SEED={seed}\n{text}"
    kept_out = {(risk["table"], risk["column"].lower()) for risk in risks if risk["level"] == "quarantine"}
    lossy = {(table.name, column) for table in drawn for column in table.lossy}
    assert kept_out <= lossy, f"CDC_SEED={seed}\n{text}"
    everything = re.sub(r"^# (\[\w|(?!dsn|password_file)\w+ = )", r"\1", text, flags=re.MULTILINE)
    site.config_file.write_text(everything, encoding="utf-8")
    risks = json.loads(site.run("plan", "--json")[1])["risks"]
    assert [risk for risk in risks if risk["level"] in ("blocks", "quarantine")] == [], f"CDC_SEED={seed}\n{everything}"
    site.followed()
    assert site.run("verify")[0] == ExitCode.OK, f"CDC_SEED={seed}\n{everything}"
