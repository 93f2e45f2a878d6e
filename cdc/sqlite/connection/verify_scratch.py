"""Notes of a comparison that may outgrow memory: a SQLite database in the state folder, without a name.

So it is gone with whoever made it, also when that was killed.

Keys are texts that the caller chose; `encoded` is `cdc.facts.row_key.encode_key` of the source key, and `number` is the
key where it is one whole number, else None.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import apsw

from cdc.facts.key_range import KeyRange
from cdc.host import private_files
from cdc.sqlite.connection.errors import translated

_TABLES: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE known(tab TEXT, key TEXT, number INTEGER, PRIMARY KEY (tab, key)) WITHOUT ROWID;
CREATE INDEX known_number ON known(tab, number);
CREATE TABLE flight(
    tab TEXT, key TEXT, encoded TEXT, seq INTEGER, number INTEGER, PRIMARY KEY (tab, key)
) WITHOUT ROWID;
CREATE INDEX flight_number ON flight(tab, number);
CREATE TABLE target(key TEXT PRIMARY KEY, hash BLOB) WITHOUT ROWID;
CREATE TABLE finding(tab TEXT, kind TEXT, key TEXT, encoded TEXT, PRIMARY KEY (tab, kind, key)) WITHOUT ROWID;
"""

_WHAT: Final = "the notes of the comparison"
DIFFERENT: Final = "different"
MISSING: Final = "missing"
EXTRA: Final = "extra"
_ANY_KIND: Final = f"kind IN ('{DIFFERENT}', '{MISSING}', '{EXTRA}')"  # for the index


class Scratch:
    """One comparison's notes: quarantined keys, keys in flight, Postgres' rows of doubtful buckets, findings."""

    def __init__(self, folder: Path) -> None:
        private_files.make_folder(folder)
        with tempfile.NamedTemporaryFile(prefix="verify-", dir=folder) as notes, translated(_WHAT):
            self._db = apsw.Connection(notes.name)
            self._db.execute(_TABLES).fetchall()  # rows of the first pragma would leave the rest undone

    def close(self) -> None:
        """Remove the notes."""
        self._db.close()

    # --- keys that are known not to be in Postgres ---

    def know(self, table: str, keys: Iterable[tuple[str, int | None]]) -> int:
        """Note the quarantined keys as (key, number), in place of those before; returns how many the table has."""
        self._db.execute("DELETE FROM known WHERE tab = ?", (table,))
        self._many("INSERT OR IGNORE INTO known VALUES (?, ?, ?)", ((table, *key) for key in keys))
        return int(self._db.execute("SELECT count(*) FROM known WHERE tab = ?", (table,)).get or 0)

    def is_known(self, table: str, key: str) -> bool:
        """Whether a key is in quarantine."""
        return bool(self._db.execute("SELECT 1 FROM known WHERE tab = ? AND key = ?", (table, key)).get)

    def known_within(self, table: str, keys: KeyRange) -> frozenset[int]:
        """The quarantined keys of a range."""
        return frozenset(self._numbers("known", table, keys, -1))

    # --- keys that changed after the position ---

    def fly(self, entries: Iterable[tuple[str, str, str, int, int | None]]) -> None:
        """Note keys in flight as (table, key, encoded source key, number of the changelog's entry, number)."""
        self._many("INSERT OR REPLACE INTO flight VALUES (?, ?, ?, ?, ?)", entries)

    def flying_within(self, table: str, keys: KeyRange, most: int) -> list[int] | None:
        """The keys in flight of a range, None when there are more than `most`."""
        found = self._numbers("flight", table, keys, most + 1)
        return None if len(found) > most else found

    def in_flight(self, table: str) -> int:
        """How many keys of a table are in flight."""
        return int(self._db.execute("SELECT count(*) FROM flight WHERE tab = ?", (table,)).get or 0)

    def flying(self, table: str, upto: int, size: int) -> Iterator[list[str]]:
        """Encoded keys whose newest entry is not newer than `upto`, in batches."""
        sql = "SELECT key, encoded FROM flight WHERE tab = ? AND seq <= ? AND key > ? ORDER BY key LIMIT ?"
        last = ""
        while found := self._db.execute(sql, (table, upto, last, size)).fetchall():
            last = str(found[-1][0])
            yield [str(encoded) for _, encoded in found]

    def land(self, table: str, upto: int) -> None:
        """Forget the keys in flight whose newest entry is not newer than `upto`."""
        self._db.execute("DELETE FROM flight WHERE tab = ? AND seq <= ?", (table, upto))

    def settle(self, table: str, upto: int) -> None:
        """Land the keys in flight up to `upto` about which nothing was found."""
        sql = "DELETE FROM flight WHERE tab = ?1 AND seq <= ?2 AND key NOT IN (SELECT key FROM finding WHERE tab = ?1)"
        self._db.execute(sql, (table, upto))

    def land_keys(self, table: str, keys: Iterable[str]) -> None:
        """Forget these keys in flight; what was found about them stays."""
        self._many("DELETE FROM flight WHERE tab = ? AND key = ?", ((table, key) for key in keys))

    # --- Postgres' rows of doubtful buckets, one table at a time ---

    def clear_target(self) -> None:
        """Forget the rows of the table before."""
        self._db.execute("DELETE FROM target")

    def add_target(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Note rows of Postgres."""
        self._many("INSERT OR REPLACE INTO target VALUES (?, ?)", rows)

    def take_target(self, key: str) -> bytes | None:
        """The hash of Postgres' row of a key, which is then forgotten; None when there is none."""
        found: bytes | None = self._db.execute("DELETE FROM target WHERE key = ? RETURNING hash", (key,)).get
        return found

    def rest_of_target(self) -> Iterator[str]:
        """Keys of Postgres' rows that were not taken."""
        last = ""
        while found := self._db.execute(
            "SELECT key FROM target WHERE key > ? ORDER BY 1 LIMIT 1000", (last,)
        ).fetchall():
            last = str(found[-1][0])
            yield from (str(row[0]) for row in found)

    # --- findings ---

    def forget(self, table: str) -> None:
        """Forget the findings about a table."""
        self._db.execute("DELETE FROM finding WHERE tab = ?", (table,))

    def found_among(self, table: str, keys: Iterable[str]) -> frozenset[str]:
        """Those of some keys about which something was found."""
        sql = f"SELECT 1 FROM finding WHERE tab = ? AND key = ? AND {_ANY_KIND} LIMIT 1"
        return frozenset(key for key in keys if self._db.execute(sql, (table, key)).get)

    def withdraw(self, table: str, keys: Iterable[str]) -> None:
        """Take back what was found about these keys."""
        self._many(
            f"DELETE FROM finding WHERE tab = ? AND key = ? AND {_ANY_KIND}",
            ((table, key) for key in keys),
        )

    def find(self, findings: Iterable[tuple[str, str, str, str]]) -> None:
        """Note findings as (table, kind, key, encoded source key)."""
        self._many("INSERT OR REPLACE INTO finding VALUES (?, ?, ?, ?)", findings)

    def refly(self, table: str) -> None:
        """Let the keys about which something was found be in flight instead, to be looked at again."""
        self._db.execute(
            "INSERT OR IGNORE INTO flight SELECT tab, key, encoded, 0, NULL FROM finding WHERE tab = ?", (table,)
        )
        self.forget(table)

    def withdraw_flying(self, table: str) -> None:
        """Take back the findings about keys that were changing meanwhile."""
        self._db.execute(
            "DELETE FROM finding WHERE tab = ?1 AND key IN (SELECT key FROM flight WHERE tab = ?1)", (table,)
        )

    def count(self, table: str, kind: str) -> int:
        """How many findings of a kind a table has."""
        return int(self._db.execute("SELECT count(*) FROM finding WHERE tab = ? AND kind = ?", (table, kind)).get or 0)

    def samples(self, table: str, kind: str, most: int) -> list[str]:
        """A few encoded keys of a kind of finding."""
        sql = "SELECT encoded FROM finding WHERE tab = ? AND kind = ? ORDER BY key LIMIT ?"
        return [str(row[0]) for row in self._db.execute(sql, (table, kind, most))]

    def found(self, table: str, kind: str, size: int) -> Iterator[list[tuple[str, str]]]:
        """Keys of all findings of a kind about a table, each with the encoded source key, in batches."""
        sql = "SELECT key, encoded FROM finding WHERE tab = ? AND kind = ? AND key > ? ORDER BY key LIMIT ?"
        last = ""
        while rows := self._db.execute(sql, (table, kind, last, size)).fetchall():
            last = str(rows[-1][0])
            yield [(str(key), str(encoded)) for key, encoded in rows]

    def _numbers(self, notes: str, table: str, keys: KeyRange, limit: int) -> list[int]:
        bounds = [("number > ?", keys.after), ("number <= ?", keys.last)]
        there = [(condition, bound) for condition, bound in bounds if bound is not None]
        where = " AND ".join(["tab = ?", "number IS NOT NULL", *(condition for condition, _ in there)])
        found = self._db.execute(
            f"SELECT number FROM {notes} WHERE {where} LIMIT ?", (table, *(bound for _, bound in there), limit)
        )
        return [int(row[0]) for row in found]

    def _many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        with translated(_WHAT), self._db:
            self._db.executemany(sql, rows)
