"""A random application that changes its schema while it writes: every statement follows from a seed and the file.

Each table has the key `id`; what becomes of another key is no matter of chance and has tests of its own.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

import apsw

from cdc.sql_names import quote

TABLES: Final = ("t", "u", "Items", 'we"ird')
COLUMNS: Final = ("a", "b", "name", "select", "x y")
TYPES: Final = ("INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "BOOLEAN", "")
VALUES: Final = {
    "INTEGER": ("0", "1", "2", "-7", "9007199254740993"),
    "TEXT": ("'a'", "'A'", "''", "'é'", "'5'"),
    "REAL": ("0.5", "-2.25", "3.0"),
    "BLOB": ("x''", "x'00ff'"),
    "NUMERIC": ("1", "2.5"),
    "BOOLEAN": ("0", "1"),
    "": ("1", "'1'", "1.5", "x'31'"),
}
MISFITS: Final = ("'word'", "x'00'", "1.5", "NULL")
KEYS: Final = ("id INTEGER PRIMARY KEY", "id INTEGER PRIMARY KEY AUTOINCREMENT")


class Application:
    """Draws one statement, or several that belong together, over what the file holds at that moment."""

    def __init__(self, random: Random, file: apsw.Connection) -> None:
        self._random = random
        self._file = file
        self._made = 0

    def begin(self) -> Iterator[str]:
        """The schema and the rows that the first copy finds."""
        for name in TABLES[:2]:
            yield self._create(name)
            yield from (self._write() for _ in range(4))

    def step(self) -> list[str]:
        """What the application does next: mostly it writes."""
        if self._random.random() < 0.65:
            return [self._write() for _ in range(self._random.randint(1, 4))]
        change = self._random.choice(self._changes())
        steps = change()
        if self._random.random() < 0.4:
            steps = ["BEGIN", *steps, self._write(), self._random.choice(("COMMIT", "COMMIT", "COMMIT", "ROLLBACK"))]
        return steps

    def _changes(self) -> list[Callable[[], list[str]]]:
        columns = [self._add_column] * 3 + [self._rename_column, self._drop_column]
        tables = [self._create_table, self._drop_table, self._rename_table, self._make_again]
        rebuilt = [self._rebuild] * 3
        return [*columns, *tables, *rebuilt, self._index, self._drop_index, self._trigger, lambda: ["VACUUM"]]

    # --- what is there ------------------------------------------------------------------------------------------------

    def _tables(self) -> list[str]:
        found = self._file.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*' "
            "AND name NOT GLOB '_cdc_*' ORDER BY name"
        )
        return [str(row[0]) for row in found]

    def _table(self) -> str:
        return self._random.choice(self._tables())

    def _columns(self, table: str) -> dict[str, str]:
        """Declared types by name, without the key."""
        found = self._file.execute("SELECT name, type FROM pragma_table_info(?) WHERE pk = 0", (table,))
        return {str(name): str(type_) for name, type_ in found}

    def _free(self, names: tuple[str, ...], taken: list[str]) -> str:
        return self._random.choice([n for n in names if n not in taken] or [f"n{self._made}"])

    # --- writing ------------------------------------------------------------------------------------------------------

    def _value(self, type_: str) -> str:
        return self._random.choice(MISFITS if self._random.random() < 0.08 else VALUES.get(type_, VALUES[""]))

    def _write(self) -> str:
        tables = self._tables()
        if not tables:
            return "SELECT 1"
        table = self._random.choice(tables)
        columns = self._columns(table)
        number = self._random.randint(1, 9)
        kind = self._random.choice(("insert", "insert", "replace", "update", "delete"))
        if kind == "delete":
            return f"DELETE FROM {quote(table)} WHERE id = {number}"
        if kind == "update" and columns:
            column = self._random.choice(list(columns))
            return f"UPDATE {quote(table)} SET {quote(column)} = {self._value(columns[column])} WHERE id >= {number}"
        names = ", ".join(["id", *map(quote, columns)])
        values = ", ".join([str(number), *(self._value(type_) for type_ in columns.values())])
        return f"{'REPLACE' if kind == 'replace' else 'INSERT'} INTO {quote(table)}({names}) VALUES ({values})"

    # --- changing the schema ------------------------------------------------------------------------------------------

    def _definition(self, name: str, type_: str) -> str:
        value = self._random.choice(VALUES[type_])
        more = self._random.choice(("", "", f"NOT NULL DEFAULT {value}", f"DEFAULT {value}", "UNIQUE"))
        return f"{quote(name)} {type_} {more}".strip()

    def _create(self, name: str) -> str:
        self._made += 1
        columns = self._random.sample(COLUMNS, self._random.randint(1, 3))
        parts = [self._random.choice(KEYS), *(self._definition(c, self._random.choice(TYPES)) for c in columns)]
        others = [t for t in self._tables() if t != name]
        if others and self._random.random() < 0.3:
            parts.append(f"owner INTEGER REFERENCES {quote(self._random.choice(others))}")
        return f"CREATE TABLE {quote(name)}({', '.join(parts)})"

    def _create_table(self) -> list[str]:
        return [self._create(self._free(TABLES, self._tables()))]

    def _drop_table(self) -> list[str]:
        return [f"DROP TABLE {quote(self._table())}"] if len(self._tables()) > 1 else ["SELECT 1"]

    def _make_again(self) -> list[str]:
        table = self._table()
        return [f"DROP TABLE {quote(table)}", self._create(table)]

    def _rename_table(self) -> list[str]:
        tables = self._tables()
        return [f"ALTER TABLE {quote(self._random.choice(tables))} RENAME TO {quote(self._free(TABLES, tables))}"]

    def _add_column(self) -> list[str]:
        table = self._table()
        name = self._free(COLUMNS, list(self._columns(table)))
        return [f"ALTER TABLE {quote(table)} ADD COLUMN {self._definition(name, self._random.choice(TYPES))}"]

    def _rename_column(self) -> list[str]:
        table = self._table()
        columns = list(self._columns(table)) or ["none"]
        name = self._free(COLUMNS, columns)
        return [f"ALTER TABLE {quote(table)} RENAME COLUMN {quote(self._random.choice(columns))} TO {quote(name)}"]

    def _drop_column(self) -> list[str]:
        table = self._table()
        return [f"ALTER TABLE {quote(table)} DROP COLUMN {quote(self._random.choice([*self._columns(table), 'none']))}"]

    def _rebuild(self) -> list[str]:
        """As frameworks do it: create, copy, drop, rename; columns may get another type, be left out or be added."""
        table = self._table()
        kept = {c: t for c, t in self._columns(table).items() if self._random.random() < 0.85}
        types = {c: self._random.choice(TYPES) if self._random.random() < 0.2 else t for c, t in kept.items()}
        parts = [f"{quote(c)} {t}" for c, t in types.items()]
        if self._random.random() < 0.4:
            added = self._free(COLUMNS, list(self._columns(table)))
            parts.append(self._definition(added, self._random.choice(TYPES)))
        names = ", ".join(["id", *map(quote, kept)])
        new = quote(f"new__{table}")
        return [
            f"CREATE TABLE {new}({', '.join([self._random.choice(KEYS), *parts])})",
            f"INSERT INTO {new}({names}) SELECT {names} FROM {quote(table)}",
            f"DROP TABLE {quote(table)}",
            f"ALTER TABLE {new} RENAME TO {quote(table)}",
        ]

    def _index(self) -> list[str]:
        table = self._table()
        self._made += 1
        unique = self._random.choice(("", "UNIQUE "))
        column = quote(self._random.choice([*self._columns(table), "id"]))
        return [f"CREATE {unique}INDEX i{self._made} ON {quote(table)}({column})"]

    def _drop_index(self) -> list[str]:
        found = self._file.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql NOT NULL ORDER BY name")
        names = [str(row[0]) for row in found]
        return [f"DROP INDEX {quote(self._random.choice(names))}"] if names else ["SELECT 1"]

    def _trigger(self) -> list[str]:
        table = self._table()
        self._made += 1
        body = f"DELETE FROM {quote(self._table())} WHERE id = NEW.id + 1"
        return [f"CREATE TRIGGER app{self._made} AFTER INSERT ON {quote(table)} BEGIN {body}; END"]
