"""Backlogs of thousands of entries, read in small rounds while the application writes on: what a seed stands for.

Few tables and many rows of every size, so that a key is staged again and again in one batch and stages grow long enough
for Postgres to fill their holes: a row that is staged later stands before an earlier one then.
"""

import shutil
from random import Random
from typing import Final

import apsw
from comparison import Comparison
from harness import application, live, load, make_config
from interruptions import interrupted, pages_of
from replicas import Found, Place, attempt

from cdc.sql_names import quote
from cdc.stream import resync

TABLES: Final = {
    "numbered": "CREATE TABLE numbered(id INTEGER PRIMARY KEY, body TEXT)",
    "named": "CREATE TABLE named(id TEXT NOT NULL PRIMARY KEY, body TEXT)",
    "paired": "CREATE TABLE paired(id INTEGER NOT NULL, place TEXT NOT NULL, body TEXT, PRIMARY KEY(id, place)) "
    "WITHOUT ROWID",
}
KEYS: Final = {"numbered": "id", "named": "id", "paired": "id, place"}
VALUES: Final = {"numbered": "n", "named": "'key ' || n", "paired": "n / 7, n % 7"}
ROWS: Final = 400  # of a table at most
LONGEST: Final = (60, 700, 1_700, 1_700, 8_000)  # characters of a statement's longest body
BACKLOGS: Final = 4  # each one batch: only from the second on has a session's stage holes
ROUNDS: Final = (3, 7, 20, 50)  # entries read in one snapshot
UNSEEN: Final = (
    "CREATE TABLE unseen(id INTEGER PRIMARY KEY, word TEXT NOT NULL DEFAULT 'none')",
    "CREATE UNIQUE INDEX unseen_word ON unseen(hex(word))",
)


async def run_backlogs(place: Place, seed: int) -> Found | None:
    """Let backlogs grow and be drained; the first difference, or None when there was none after any of them."""
    random = Random(f"backlogs {seed}")
    folder = place.folder / f"b{seed}"
    folder.mkdir()
    entries = random.choice(ROUNDS)
    config = make_config(
        folder, folder / "app.db", place.dsn, schema=f"b{seed}", round_entries=entries, round_entries_journal=entries
    )
    file = application(config.source.path, wal=random.random() < 0.7)
    file.set_busy_timeout(0)  # what holds a lock is ours, in this very thread
    try:
        for sql in [*TABLES.values(), *UNSEEN]:
            file.execute(sql)
        await load(config)
        reader = apsw.Connection(str(config.source.path))
        comparison = Comparison(reader, place.connection, config.target.schema, fixed=True)
        writer = _Writer(random, file)
        with interrupted(writer.between), pages_of(random.choice((3, 50, 256))):
            async with live(config) as replica:
                for number in range(BACKLOGS):
                    writer.grow()
                    if random.random() < 0.15:
                        await replica.close()
                        await resync.request_resync(config)
                    await replica.sync()
                    if found := await comparison.differences():
                        return Found(seed, True, number, found)
        reader.close()
    finally:
        file.close()
        await place.connection.execute(f"DROP SCHEMA IF EXISTS {quote(config.target.schema)} CASCADE")
        shutil.rmtree(folder)
    return None


class _Writer:
    """The application: what it writes before a batch, and what between its reads."""

    def __init__(self, random: Random, file: apsw.Connection) -> None:
        self._random = random
        self._file = file
        self._left = 0

    def grow(self) -> None:
        """A backlog; a few statements are left for the batch that reads it."""
        for _ in range(4):
            self._write()
        self._left = 6

    async def between(self) -> None:
        """Write on, once in a while."""
        if self._left and self._random.random() < 0.3:
            self._left -= 1
            self._write()

    def _write(self) -> None:
        kinds = (self._fill, self._fill, self._resize, self._resize, self._thin_out, self._swap_unseen)
        attempt(self._file, self._random.choice(kinds)())

    def _table(self) -> str:
        return self._random.choice(tuple(TABLES))

    def _fill(self) -> str:
        table = self._table()
        first = self._random.randrange(ROWS // 2)
        last = first + self._random.choice((20, 100, ROWS // 2))
        return (
            f"WITH RECURSIVE n(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM n WHERE n < {last}) "
            f"INSERT OR REPLACE INTO {table}({KEYS[table]}, body) SELECT {VALUES[table]}, {self._body('n')} FROM n"
        )

    def _resize(self) -> str:
        return f"UPDATE {self._table()} SET body = {self._body('length(body)')} WHERE {self._part()}"

    def _thin_out(self) -> str:
        return f"DELETE FROM {self._table()} WHERE {self._part()}"

    def _swap_unseen(self) -> str:
        """NULL becomes the default, and the row that had it goes: no entry names it, one asks for the whole table."""
        return f"INSERT OR REPLACE INTO unseen VALUES ({self._random.randint(1, 9)}, NULL)"

    def _part(self) -> str:
        divisor = self._random.choice((1, 2, 3, 5))
        return f"length(body) % {divisor} = {self._random.randrange(divisor)}"

    def _body(self, number: str) -> str:
        most = self._random.choice(LONGEST)
        return f"printf('%.*c', ({number} * 7919 + {self._random.randint(0, 9)}) % {most}, 'x')"
