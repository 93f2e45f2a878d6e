"""An application in a process of its own that writes rows of every size in transactions of every length.

Usage: wild_client.py DATABASE SEED PREFIX PAUSE BACKLOG [found]

`CDC_SQLITE` names the module that it writes with (sqlite3 without one). Each transaction counts what its tables hold
into the ledger, so that whoever reads the ledger can tell whether the rows beside it belong to it. On its input it
understands `hold` (answers with what it did, and waits), `go`, and the end. `found` makes the tables and ends.
While more than BACKLOG entries wait to be applied, by what DATABASE.applied tells, it writes slowly, but goes on.
"""

import importlib
import json
import os
import random
import select
import sys
import time
from pathlib import Path
from typing import Any, Final

sqlite: Any = importlib.import_module(os.environ.get("CDC_SQLITE", "sqlite3"))

SCHEMA: Final = """
CREATE TABLE {p}item(id INTEGER PRIMARY KEY, code TEXT, size INTEGER NOT NULL, body TEXT);
CREATE UNIQUE INDEX {p}item_code ON {p}item(code) WHERE code IS NOT NULL;
CREATE TABLE {p}part(item INTEGER NOT NULL, place INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB,
    PRIMARY KEY(item, place)) WITHOUT ROWID;
CREATE TABLE {p}unseen(id INTEGER PRIMARY KEY, word TEXT NOT NULL DEFAULT 'none', size INTEGER NOT NULL, body TEXT);
CREATE UNIQUE INDEX {p}unseen_word ON {p}unseen(hex(word));
CREATE TABLE {p}named(id TEXT PRIMARY KEY, size INTEGER NOT NULL, body TEXT);
CREATE TABLE {p}ledger(name TEXT NOT NULL PRIMARY KEY, n INTEGER NOT NULL, many INTEGER NOT NULL,
    size INTEGER NOT NULL);
"""
TABLES: Final = ("item", "part", "unseen", "named")  # what the ledger counts
SIZES: Final = (0, 1, 30, 200, 700, 1_200, 1_700, 1_700, 2_500, 8_000)
MANY: Final = (1, 1, 1, 2, 2, 5, 20, 200)
KEYS: Final = 1_500  # so few that most writes meet a row
LONGEST_WAIT_SECONDS: Final = 1.0  # then it goes on all the same: the daemon may be dead
PATIENCE_SECONDS: Final = 5.0  # Python's own default, which no daemon may exhaust


class Application:
    """One writer; several may share a file."""

    def __init__(self, database: str, seed: int, prefix: str) -> None:
        self.db = sqlite.connect(database, timeout=PATIENCE_SECONDS, isolation_level=None)
        self.db.execute("PRAGMA synchronous = NORMAL")
        self._random = random.Random(seed)
        self._p = prefix
        self.statements = 0
        self.transactions = 0
        self.failures: list[str] = []

    def found(self) -> None:
        """Make the tables, some rows, and the ledger."""
        for sql in SCHEMA.format(p=self._p).split(";"):
            self.db.execute(sql)
        self.db.execute("BEGIN IMMEDIATE")
        for name in TABLES:
            self._run(f"INSERT INTO {self._p}ledger VALUES (?, 0, 0, 0)", (name,))
        for _ in range(300):
            self.insert_item()
        self.seal()
        self.db.execute("COMMIT")

    def transact(self) -> None:
        """One transaction of a few changes, or of many; now and then a part or all of it is taken back."""
        try:
            self._run("BEGIN IMMEDIATE")
            for _ in range(self._random.choice(MANY)):
                self._random.choice(self.changes)(self)
                if self._random.random() < 0.05:
                    self._taken_back()
            self.seal()
            self._run("ROLLBACK" if self._random.random() < 0.05 else "COMMIT")
            self.transactions += 1
        except sqlite.Error as error:
            self.failures.append(str(error))
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")

    def seal(self) -> None:
        """Count into the ledger what each table holds now."""
        for name in TABLES:
            self._run(
                f"UPDATE {self._p}ledger SET n = n + 1, many = (SELECT count(*) FROM {self._p}{name}), "
                f"size = (SELECT coalesce(sum(size), 0) FROM {self._p}{name}) WHERE name = ?",
                (name,),
            )

    # --- changes ------------------------------------------------------------------------------------------------------

    def insert_item(self) -> None:
        body = self._body()
        code = self._random.choice((None, f"c{self._random.randrange(KEYS)}"))
        verb = self._random.choice(("REPLACE", "REPLACE", "INSERT OR IGNORE"))
        self._run(f"{verb} INTO {self._p}item VALUES (?, ?, ?, ?)", (self._key(), code, len(body), body))

    def insert_part(self) -> None:
        body = self._body().encode()
        values = (self._key() % 90, self._random.randrange(20), len(body), body)
        self._run(f"INSERT OR REPLACE INTO {self._p}part VALUES (?, ?, ?, ?)", values)

    def replace_unseen(self) -> None:
        """NULL becomes the default, and the row that had it goes without a trigger that names it."""
        body = self._body()
        word = self._random.choice((None, None, "none", f"w{self._random.randrange(50)}"))
        values = (self._random.randrange(KEYS), word, len(body), body)
        self._run(f"INSERT OR REPLACE INTO {self._p}unseen VALUES (?, ?, ?, ?)", values)

    def insert_named(self) -> None:
        """A key of its own, or none: SQLite takes any number of NULLs."""
        body = self._body()
        key = None if self._random.random() < 0.1 else f"k{self._key()}"
        self._run(f"REPLACE INTO {self._p}named VALUES (?, ?, ?)", (key, len(body), body))

    def resize(self) -> None:
        name = self._random.choice(TABLES)
        body = self._body()
        low = self._key()
        wide = self._random.choice((1, 3, 60))
        bound = {"part": "item", "named": "rowid"}.get(name, "id")
        high = low % 90 if name == "part" else low
        self._run(
            f"UPDATE {self._p}{name} SET body = ?, size = ? WHERE {bound} BETWEEN ? AND ?",
            (body.encode() if name == "part" else body, len(body), high, high + wide),
        )

    def delete(self) -> None:
        name = self._random.choice(TABLES)
        low = self._key()
        wide = self._random.choice((1, 1, 10, 200))
        bound = {"part": "item", "named": "rowid"}.get(name, "id")
        low, wide = (low % 90, 1) if name == "part" else (low, wide)
        self._run(f"DELETE FROM {self._p}{name} WHERE {bound} BETWEEN ? AND ?", (low, low + wide))

    def empty(self) -> None:
        """Everything at once, rarely: as many entries as rows."""
        if self._random.random() < 0.004:
            self._run(f"DELETE FROM {self._p}{self._random.choice(TABLES)}")

    def move(self) -> None:
        """A row gets another key, and may take the place of another."""
        low, high = self._key(), self._key()
        self._run(f"UPDATE OR REPLACE {self._p}item SET id = ? WHERE id = ?", (high, low))

    changes = (insert_item, insert_item, insert_part, replace_unseen, insert_named, resize, delete, empty, move)

    def _taken_back(self) -> None:
        self._run("SAVEPOINT part")
        self._random.choice(self.changes)(self)
        self._run("ROLLBACK TO part")
        self._run("RELEASE part")

    def _run(self, sql: str, values: tuple[object, ...] = ()) -> None:
        self.db.execute(sql, values)
        self.statements += 1

    def _key(self) -> int:
        return self._random.randrange(KEYS)

    def _body(self) -> str:
        """A text of any size; half of them cannot be compressed, so that they take their room."""
        size = self._random.randint(0, self._random.choice(SIZES))
        if self._random.random() < 0.5:
            return "x" * size
        return self._random.randbytes(size // 2 + 1).hex()[:size]

    def told(self) -> str:
        """What it did so far."""
        counts = {"statements": self.statements, "transactions": self.transactions, "failures": self.failures}
        return json.dumps({**counts, "sqlite": sqlite.sqlite_version})

    def wait(self, applied: Path, backlog: int) -> None:
        """Let the daemon come nearer, for a moment at most."""
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        newest = int(self.db.execute("SELECT max(seq) FROM _cdc_changelog").fetchone()[0])
        while time.monotonic() < until and newest > int(applied.read_text()) + backlog:
            time.sleep(0.02)


def work(application: Application, pause: float, applied: Path, backlog: int) -> None:
    """Write until the input ends, with rests of a random length around the pause."""
    while True:
        if select.select([sys.stdin], [], [], 0)[0]:
            order = sys.stdin.readline().strip()
            if not order:
                return
            print(application.told(), flush=True)
            sys.stdin.readline()  # go, or the end
        application.transact()
        application.wait(applied, backlog)
        time.sleep(random.uniform(0, 2 * pause))


def main(database: str, seed: str, prefix: str, pause: str, backlog: str, founding: str = "") -> None:
    application = Application(database, int(seed), prefix)
    if founding:
        application.found()
    else:
        work(application, float(pause), Path(f"{database}.applied"), int(backlog))
    print(application.told(), flush=True)
    application.db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
