"""Columns that are empty at first and get values of mixed forms later, in tables that grow columns: what a seed stands
for. No row may wait: whatever came, some type holds all of a column.
"""

import shutil
from collections.abc import Iterator
from random import Random
from typing import Final

import apsw
from comparison import Comparison
from harness import application, live, load, make_config
from interruptions import interrupted
from replicas import Found, Place, attempt

from cdc.sql_names import quote

DECLARED: Final = ("DATETIME", "DATE", "TIMESTAMPTZ", "", "ANY", "STRING", "UUID")
# By what an application might have settled on; the last ones are of no form at all.
FORMS: Final = (
    ("'2024-02-29 12:00:00'", "'2024-02-29T12:00:00.25'"),
    ("'2024-02-29T12:00:00Z'", "'2024-02-29 12:00:00+02:00'"),
    ("'2024-02-29'", "'1999-12-31'"),
    ("1700000000000", "0", "9007199254740993"),
    ("1700000000.25", "2.5"),
    ("'6f9619ff-8b86-d011-b42d-00c04fc964ff'", "'about noon'", "''"),
    ("x'00ff'", "x''"),
)
INDEXES: Final = ("CREATE INDEX {name} ON late({column} DESC)", "CREATE INDEX {name} ON late({column}, id)")
STEPS: Final = 12
# A column more settles the stream anew, in the middle of whose reading another one may come: that has to end.
MOST_COLUMNS: Final = 8

# The server is shared with other runs, of which rows may wait.
_WAITING: Final = """
SELECT quarantine.source_table, quarantine.detail FROM cdc.quarantine JOIN cdc.stream USING (source_id)
WHERE stream.target_schema = $1
"""


async def run_late_types(place: Place, seed: int) -> Found | None:
    """Let values come and be replicated; the first difference, or row that waits, None when there was none."""
    random = Random(f"late types {seed}")
    folder = place.folder / f"l{seed}"
    folder.mkdir()
    schema = f"l{seed}"
    config = make_config(folder, folder / "app.db", place.dsn, schema=schema, round_entries=random.choice((2, 7, 1000)))
    file = application(config.source.path, wal=random.random() < 0.7)
    file.set_busy_timeout(0)  # what holds a lock is ours, in this very thread
    writer = _LateWriter(random, file)
    try:
        for sql in writer.schema():
            file.execute(sql)
        await load(config)
        reader = apsw.Connection(str(config.source.path))
        comparison = Comparison(reader, place.connection, schema)
        with interrupted(writer.between):
            async with live(config) as replica:
                for number in range(STEPS):
                    if random.random() < 0.1:
                        await replica.close()  # the daemon is started anew
                    writer.step()
                    await replica.sync()
                    held = await place.connection.fetch(_WAITING, schema)
                    waiting = [f"{row['source_table']} waits: {row['detail']}" for row in held]
                    if found := waiting + await comparison.differences():
                        return Found(seed, True, number, found)
        reader.close()
    finally:
        file.close()
        await place.connection.execute(f"DROP SCHEMA IF EXISTS {quote(schema)} CASCADE")
        shutil.rmtree(folder)
    return None


class _LateWriter:
    """The application: a table of columns that nobody filled yet, and what it writes into them."""

    def __init__(self, random: Random, file: apsw.Connection) -> None:
        self._random = random
        self._file = file
        self._columns = [f"c{place}" for place in range(random.randint(1, 4))]
        self._usual = {name: random.choice(FORMS) for name in self._columns}

    def schema(self) -> Iterator[str]:
        """The table, mostly with rows that hold nothing."""
        columns = ", ".join(f"{name} {self._random.choice(DECLARED)}" for name in self._columns)
        yield f"CREATE TABLE late(id INTEGER PRIMARY KEY, {columns})"
        for place, column in enumerate(self._columns):
            if self._random.random() < 0.3:
                yield self._random.choice(INDEXES).format(name=f"i{place}", column=column)
        if self._random.random() < 0.7:
            yield "INSERT INTO late(id) VALUES (1), (2), (3), (4), (5)"

    def step(self) -> None:
        """Some statements, in one transaction or several."""
        together = self._random.random() < 0.3
        statements = [self._statement() for _ in range(self._random.randint(1, 4))]
        for sql in ["BEGIN", *statements, "COMMIT"] if together else statements:
            attempt(self._file, sql)

    async def between(self) -> None:
        """Write on while a batch is read, once in a while."""
        if self._random.random() < 0.2:
            attempt(self._file, self._statement())

    def _statement(self) -> str:
        chance = self._random.random()
        if chance < 0.08 and len(self._columns) < MOST_COLUMNS:
            return self._add_column()
        column = self._random.choice(self._columns)
        number = self._random.randint(1, 9)
        if chance < 0.15:
            return f"DELETE FROM late WHERE id = {number}"
        if chance < 0.25:
            return f"UPDATE late SET {column} = NULL"
        if chance < 0.6:
            return f"UPDATE late SET {column} = {self._value(column)} WHERE id <= {number}"
        return f"INSERT OR REPLACE INTO late(id, {column}) VALUES ({number}, {self._value(column)})"

    def _value(self, column: str) -> str:
        """Mostly of the form that the column has by habit."""
        forms = self._usual[column] if self._random.random() < 0.85 else self._random.choice(FORMS)
        return self._random.choice(forms)

    def _add_column(self) -> str:
        name = f"c{len(self._columns)}"
        self._columns.append(name)
        self._usual[name] = self._random.choice(FORMS)
        return f"ALTER TABLE late ADD COLUMN {name} {self._random.choice(DECLARED)}"
