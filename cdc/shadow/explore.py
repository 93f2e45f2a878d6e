"""Queries made up from the schema and the data, so that an operator meets the habits of SQLite before his users do.

Their shapes are a covering array: for every two dimensions, each pair of their values is in some query. What differs is
made smaller, part by part, for as long as it still differs by the same cause.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from random import Random
from typing import Final

from cdc.facts.shadow import ENDS_CLEAN, Outcome
from cdc.facts.source_schema import Affinity, Column, KeyKind
from cdc.facts.table_map import TableMap
from cdc.facts.values import Row
from cdc.shadow.queries import ShadowQuery
from cdc.sql_names import quote

Shape = Mapping[str, str]

# The first value of each is the plainest: shrinking goes there.
DIMENSIONS: Final[Mapping[str, Sequence[str]]] = {
    "columns": ("some", "all", "distinct", "grouped", "extremes"),
    "filter": ("none", "equal", "less", "between", "in", "like", "null"),
    "order": ("none", "up", "down"),
    "limit": ("none", "first", "later"),
    "join": ("none", "inner", "left"),
}
SAMPLE_ROWS: Final = 200
TRIES: Final = 20  # shapes to choose from for each row of the array


@dataclass(frozen=True, slots=True)
class Subject:
    """A table to ask about, some of its rows, and a table that it refers to by `(column, parent, parent's column)`."""

    mapped: TableMap
    columns: Sequence[Column]
    rows: Sequence[Row]
    parent: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A query that was made up: its subject, its shape, and the seed of its values."""

    subject: Subject
    shape: Shape
    seed: int

    @property
    def query(self) -> ShadowQuery:
        """The query; the same subject, shape and seed always give the same."""
        return _Builder(self).query()

    @property
    def text(self) -> str:
        """The query with its values, for people."""
        query = self.query
        values = ", ".join(f"{name} = {value!r}" for name, value in query.parameters[0].items())
        return f"{query.sql} ({values})" if values else query.sql


def covering(random: Random, dimensions: Mapping[str, Sequence[str]] = DIMENSIONS) -> list[Shape]:
    """Shapes in which every pair of values of two dimensions is met, near the fewest that do."""
    left = {
        frozenset({(one, a), (other, b)})
        for one, other in combinations(dimensions, 2)
        for a, b in product(dimensions[one], dimensions[other])
    }
    shapes: list[Shape] = []
    while left:
        pair = dict(min(left, key=sorted))
        tried = [
            {name: pair.get(name) or random.choice(values) for name, values in dimensions.items()} for _ in range(TRIES)
        ]
        best = max(tried, key=lambda shape: len(_pairs(shape) & left))
        left -= _pairs(best)
        shapes.append(best)
    return shapes


def name_of(subject: Subject) -> str:
    """How every query about a table is called."""
    return f"made up: {subject.mapped.source.name}"


def make_up(subjects: Sequence[Subject], count: int, seed: int) -> Iterator[MadeUp]:
    """So many queries over all subjects, by turns; the same arguments always give the same."""
    random = Random(seed)
    shapes: list[Shape] = []
    for number in range(count if subjects else 0):
        shapes = shapes or covering(random)
        yield MadeUp(subjects[number % len(subjects)], shapes.pop(), random.randrange(2**32))


async def shrunk(
    made_up: MadeUp, outcome: Outcome, ask: Callable[[ShadowQuery], Awaitable[Outcome]]
) -> tuple[MadeUp, Outcome]:
    """The plainest query that still differs by the same causes, and what it came to."""
    causes = _causes(outcome)
    for name, values in DIMENSIONS.items():
        if made_up.shape[name] == values[0]:
            continue
        plainer = MadeUp(made_up.subject, {**made_up.shape, name: values[0]}, made_up.seed)
        found = await ask(plainer.query)
        if found.verdict in ENDS_CLEAN and _causes(found) == causes:
            made_up, outcome = plainer, found
    return made_up, outcome


def _pairs(shape: Shape) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(pair) for pair in combinations(shape.items(), 2)}


def _causes(outcome: Outcome) -> set[str]:
    return {difference.cause for difference in outcome.differences}


class _Builder:
    """One query, part by part."""

    def __init__(self, made_up: MadeUp) -> None:
        self._shape = made_up.shape
        self._subject = made_up.subject
        self._random = Random(made_up.seed)
        self._name = name_of(made_up.subject)
        self._key = [f"t.{quote(name)}" for name in made_up.subject.mapped.source.key.columns]
        # All are drawn whether they are used or not, so that a plainer shape keeps the values.
        self._column, self._other = (self._random.choice(made_up.subject.columns) for _ in range(2))
        self._row = self._random.choice(made_up.subject.rows)
        self._another = self._random.choice(made_up.subject.rows)

    def query(self) -> ShadowQuery:
        parameters: dict[str, int | float | str | None] = {}
        sql = f"SELECT {self._selected()} FROM {quote(self._subject.mapped.source.name)} AS t"
        sql += self._joined() + self._filtered(parameters) + self._ended()
        return ShadowQuery(name=self._name, sql=sql, parameters=[parameters])

    def _selected(self) -> str:
        column, other = self._sql(self._column), self._sql(self._other)
        match self._shape["columns"]:
            case "all":
                return "t.*"
            case "distinct":
                return f"DISTINCT {column} AS a, {other} AS b"
            case "grouped":
                return f"{column} AS a, count(*) AS n, count({other}) AS m"
            case "extremes":
                return f"min({column}) AS a, max({column}) AS b, count(*) AS n"
            case _:
                return ", ".join(dict.fromkeys([*self._key, column]))

    def _joined(self) -> str:
        if self._shape["join"] == "none" or self._subject.parent is None:
            return ""
        column, parent, parent_column = self._subject.parent
        kind = "LEFT JOIN" if self._shape["join"] == "left" else "JOIN"
        return f" {kind} {quote(parent)} AS p ON p.{quote(parent_column)} = t.{quote(column)}"

    def _filtered(self, parameters: dict[str, int | float | str | None]) -> str:
        column, kind = self._sql(self._column), self._shape["filter"]
        value, other = self._value(self._row), self._value(self._another)
        if kind == "none":
            return ""
        if kind == "null" or value is None:
            return f" WHERE {column} IS NULL"
        if kind == "like":
            parameters["v"] = f"{str(value)[:2].swapcase()}%"
            return f" WHERE {column} LIKE :v"
        parameters |= {"v": value} if kind in {"equal", "less"} else {"v": value, "w": other}
        condition = {"equal": "= :v", "less": "< :v", "between": "BETWEEN :v AND :w", "in": "IN (:v, :w)"}[kind]
        return f" WHERE {column} {condition}"

    def _ended(self) -> str:
        column = self._sql(self._column)
        direction = {"up": "", "down": " DESC", "none": ""}[self._shape["order"]]
        ordered = self._shape["order"] != "none"
        match self._shape["columns"]:
            case "grouped":
                grouped = f" GROUP BY {column}"
                return f"{grouped} ORDER BY {column}{direction}{self._limit()}" if ordered else grouped
            case "extremes":
                return ""
            case "distinct":
                order = f" ORDER BY {column}{direction}, {self._sql(self._other)}"
            case _:
                order = " ORDER BY " + ", ".join(dict.fromkeys([f"{column}{direction}", *self._key]))
        return f"{order}{self._limit()}" if ordered else ""  # without an order, a limit means any rows

    def _limit(self) -> str:
        return {"none": "", "first": " LIMIT 7", "later": " LIMIT 5 OFFSET 3"}[self._shape["limit"]]

    def _sql(self, column: Column) -> str:
        return f"t.{quote(column.name)}"

    def _value(self, row: Row) -> int | float | str | None:
        value = row[list(self._subject.columns).index(self._column)]
        return value if isinstance(value, int | float | str) else None


def subject_of(mapped: TableMap, maps: Sequence[TableMap], sample: Callable[[str], Sequence[Row]]) -> Subject | None:
    """A table to ask about with rows that `sample` finds; None where it has none, or no key that Postgres has too."""
    table = mapped.source
    fed = {column.source for column in mapped.columns}
    columns = [c for c in table.columns if c.name in fed and c.affinity is not Affinity.BLOB]
    if table.key.kind is KeyKind.ROWID or mapped.crosswalk or not columns:
        return None
    names = ", ".join(quote(column.name) for column in columns)
    rows = sample(f"SELECT {names} FROM {quote(table.name)} LIMIT {SAMPLE_ROWS}")
    known = {m.source.name.lower() for m in maps}
    parents = [k for k in table.foreign_keys if len(k.columns) == 1 and k.parent.lower() in known]
    parent = (parents[0].columns[0], parents[0].parent, parents[0].parent_columns[0]) if parents else None
    return Subject(mapped, columns, rows, parent) if rows else None
