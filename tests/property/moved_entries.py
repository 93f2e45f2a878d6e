"""Updates that move entries of an index by a plain column, while what the index computes beside it stays as it is.

Whether an entry is in the way of another depends on all of its terms, whichever of them an update touches.
"""

from dataclasses import replace
from random import Random
from typing import Final

from workloads import Workload

# What is computed can fail, and has few values.
INDEXES: Final = (
    "CREATE UNIQUE INDEX moved ON {table}(abs({computed}) % 2, {plain})",
    "CREATE UNIQUE INDEX moved ON {table}({plain}, json_extract(json_array({computed}), '$[0]') IS NULL)",
    "CREATE UNIQUE INDEX moved ON {table}({plain}, abs({computed}) > 0) WHERE typeof({computed}) <> 'blob'",
)
MOVE: Final = (
    "UPDATE OR REPLACE {table} SET {plain} = (SELECT {to}({plain}) FROM {table}) "
    "WHERE {plain} IS (SELECT {of}({plain}) FROM {table})"
)
SHARE: Final = 0.3  # of the workloads


def with_moved_entries(workload: Workload, seed: int) -> Workload:
    """The workload of a seed with such an index and such updates, drawn by a chance of their own."""
    random = Random(f"moved entries {seed}")
    table = random.choice(workload.tables)
    plain = [c.name for c in table.writable if c.name not in table.key]
    if random.random() >= SHARE or not plain:
        return workload
    computed = [c.name for c in table.columns]
    names = {"table": table.name, "plain": random.choice(plain), "computed": random.choice(computed)}
    setup, statements = list(workload.setup), list(workload.statements)
    setup.insert(_first_insert(setup), random.choice(INDEXES).format(**names))
    for _ in range(random.choice((2, 4))):
        of, to = random.choice((("min", "max"), ("max", "min")))
        # Not behind the last two, which end what is open.
        statements.insert(random.randint(0, len(statements) - 2), MOVE.format(**names, of=of, to=to))
    return replace(workload, setup=setup, statements=statements)


def _first_insert(setup: list[str]) -> int:
    return next((place for place, sql in enumerate(setup) if sql.startswith("INSERT")), len(setup))
