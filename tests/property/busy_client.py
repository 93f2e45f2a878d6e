"""An application in a process of its own that writes as fast as it can, all over its tables, save the quiet rows.

Usage: busy_client.py DATABASE SEED ROWS

It ends when its input is closed. What it writes is random and never ends: rows change, go, and come again as others. A
breath between two transactions lets a daemon on a small machine keep up with it.
"""

import random
import select
import sqlite3
import sys
from typing import Final

from quiet_rows import is_quiet

BREATH_SECONDS: Final = 0.002


def write(db: sqlite3.Connection, chance: random.Random, rows: int) -> None:
    """One transaction of some rows."""
    db.execute("BEGIN IMMEDIATE")
    for _ in range(chance.randrange(1, 30)):
        key = chance.randrange(1, rows + rows // 10)
        if is_quiet(key):
            continue
        match chance.randrange(4):
            case 0:
                db.execute("DELETE FROM item WHERE id = ?", (key,))
            case 1:
                db.execute("REPLACE INTO item(id, price, note) VALUES (?, ?, 'again')", (key, chance.random()))
            case 2:
                db.execute("UPDATE item SET price = price + 1, tag = NULL WHERE id = ?", (key,))
            case _:
                db.execute("REPLACE INTO word VALUES (?, ?)", (f"w{key}", chance.randrange(1000)))
    db.execute("COMMIT")


def main(database: str, seed: str, rows: str) -> None:
    db = sqlite3.connect(database, timeout=60, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    chance = random.Random(int(seed))
    print("writes", flush=True)
    while not select.select([sys.stdin], [], [], BREATH_SECONDS)[0]:
        write(db, chance, int(rows))
    db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
