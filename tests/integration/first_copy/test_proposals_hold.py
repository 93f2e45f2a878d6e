"""What is proposed for a column is tried to its end: so many rows come free, so many still wait."""

from pathlib import Path
from typing import Final

import msgspec
import pytest
from harness import application, make_config

from cdc.config import ColumnOptions, TableOptions
from cdc.first_copy.plan import Plan
from cdc.first_copy.preflight import build_plan

NOWHERE: Final = "postgresql://nobody@localhost:1/none"  # a plan of generated tables asks no Postgres
UUID: Final = "'12345678-90ab-cdef-1234-567890abcdef'"
PACKED: Final = {"type": "jsonb", "expression": 'json("c")'}


def held_back(plan: Plan) -> int:
    return sum(risk.rows for risk in plan.risks if risk.level == "quarantine")


@pytest.mark.parametrize(
    ("declared", "values", "expected"),
    [
        ("INTEGER", "VALUES (12.5), (9007199254740993), (1e300)", [({"type": "numeric"}, 2, 0)]),
        ("INTEGER", "VALUES ('a'), ('b')", [({"type": "text"}, 2, 0)]),
        (
            "INTEGER",
            "VALUES (1), ('x'), (x'00'), ('a' || char(0)), (CAST(x'ff' AS TEXT))",
            [({"type": "literal"}, 4, 0)],
        ),
        ("INTEGER", "VALUES (1), (''), ('x')", [({"type": "literal"}, 2, 0), ({"empty": "null"}, 1, 1)]),
        ("REAL", "VALUES (1.5), ('n/a')", [({"type": "literal"}, 1, 0)]),
        ("BOOLEAN", "VALUES (0), (2)", [({"type": "bigint"}, 1, 0)]),
        ("BOOLEAN", "VALUES (0), ('yes'), ('Off')", [({"format": "words"}, 2, 0)]),
        ("BLOB", "VALUES ('text'), ('more')", [({"type": "text"}, 2, 0)]),
        ("TEXT", "VALUES ('fine'), ('a' || char(0))", [({"type": "literal"}, 1, 0)]),
        ("TEXT", "VALUES (x'00')", [({"type": "bytea"}, 1, 0)]),
        ("TEXT", """VALUES ('{"a": 1}'), (' [1]'), ('[]')""", []),  # a document does not begin with a blank
        ("TEXT", """VALUES ('{"a": 1}'), ('[]')""", [({"type": "jsonb"}, 0, 0)]),
        ("TEXT", """VALUES ('{"a": 1, "a": 2}'), ('[]')""", [({"type": "jsonb"}, 0, 1)]),
        ("JSON", """VALUES ('[1]'), ('{"a": 1, "a": 2}'), ('{'), (5), (9e999)""", [({"type": "jsonb"}, 0, 3)]),
        ("JSONB", """VALUES (jsonb('{"a": 1}')), (x'0C'), (jsonb('"a"'))""", [(PACKED, 0, 0)]),
        ("JSON", """VALUES (jsonb('{"a": 1}')), ('[2]'), (5), (1.5)""", [(PACKED, 0, 0)]),
        ("JSON", """VALUES (jsonb('{"a": 1, "a": 2}')), (jsonb('[]')), (x'ffff')""", [(PACKED, 0, 2)]),
        ("BLOB", """VALUES (jsonb('{"a": 1}')), (jsonb('[]'))""", [(PACKED, 0, 0)]),
        ("TEXT", f"VALUES {', '.join([f'({UUID})'] * 10)}", [({"type": "uuid"}, 0, 0)]),
        ("TEXT", f"VALUES ({UUID}), ({UUID})", []),
        (
            "DATETIME",
            "VALUES ('2024-01-02'), ('2024-01-02T03:04:05Z'), ('2024-01-02 03:04')",
            [({"format": "iso utc"}, 0, 0)],
        ),
        ("DATETIME", "VALUES ('2024-01-02'), ('')", [({"type": "date", "empty": "null"}, 0, 0)]),
        ("DATETIME", "VALUES (1700000000), (1700000001)", [({"format": "epoch s"}, 0, 0)]),
        ("DATETIME", "VALUES ('2024-01-02T03:04Z'), (1700000000), (1700000000.25)", [({"format": "auto utc"}, 0, 0)]),
        ("DATETIME", "VALUES ('2024-01-02'), (1700000000000), ('')", [({"format": "auto utc", "empty": "null"}, 0, 0)]),
        ("DATETIME", "VALUES (2460000.5), (2460000.25)", [({"format": "julian day"}, 0, 0)]),
        ("TEXT", "VALUES ('2024-01-02 03:04'), ('2024-01-02 03:04:05.25')", [({"type": "timestamp"}, 0, 0)]),
        ("TEXT", "VALUES ('03:04'), ('03:04:05')", [({"type": "time"}, 0, 0)]),
        ("INTEGER", "VALUES (0), (1)", [({"type": "boolean"}, 0, 0)]),
        ("TIME", "VALUES ('03:04'), ('03:04:05')", []),
        ("JSON", "VALUES ('[1]'), (5)", []),
        ("POINT", "VALUES (x'4750')", []),
    ],
)
async def test_a_proposal_frees_and_leaves_as_many_rows_as_it_says(
    tmp_path: Path, declared: str, values: str, expected: list[tuple[dict[str, str], int, int]]
) -> None:
    file = tmp_path / "app.db"
    app = application(file)
    app.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, c {declared})")
    app.execute(f"INSERT INTO t (c) {values}")
    plan = await build_plan(make_config(tmp_path, file, NOWHERE))
    assert [(dict(p.lines), p.frees, p.leaves) for p in plan.proposals] == expected
    for lines, frees, leaves in expected:
        chosen = TableOptions(columns={"c": msgspec.convert(lines, ColumnOptions)})
        after = held_back(await build_plan(make_config(tmp_path, file, NOWHERE, tables={"t": chosen})))
        assert after == leaves
        assert held_back(plan) == (after + frees if frees else 0)
    app.close()
