"""Random SQL over random schemas, the same for the same seed, to be run with failures tolerated.

A failing statement is part of a workload: it must leave as little behind with capture as without.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from schemas import CLAUSES, Col, SchemaMaker, Tab


@dataclass(frozen=True)
class Workload:
    """`setup` makes the application's schema (and connection settings), `statements` is what it does afterwards."""

    setup: list[str]
    statements: list[str]
    tables: tuple[Tab, ...] = ()


def make_workload(
    seed: int, statements: int, *, portable: bool = False, schemas: type[SchemaMaker] = SchemaMaker
) -> Workload:
    """The workload of that seed; a portable one keeps to schemas that Postgres can hold without ambiguity."""
    random = Random(f"{seed} {portable}")
    maker = schemas(random, portable=portable)
    maker.make(random.randint(1, 3))
    writer = _Writer(random, maker)
    settings = [f"PRAGMA {name} = {random.choice(('ON', 'OFF'))}" for name in ("foreign_keys", "recursive_triggers")]
    triggers = [writer.trigger(number) for number in range(random.choice((0, 0, 1, 2, 3)))]
    filling = [writer.insert("INSERT OR IGNORE") for _ in range(random.randint(4, 12))]
    setup = [*settings, *maker.sql, *filling, *triggers]
    return Workload(setup, writer.transactions(statements), tuple(maker.tables))


class _Writer:
    """Draws statements over the tables of a schema."""

    def __init__(self, random: Random, maker: SchemaMaker) -> None:
        self.random = random
        self.maker = maker
        self.tables = maker.tables

    def transactions(self, count: int) -> list[str]:
        """Statements alone and in transactions, with savepoints and rollbacks, closed at the end."""
        made: list[str] = []
        while len(made) < count:
            if self._chance(0.45):
                made.append(self.statement())
            elif self._chance(0.1):
                made.append(f"PRAGMA recursive_triggers = {self.random.choice(('ON', 'OFF'))}")
            else:
                made += self._transaction()
        return [*made, "ROLLBACK TO s", "COMMIT"]

    def _transaction(self) -> list[str]:
        made = [self.random.choice(("BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT outermost"))]
        for _ in range(self.random.randint(1, 4)):
            made.append(self.statement())
            if self._chance(0.25):
                inside = [self.statement() for _ in range(self.random.randint(1, 2))]
                made += ["SAVEPOINT s", *inside, *self.random.choice((("RELEASE s",), ("ROLLBACK TO s", "RELEASE s")))]
        end = ("COMMIT", "COMMIT", "ROLLBACK")
        return [*made, *("RELEASE outermost", "COMMIT")] if "outermost" in made[0] else [*made, self.random.choice(end)]

    def statement(self) -> str:
        kinds: tuple[Callable[[], str], ...] = (
            *(self.insert, self.insert, self.replace, self.replace, self.upsert),
            *(self.update, self.update, self.update_key, self.update_from, self.update_rowid),
            *(self.delete, self.insert_select, self.insert_rowid, self.insert_default),
        )
        made = self.random.choice(kinds)()
        return f"{made} RETURNING *" if self._chance(0.1) else made

    # --- parts ---

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _table(self) -> Tab:
        return self.random.choice(self.tables)

    def _column(self, table: Tab) -> Col:
        return self.random.choice(table.writable)

    def _or(self, share: float = 0.6) -> str:
        return f" OR {self.random.choice((*CLAUSES, 'REPLACE', 'REPLACE'))}" if self._chance(share) else ""

    def _where(self, table: Tab) -> str:
        if self._chance(0.15):
            return ""
        column = self.random.choice(table.columns)
        operator = self.random.choice(("=", "=", "IS", ">", "<>"))
        return f" WHERE {table.name}.{column.name} {operator} {self.maker.value(column)}"

    def _assignments(self, columns: list[Col]) -> str:
        return ", ".join(f"{c.name} = {self._new_value(c, columns)}" for c in columns)

    def _new_value(self, column: Col, columns: list[Col]) -> str:
        """A literal, or the old value bent a little: into another case, storage class or neighbour."""
        if self._chance(0.1):
            return "NULL"
        if self._chance(0.3):
            return self.random.choice(self._bent(column)).format(column.name)
        return self.maker.value(self.random.choice(columns) if self._chance(0.02) else column)

    def _bent(self, column: Col) -> tuple[str, ...]:
        if not self.maker.portable:
            return ("{} + 1", "upper({})", "lower({})", "{} || ' '", "{} * 1.0", "CAST({} AS TEXT)", "CAST({} AS BLOB)")
        return {"INTEGER": ("{} + 1", "-{}"), "TEXT": ("upper({})", "lower({})"), "REAL": ("{} + 1",)}.get(
            column.type, ("{}",)
        )

    def _some(self, table: Tab, least: int = 1) -> list[Col]:
        return self.random.sample(table.writable, self.random.randint(least, len(table.writable)))

    # --- statements ---

    def insert(self, verb: str | None = None) -> str:
        table = self._table()
        columns = self._some(table) if self._chance(0.4) else table.writable
        rows = [self._row(columns) for _ in range(self.random.choice((1, 1, 1, 2, 3)))]
        names = ", ".join(c.name for c in columns)
        return f"{verb or 'INSERT' + self._or()} INTO {table.name}({names}) VALUES {', '.join(rows)}"

    def _row(self, columns: list[Col]) -> str:
        return f"({', '.join(self.maker.value(c) for c in columns)})"

    def replace(self) -> str:
        return self.insert("REPLACE")

    def insert_default(self) -> str:
        return f"INSERT{self._or()} INTO {self._table().name} DEFAULT VALUES"

    def insert_rowid(self) -> str:
        table = self._table()
        if table.rowid is None:
            return self.replace()
        columns = table.writable
        names = ", ".join([table.rowid, *(c.name for c in columns)])
        number = self.random.choice(("1", "2", "3", "4", "-1", "NULL"))
        values = ", ".join([number, *(self.maker.value(c) for c in columns)])
        return f"INSERT{self._or(0.8)} INTO {table.name}({names}) VALUES ({values})"

    def insert_select(self) -> str:
        table, other = self._table(), self._table()
        columns = self._some(table)
        found = [self.random.choice((self.maker.value(c), self._source(c, other))) for c in columns]
        names = ", ".join(c.name for c in columns)
        return f"INSERT{self._or(0.8)} INTO {table.name}({names}) SELECT {', '.join(found)} FROM {other.name} LIMIT 3"

    def _source(self, column: Col, other: Tab) -> str:
        fitting = [c.name for c in other.columns if not self.maker.portable or c.type == column.type]
        return self.random.choice(fitting) if fitting else self.maker.value(column)

    def upsert(self) -> str:
        table = self._table()
        targets = [t for t in (table.key, *table.uniques) if t]
        target = f"({', '.join(self.random.choice(targets))})" if targets and self._chance(0.8) else ""
        if self._chance(0.3):
            return f"{self.insert_into(table)} ON CONFLICT {target} DO NOTHING"
        columns = self.random.sample(table.writable, self.random.randint(1, min(2, len(table.writable))))
        values = [
            self.random.choice((f"excluded.{c.name}", self.maker.value(c), self._bent(c)[-1].format(c.name)))
            for c in columns
        ]
        changes = ", ".join(f"{c.name} = {value}" for c, value in zip(columns, values, strict=True))
        return f"{self.insert_into(table)} ON CONFLICT {target} DO UPDATE SET {changes}{self._where(table)}"

    def insert_into(self, table: Tab) -> str:
        names = ", ".join(c.name for c in table.writable)
        return f"INSERT INTO {table.name}({names}) VALUES {self._row(table.writable)}"

    def update(self) -> str:
        table = self._table()
        columns = self.random.sample(table.writable, self.random.randint(1, min(2, len(table.writable))))
        return f"UPDATE{self._or(0.5)} {table.name} SET {self._assignments(columns)}{self._where(table)}"

    def update_key(self) -> str:
        table = self._table()
        columns = [c for c in table.columns if c.name in table.key] or table.writable
        return f"UPDATE{self._or()} {table.name} SET {self._assignments(columns)}{self._where(table)}"

    def update_rowid(self) -> str:
        table = self._table()
        if table.rowid is None:
            return self.update_key()
        number = self.random.choice(("1", "2", "3", f"{table.rowid} + 1", "-1"))
        return f"UPDATE{self._or(0.8)} {table.name} SET {table.rowid} = {number}{self._where(table)}"

    def update_from(self) -> str:
        table, other = self._table(), self._table()
        column = self._column(table)
        value = f"o.{self._source(column, other)}" if self._chance(0.5) else self.maker.value(column)
        if value.startswith("o.") and value[2:] not in {c.name for c in other.columns}:
            value = value[2:]
        return f"UPDATE{self._or()} {table.name} SET {column.name} = {value} FROM {other.name} AS o{self._where(table)}"

    def delete(self) -> str:
        table = self._table()
        return f"DELETE FROM {table.name}{self._where(table)}"

    # --- the application's own triggers ---

    def trigger(self, number: int) -> str:
        table = self._table()
        event = self.random.choice(("INSERT", "UPDATE", "DELETE"))
        row = "OLD" if event == "DELETE" else "NEW"
        when = self.random.choice(("BEFORE", "AFTER"))
        column = self._column(table)
        condition = f"{row}.{column.name} IS {self.maker.value(column)}"
        guard = f" WHEN {condition}" if self._chance(0.5) else ""
        body = "; ".join(self._trigger_step(condition) for _ in range(self.random.choice((1, 1, 2))))
        return f"CREATE TRIGGER app{number} {when} {event} ON {table.name}{guard} BEGIN {body}; END"

    def _trigger_step(self, condition: str) -> str:
        kind = self.random.choice(("raise", "raise", "insert", "insert", "update", "delete"))
        table = self._table()
        column = self._column(table)
        if kind == "raise":
            action = self.random.choice(("IGNORE", "FAIL, 'no'", "ABORT, 'no'", "ROLLBACK, 'no'", "FAIL, 'no'"))
            return f"SELECT RAISE({action}) WHERE {condition}"
        if kind == "insert":
            names = ", ".join(c.name for c in table.writable)
            return f"INSERT{self._or(0.7)} INTO {table.name}({names}) VALUES {self._row(table.writable)}"
        where = f"WHERE {column.name} IS {self.maker.value(column)}"
        if kind == "update":
            changed = self._column(table)
            return f"UPDATE{self._or()} {table.name} SET {changed.name} = {self.maker.value(changed)} {where}"
        return f"DELETE FROM {table.name} {where}"
