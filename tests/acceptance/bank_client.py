"""An application in a process of its own that moves money between accounts of several tables; the sum never changes.

Usage: bank_client.py DATABASE SEED PACE_FILE MOST

Each transaction stores its version number and, per table, a digest of all rows, so that whoever sees a version can tell
whether it sees exactly the rows that belong to it. The tables are made when they are not there. It keeps the pace of
the versions in PACE_FILE, and ends after MOST transactions, or when its input is closed.
"""

import hashlib
import random
import select
import sqlite3
import sys
from pathlib import Path
from typing import Final

from pace import Pace

TOTAL: Final = 1_000_000
SCHEMA: Final = """
CREATE TABLE account(id TEXT PRIMARY KEY, label TEXT UNIQUE, balance INTEGER NOT NULL);
CREATE TABLE saving(id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER NOT NULL);
CREATE TABLE vault(region TEXT NOT NULL, slot INTEGER NOT NULL, balance INTEGER NOT NULL,
    PRIMARY KEY(region, slot)) WITHOUT ROWID;
CREATE TABLE version(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE checksum(name TEXT PRIMARY KEY, digest TEXT NOT NULL);
"""
# A row as one text, in SQL that both databases understand, and the order of rows.
ROWS: Final = {
    "account": ("id || '=' || coalesce(label, '-') || '=' || balance", "id"),
    "saving": ("id || '=' || coalesce(owner, '-') || '=' || balance", "id"),
    "vault": ("region || '=' || slot || '=' || balance", "region, slot"),
}
_REGIONS: Final = ("north", "south", "west")
_MOST_ROWS: Final = 40  # of each table


class Bank:
    def __init__(self, database: str, seed: int) -> None:
        self.db = sqlite3.connect(database, timeout=30, isolation_level=None)
        self.random = random.Random(seed)

    def exists(self) -> bool:
        return bool(self.db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'version'").fetchone())

    def version(self) -> int:
        (number,) = self.db.execute("SELECT n FROM version").fetchone()
        return int(number)

    def found(self) -> None:
        """Make the tables and the first rows, as version 0."""
        self.db.executescript(SCHEMA)
        self.db.execute("BEGIN IMMEDIATE")
        for number in range(20):
            self.db.execute("INSERT INTO account VALUES (?, ?, 0)", (f"a{number}", f"label {number}"))
            self.db.execute("INSERT INTO saving VALUES (?, ?, 0)", (number + 1, f"owner {number}"))
            self.db.execute("INSERT INTO vault VALUES (?, ?, 0)", (_REGIONS[number % 3], number))
        self.db.execute("UPDATE account SET balance = ? WHERE id = 'a0'", (TOTAL,))
        self.db.execute("INSERT INTO version VALUES (1, 0)")
        self.seal()
        self.db.execute("COMMIT")

    def transact(self) -> None:
        """One transaction of a few steps, with a part undone now and then; every seventh or so is rolled back whole."""
        self.db.execute("BEGIN IMMEDIATE")
        self.db.execute("UPDATE version SET n = n + 1")
        for _ in range(self.random.randint(1, 4)):
            self.db.execute("SAVEPOINT step")
            self.random.choice(
                (self.transfer, self.transfer, self.rekey, self.reinsert, self.close, self.open, self.swap)
            )()
            if self.random.random() < 0.1:
                self.db.execute("ROLLBACK TO step")
            self.db.execute("RELEASE step")
        if self.random.random() < 0.15:
            self.db.execute("UPDATE account SET balance = balance + 7")
            self.db.execute("ROLLBACK")
            return
        self.seal()
        self.db.execute("COMMIT")

    def seal(self) -> None:
        """Store what the rows of this version are."""
        for table, (row, order) in ROWS.items():
            rows = [found[0] for found in self.db.execute(f"SELECT {row} FROM {table} ORDER BY {order}")]
            digest = hashlib.md5(";".join(rows).encode(), usedforsecurity=False).hexdigest()
            self.db.execute("INSERT OR REPLACE INTO checksum VALUES (?, ?)", (table, digest))

    def transfer(self) -> None:
        amount = self.random.randint(1, 1000)
        self._add(self._any_row(), -amount)
        self._add(self._any_row(), amount)

    def rekey(self) -> None:
        """A row gets another key: in place, or as a row that was there before."""
        table, key = self._any_row()
        if table == "account":
            new = f"a{self.random.randint(0, 99)}"
            if not self.db.execute("SELECT 1 FROM account WHERE id = ?", (new,)).fetchone():
                self.db.execute("UPDATE account SET id = ? WHERE id = ?", (new, *key))
        elif table == "saving":
            self.db.execute("UPDATE saving SET id = (SELECT max(id) + 1 FROM saving) WHERE id = ?", key)
        else:
            self.db.execute(
                "UPDATE vault SET slot = (SELECT max(slot) + 1 FROM vault) WHERE region = ? AND slot = ?", key
            )

    def reinsert(self) -> None:
        """A row is deleted and comes back in the same transaction, or REPLACE does both at once."""
        key = self._any_row("account")[1]
        (label, balance) = self.db.execute("SELECT label, balance FROM account WHERE id = ?", key).fetchone()
        if self.random.random() < 0.5:
            self.db.execute("DELETE FROM account WHERE id = ?", key)
            self.db.execute("INSERT INTO account VALUES (?, ?, ?)", (*key, label, balance))
        else:
            # The label is unique: REPLACE removes the row that has it, unseen by delete triggers.
            other = f"a{self.random.randint(100, 199)}"
            taken = self.db.execute("SELECT balance FROM account WHERE id = ?", (other,)).fetchone()
            rest = taken[0] if taken else 0
            if label is not None and other != key[0]:
                self.db.execute("REPLACE INTO account VALUES (?, ?, ?)", (other, label, balance + rest))

    def close(self) -> None:
        table, key = self._any_row()
        if self._count(table) > 5:
            (balance,) = self.db.execute(f"SELECT balance FROM {table} WHERE {_where(table)}", key).fetchone()
            self.db.execute(f"DELETE FROM {table} WHERE {_where(table)}", key)
            self._add(self._any_row(), balance)

    def open(self) -> None:
        table = self.random.choice(tuple(ROWS))
        if self._count(table) >= _MOST_ROWS:
            return
        if table == "account":
            label = f"label {self.random.randint(0, 999)}"
            key = f"a{self.random.randint(200, 999)}"
            self.db.execute("INSERT OR IGNORE INTO account VALUES (?, ?, 0)", (key, label))
        elif table == "saving":
            self.db.execute("INSERT INTO saving(owner, balance) VALUES ('new', 0)")
        else:
            slot = self.random.randint(0, 99)
            self.db.execute("INSERT OR IGNORE INTO vault VALUES (?, ?, 0)", (self.random.choice(_REGIONS), slot))

    def swap(self) -> None:
        """Two accounts exchange their unique labels."""
        one, other = self._any_row("account")[1][0], self._any_row("account")[1][0]
        labels = dict(self.db.execute("SELECT id, label FROM account WHERE id IN (?, ?)", (one, other)))
        self.db.execute("UPDATE account SET label = NULL WHERE id = ?", (one,))
        self.db.execute("UPDATE account SET label = ? WHERE id = ?", (labels[one], other))
        self.db.execute("UPDATE account SET label = ? WHERE id = ? AND id <> ?", (labels[other], one, other))

    def _any_row(self, table: str | None = None) -> tuple[str, tuple[object, ...]]:
        chosen = table or self.random.choice(tuple(ROWS))
        place = self.random.randrange(self._count(chosen))
        order = ROWS[chosen][1]
        key = self.db.execute(f"SELECT {order} FROM {chosen} ORDER BY {order} LIMIT 1 OFFSET ?", (place,)).fetchone()
        return chosen, tuple(key)

    def _add(self, row: tuple[str, tuple[object, ...]], amount: int) -> None:
        table, key = row
        self.db.execute(f"UPDATE {table} SET balance = balance + ? WHERE {_where(table)}", (amount, *key))

    def _count(self, table: str) -> int:
        (count,) = self.db.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(count)


def _where(table: str) -> str:
    return " AND ".join(f"{column} = ?" for column in ROWS[table][1].split(", "))


def main(database: str, seed: str, pace_file: str, most: str) -> None:
    bank = Bank(database, int(seed))
    if not bank.exists():
        bank.found()
    pace = Pace(Path(pace_file))
    for _ in range(int(most)):
        if select.select([sys.stdin], [], [], 0)[0]:
            break
        pace.wait(bank.version())
        bank.transact()
    bank.db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
