"""An application in a process of its own that ingests or deletes contents with their children, in many transactions.

Usage: ingest_client.py DATABASE JOURNAL ingest|delete SEED COUNT

Each transaction raises the counter in `commit_counter` and appends to the journal, before it commits, what Postgres
must show when it shows that counter: every row, without children whose parent is missing under a foreign key.
It keeps the pace of the counters in the file `JOURNAL.seen`.
"""

import json
import random
import sqlite3
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from pace import Pace

IDS: Final = [f"yt:race-{number}" for number in range(24)]
VARIANTS: Final = ("comprehensive", "audio", "key-points")
# What both databases are asked for, in SQL that both understand.
STATE: Final = {
    "content": "SELECT id, title FROM content",
    "content_summaries": "SELECT id, content_id, substr(summary_text, 1, 30) FROM content_summaries",
    "content_files": "SELECT id, content_id, path FROM content_files",
    "summary_variants": "SELECT id, video_id, variant_type, revision, CAST(is_latest AS integer), "
    "substr(content, 1, 30) FROM summary_variants",
}
_WITH_PARENT: Final = " WHERE content_id IS NULL OR content_id IN (SELECT id FROM content)"
_HAS_PARENT: Final = ("content_summaries", "content_files")

Change = Callable[[int], None]


class Client:
    def __init__(self, database: str, journal: str, seed: int) -> None:
        self.db = sqlite3.connect(database, timeout=30, isolation_level=None)
        self.random = random.Random(seed)
        self._journal = Path(journal).open("a", encoding="utf-8")  # noqa: SIM115 (open for the life of the process)

    def counter(self) -> int:
        (number,) = self.db.execute("SELECT n FROM commit_counter").fetchone()
        return int(number)

    def commit(self, change: Change) -> None:
        """Run one transaction; now and then the application thinks better of it."""
        self.db.execute("BEGIN IMMEDIATE")
        (number,) = self.db.execute("UPDATE commit_counter SET n = n + 1 RETURNING n").fetchone()
        change(number)
        if self.random.random() < 0.07:
            self.db.execute("ROLLBACK")
            return
        self._journal.write(json.dumps({"n": number, "rows": self.expected()}) + "\n")
        self._journal.flush()
        self.db.execute("COMMIT")

    def expected(self) -> list[str]:
        """The rows that Postgres must show, one text each."""
        rows: list[str] = []
        for table, sql in STATE.items():
            known = sql + (_WITH_PARENT if table in _HAS_PARENT else "")
            rows += ["|".join([table, *map(str, row)]) for row in self.db.execute(known)]
        return sorted(rows)

    def exists(self, content: str) -> bool:
        return self.db.execute("SELECT 1 FROM content WHERE id = ?", (content,)).fetchone() is not None

    def ingest(self, content: str) -> None:
        """Parent and children over several transactions, as an application without care for a concurrent delete."""
        blind = self.random.random() < 0.2
        for step in (self._content, self._summary, self._variants, self._files, self._finish):
            self.commit(partial(self._take, step, content, blind))

    def _take(self, step: Callable[[str, int], None], content: str, blind: bool, n: int) -> None:
        if self._may(step, content, blind):
            step(content, n)

    def _may(self, step: Callable[[str, int], None], content: str, blind: bool) -> bool:
        return step == self._content or (blind and step != self._variants) or self.exists(content)

    def _content(self, content: str, n: int) -> None:
        columns = "INTO content(id, title, video_id, indexed_at) VALUES (?, ?, ?, ?)"
        values = (content, f"begun at {n}", content[3:], "2026-01-01T00:00:00")
        if self.random.random() < 0.5:
            self.db.execute(f"INSERT OR REPLACE {columns}", values)
        else:
            self.db.execute(f"INSERT {columns} ON CONFLICT(id) DO UPDATE SET title = excluded.title", values)

    def _summary(self, content: str, n: int) -> None:
        insert = "INSERT OR REPLACE INTO content_summaries(content_id, summary_text) VALUES (?, ?)"
        self.db.execute(insert, (content, f"first at {n}"))
        self.db.execute(
            "UPDATE content_summaries SET summary_text = ? WHERE content_id = ?", (f"written at {n}", content)
        )

    def _variants(self, content: str, n: int) -> None:
        for kind in self.random.sample(VARIANTS, 2):
            latest = (
                "SELECT coalesce(max(revision), 0) + 1 FROM summary_variants WHERE video_id = ?1 AND variant_type = ?2"
            )
            self.db.execute(
                "INSERT INTO summary_variants(video_id, variant_type, revision, content, created_at) "
                f"VALUES (?1, ?2, ({latest}), ?3, '2026-01-01')",
                (content, kind, f"written at {n}"),
            )

    def _files(self, content: str, n: int) -> None:
        for number in range(self.random.randint(1, 3)):
            path = f"{content}/{number} at {n}"
            self.db.execute("INSERT INTO content_files(content_id, path) VALUES (?, ?)", (content, path))

    def _finish(self, content: str, n: int) -> None:
        self.db.execute("UPDATE content SET title = ? WHERE id = ?", (f"finished at {n}", content))

    def delete(self, content: str) -> None:
        """Parent and children in one transaction, children first over several, or the parent first."""
        children = [
            "DELETE FROM content_summaries WHERE content_id = ?",
            "DELETE FROM content_files WHERE content_id = ?",
            "DELETE FROM summary_variants WHERE video_id = ?",
        ]
        parent = "DELETE FROM content WHERE id = ?"
        order = self.random.choice(([*children, parent], [parent, *children]))
        transactions = self.random.choice(([order], [[statement] for statement in order], [order[:2], order[2:]]))
        for statements in transactions:
            self.commit(partial(self._all, statements, content))

    def _all(self, statements: list[str], content: str, _n: int) -> None:
        for statement in statements:
            self.db.execute(statement, (content,))


def main(database: str, journal: str, role: str, seed: str, count: str) -> None:
    client = Client(database, journal, int(seed))
    pace = Pace(Path(f"{journal}.seen"))
    work = client.ingest if role == "ingest" else client.delete
    for _ in range(int(count)):
        pace.wait(client.counter())
        work(client.random.choice(IDS))
    client.db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
