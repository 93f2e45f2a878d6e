"""Changes that an application makes, in transactions of 100 rows: inserts, updates, deletes, or a mix of them."""

import random
from typing import Final

import apsw

from benchmarks import application

ROWS_PER_TRANSACTION: Final = 100
# One letter a change, over and over: insert, update, delete.
KINDS: Final = {"insert": "i", "update": "u", "delete": "d", "mix": "iudu"}


def make(source: apsw.Connection, kind: str, count: int, seed: int) -> list[int]:
    """Make so many changes of one kind, each of another row; returns the keys touched."""
    ids = [row[0] for row in source.execute("SELECT id FROM item")]
    highest = max(ids)
    touched = random.Random(seed).sample(ids, count) if kind != "insert" else [0] * count
    letters = KINDS[kind]
    for start in range(0, count, ROWS_PER_TRANSACTION):
        with source:
            for n in range(start, min(start + ROWS_PER_TRANSACTION, count)):
                letter = letters[n % len(letters)]
                if letter == "i":
                    touched[n] = highest + 1 + n
                    source.execute(application.INSERT, next(application.items([touched[n]])))
                else:
                    source.execute(application.UPDATE if letter == "u" else application.DELETE, (touched[n],))
    return touched
