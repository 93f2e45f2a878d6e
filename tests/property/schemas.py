"""Random schemas for the workloads: every kind of key, index, conflict clause and foreign key that SQLite has.

Everything is drawn from one `random.Random`, so a seed names a schema for good. Domains are tiny: collisions are
the point.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Final

ANY_VALUES: Final = (
    *("NULL", "-1", "0", "1", "2", "3", "4", "9007199254740993", "1.0", "1.5", "2.0"),
    *("'a'", "'A'", "'b'", "'B'", "'a '", "'1'", "'2'", "''", "'é'", "x'61'", "x''"),
)
VALUES: Final = {
    "INTEGER": ("1", "2", "3", "4", "5", "NULL"),
    "REAL": ("1.0", "1.5", "2.0", "-2.25", "3.0", "NULL"),
    "TEXT": ("'a'", "'A'", "'b'", "'ab'", "''", "'é'", "NULL"),
    "BLOB": ("x'61'", "x''", "x'00ff'", "x'62'", "NULL"),
}
MISFITS: Final = ("'a'", "1.5", "x'61'", "7", "''")
PORTABLE_TYPES: Final = ("INTEGER", "REAL", "TEXT", "BLOB")
STRICT_TYPES: Final = (*PORTABLE_TYPES, "ANY")
TYPES: Final = (*PORTABLE_TYPES, "NUMERIC", "", "VARCHAR(10)", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM")
DEFAULTS: Final = ("1", "2", "'a'", "'1'", "1.5", "(1 + 1)", "(lower('A'))", "abc", '"b"', "-1", "TRUE")
PLAIN_TERMS: Final = ("{}", "{} DESC", "{} COLLATE NOCASE", "{} COLLATE RTRIM DESC")
GENERATED: Final = ("{0} || 'x'", "abs({0}) % 3", "lower({0})", "{0}", "{0} || {1}", "coalesce({0}, {1})")
COMPUTED_TERMS: Final = (
    *("lower({})", "length({})", "{} || 'x'", "coalesce({}, 1) COLLATE NOCASE", "abs({}) % 3", "({} = 'A')"),
    "substr({}, 1, 1) COLLATE NOCASE DESC",
)
ACTIONS: Final = ("CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION")
CLAUSES: Final = ("REPLACE", "IGNORE", "FAIL", "ABORT", "ROLLBACK")
NAMES: Final = ("a", "b", "c", '"sel""ect"', "[d e]", '"Ünï"', "key", "value")
TABLES: Final = ("t", '"we""ird"', '"order"', "old", "new", '"t a b"', "Items", "x$y")


@dataclass(frozen=True)
class Col:
    """A column as the workloads write to it: `name` is quoted where it has to be."""

    name: str
    type: str
    generated: bool = False
    not_null: bool = False
    strict: bool = False


@dataclass
class Tab:
    """A table of the workload; `rowid` is a name its rowid can be written by."""

    name: str
    columns: list[Col]
    key: tuple[str, ...] = ()
    rowid: str | None = "_rowid_"
    uniques: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def writable(self) -> list[Col]:
        return [c for c in self.columns if not c.generated]


# The columns of a key, its table constraint, and what follows the closing parenthesis.
KEYS: Final[tuple[tuple[tuple[str, ...], str, str], ...]] = (
    (("id INTEGER PRIMARY KEY {c}",), "", ""),
    (("id INTEGER PRIMARY KEY {c} AUTOINCREMENT",), "", ""),
    (("id INTEGER",), "PRIMARY KEY(id DESC) {c}", ""),
    (("id INTEGER PRIMARY KEY DESC {c}",), "", ""),
    (("id TEXT PRIMARY KEY {c}",), "", ""),
    (("id INT PRIMARY KEY {c}",), "", ""),
    (("id REAL NOT NULL PRIMARY KEY {c}",), "", ""),
    (("id BLOB PRIMARY KEY {c}",), "", ""),
    (("id PRIMARY KEY {c}",), "", ""),
    (("id NUMERIC NOT NULL DEFAULT 3 PRIMARY KEY {c}",), "", ""),
    (("id TEXT NOT NULL COLLATE NOCASE PRIMARY KEY {c}",), "", ""),
    (("id TEXT COLLATE RTRIM PRIMARY KEY {c}",), "", ""),
    (("id TEXT NOT NULL", "id2 INT NOT NULL DEFAULT 2"), "PRIMARY KEY(id, id2) {c}", ""),
    (("id", "id2 TEXT COLLATE NOCASE"), "PRIMARY KEY(id2, id) {c}", ""),
    (("id TEXT PRIMARY KEY {c}",), "", " WITHOUT ROWID"),
    (("id INTEGER NOT NULL DEFAULT 1 PRIMARY KEY {c}",), "", " WITHOUT ROWID"),
    (("id PRIMARY KEY {c}",), "", " WITHOUT ROWID"),
    (("id TEXT COLLATE NOCASE", "id2 INT"), "PRIMARY KEY(id, id2) {c}", " WITHOUT ROWID"),
    ((), "", ""),
    (("rowid TEXT",), "", ""),
    (("oid TEXT PRIMARY KEY {c}", "_rowid_ INT"), "", ""),
    (("id TEXT PRIMARY KEY {c}",), "", " STRICT"),
    (("id ANY PRIMARY KEY {c}",), "", " STRICT"),
    (("id INTEGER PRIMARY KEY {c}",), "", " STRICT"),
    (("id ANY", "id2 TEXT"), "PRIMARY KEY(id, id2) {c}", " STRICT, WITHOUT ROWID"),
)
PORTABLE_KEYS: Final[tuple[tuple[tuple[str, ...], str, str], ...]] = (
    (("id INTEGER PRIMARY KEY {c}",), "", ""),
    (("id INTEGER PRIMARY KEY {c} AUTOINCREMENT",), "", ""),
    (("id TEXT NOT NULL PRIMARY KEY {c}",), "", ""),
    (("id TEXT PRIMARY KEY {c}",), "", ""),
    (("id TEXT", "id2 INTEGER"), "PRIMARY KEY(id, id2) {c}", ""),
    (("id INTEGER NOT NULL", "id2 TEXT NOT NULL"), "PRIMARY KEY(id, id2) {c}", ""),
    (("id REAL NOT NULL PRIMARY KEY {c}",), "", ""),
    (("id BLOB NOT NULL PRIMARY KEY {c}",), "", ""),
    (("id TEXT PRIMARY KEY {c}",), "", " WITHOUT ROWID"),
    (("id TEXT NOT NULL", "id2 INTEGER NOT NULL"), "PRIMARY KEY(id2, id) {c}", " WITHOUT ROWID"),
    ((), "", ""),
    (("id TEXT PRIMARY KEY {c}",), "", " STRICT"),
    (("id INTEGER PRIMARY KEY {c}",), "", " STRICT"),
)


class SchemaMaker:
    """Draws tables one after another; later tables may refer to earlier ones."""

    def __init__(self, random: Random, *, portable: bool) -> None:
        self.random = random
        self.portable = portable
        self.tables: list[Tab] = []
        self.sql: list[str] = []

    def value(self, column: Col) -> str:
        """A literal for a column: portable and strict ones nearly always fit its type, the others are anything."""
        fitting = VALUES.get(column.type, ANY_VALUES) if self.portable or column.strict else ANY_VALUES
        found = self.random.choice(MISFITS if self._chance(0.03) else fitting)
        return self.random.choice(fitting) if found == "NULL" and column.not_null and self._chance(0.8) else found

    def make(self, count: int) -> None:
        names = self.random.sample(TABLES, count)
        for name in names:
            self._table(name)

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _clause(self, share: float = 0.25) -> str:
        return f"ON CONFLICT {self.random.choice(CLAUSES)}" if self._chance(share) else ""

    def _table(self, name: str) -> None:
        key_columns, constraint, suffix = self.random.choice(PORTABLE_KEYS if self.portable else KEYS)
        clause = self._clause()
        parts = [column.format(c=clause) for column in key_columns]
        key_names = tuple(part.split(" ")[0] for part in parts)
        strict = "STRICT" in suffix
        table = Tab(name, [self._key_column(n, p, strict) for n, p in zip(key_names, parts, strict=True)])
        table.key = key_names if "PRIMARY KEY" in " ".join([*parts, constraint]) else ()
        table.key = key_names[:1] if key_names[:1] == ("oid",) else table.key
        table.rowid = None if "WITHOUT ROWID" in suffix else "rowid" if "_rowid_" in key_names else "_rowid_"
        constraints = [constraint.format(c=clause)] if constraint else []
        parts += self._plain_columns(table, strict)
        constraints += self._uniques(table) + self._foreign_keys(table)
        parts += self._generated(table)
        self.tables.append(table)
        self.sql.append(f"CREATE TABLE {name}({', '.join(parts + constraints)}){suffix}")
        self._indexes(table)

    def _key_column(self, name: str, definition: str, strict: bool) -> Col:
        word = definition.split(" ")[1] if " " in definition else ""
        not_null = not definition.startswith("id INTEGER PRIMARY KEY")
        return Col(name, word if word in PORTABLE_TYPES else "", not_null=not_null, strict=strict)

    def _plain_columns(self, table: Tab, strict: bool) -> list[str]:
        parts = []
        types = STRICT_TYPES[: 4 if self.portable else 5] if strict else PORTABLE_TYPES if self.portable else TYPES
        for name in self.random.sample(NAMES, self.random.randint(2, 4)):
            declared = self.random.choice(types)
            column = Col(name, declared, not_null=self._chance(0.3), strict=strict)
            parts.append(f"{name} {declared} {self._constraints(column)}".strip())
            table.columns.append(column)
        return parts

    def _constraints(self, column: Col) -> str:
        made = []
        if column.not_null:
            made.append(f"NOT NULL {self._clause()} DEFAULT {self._default(column)}")
        elif self._chance(0.2):
            made.append(f"DEFAULT {self._default(column)}")
        if self._chance(0.1) and not self.portable:
            made.append(f"CHECK ({column.name} IS NOT 4)")
        return " ".join(made)

    def _default(self, column: Col) -> str:
        if self.portable:
            return next(v for v in self.random.sample(VALUES[column.type], 5) if v != "NULL")
        return self.random.choice(DEFAULTS)

    def _uniques(self, table: Tab) -> list[str]:
        made = []
        for _ in range(self.random.choice((0, 1, 1, 2))):
            columns = tuple(c.name for c in self.random.sample(table.columns, self.random.choice((1, 1, 2))))
            if any(set(columns) == set(other) for other in (table.key, *table.uniques)):
                continue  # SQLite refuses two conflict clauses for the same columns
            table.uniques.append(columns)
            made.append(f"UNIQUE({', '.join(columns)}) {self._clause(0.3)}")
        return made

    def _foreign_keys(self, table: Tab) -> list[str]:
        made = []
        candidates = [*self.tables, table]
        # A known gap: a unique part of a composite key that others refer to cannot change owners within a batch.
        single = [(t, u[0]) for t in candidates for u in (t.key, *t.uniques) if len(u) == 1]
        parents = [(t, name) for t, name in single if t.key == (name,) or name not in t.key]
        for column in table.writable:
            if parents and column.name not in table.key and self._chance(0.35):
                parent, referred = self.random.choice(parents)
                if (parent, referred) == (table, column.name):
                    continue
                if self.portable and next(c.type for c in parent.columns if c.name == referred) != column.type:
                    continue
                delete, update = self.random.choice(ACTIONS), self.random.choice(ACTIONS)
                deferred = " DEFERRABLE INITIALLY DEFERRED" if self._chance(0.4) else ""
                made.append(
                    f"FOREIGN KEY({column.name}) REFERENCES {parent.name}({referred})"
                    f" ON DELETE {delete} ON UPDATE {update}{deferred}"
                )
        return made

    def _generated(self, table: Tab) -> list[str]:
        if not self._chance(0.15 if self.portable else 0.35):
            return []
        kind = self.random.choice(("STORED", "VIRTUAL"))
        if self.portable:
            base = next((c for c in table.writable if c.type == "INTEGER"), None)
            if base is None:
                return []
            table.columns.append(Col("g", "INTEGER", generated=True))
            return [f"g INTEGER GENERATED ALWAYS AS ({base.name} * 2) STORED"]
        base = self.random.choice(table.writable)
        declared = self.random.choice(("TEXT", "INTEGER"))
        expression = self.random.choice(GENERATED).format(base.name, self.random.choice(table.writable).name)
        table.columns.append(Col("g", declared, generated=True))
        unique = self.random.choice(("", f" UNIQUE {self._clause()}"))
        return [f"g {declared} AS ({expression}) {kind}{unique}"]

    def _indexes(self, table: Tab) -> None:
        for _ in range(self.random.choice((0, 1, 1, 2))):
            columns = self.random.sample(table.columns, self.random.choice((1, 1, 2)))
            terms = ", ".join(self._term(column) for column in columns)
            where = self._predicate(table) if self._chance(0.35) else ""
            name = f'"i{len(self.sql)} {table.columns[0].name.strip(chr(34))}"'
            self.sql.append(f"CREATE UNIQUE INDEX {name} ON {table.name}({terms}){where}")

    def _term(self, column: Col) -> str:
        if self.portable:
            return column.name + self.random.choice(("", "", " DESC"))
        forms = self.random.choice((PLAIN_TERMS, COMPUTED_TERMS))
        return self.random.choice(forms).format(column.name)

    def _predicate(self, table: Tab) -> str:
        if self.portable:
            column = self.random.choice(table.columns)
            return f" WHERE {column.name} IS NOT NULL"
        column = self.random.choice(table.columns)
        return " WHERE " + self.random.choice(
            (
                f"{column.name} IS NOT NULL",
                f"{column.name} > 1",
                f"{table.name}.{column.name} <> 'a'",
                f"{column.name} IN (1, 'a', 2)",
            )
        )
