"""Writes to a YTV2 database as the application does: one connection a call, rollback journal, foreign keys off.

Usage: application.py DATABASE, then one JSON array a line on stdin, answered by one JSON value a line:

    ["work", 10]      ingest, summarise, rename, import and delete for 10 seconds; answers how often each was done
    ["start", ID]     begin to process a video      ["finish", ID]    store its summary and variants
    ["delete", ID]    delete a content              ["spoil", ID]     ingest one whose view count is a text
    ["correct", ID]   give it a number              ["counts"]        rows by table
"""

import json
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, TypeVar

TABLES = ("content", "content_summaries", "summary_variants")
PAUSE_SECONDS = 0.02  # a busy day for a bot of this kind
CURATED_UNTIL = "2025-09-18"  # what was indexed before was put into categories by hand
Result = TypeVar("Result")
VARIANTS = ("comprehensive", "key-points", "audio")


class Application:
    """The bot and the dashboard in one: what they do to the database, call by call."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.random = random.Random(7)
        self.made = 0

    def call(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """One call of the application: connect with the default busy timeout, one transaction, close."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            return work(connection)

    # --- what the commands do ---

    def work(self, seconds: float) -> dict[str, int]:
        """A busy time of the bot; returns how often each thing was done."""
        done: Counter[str] = Counter()
        steps = {"ingested": 5, "summarised": 3, "renamed": 4, "imported": 1, "deleted": 2}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            (step,) = self.random.choices(list(steps), list(steps.values()))
            getattr(self, f"_{step}")()
            done[step] += 1
            time.sleep(PAUSE_SECONDS)
        return dict(done)

    def start(self, content: str) -> None:
        """Begin to process a video."""
        self.call(lambda db: self._upsert(db, content, "processing"))

    def finish(self, content: str) -> None:
        """Store a processed video with its summary and variants, in one transaction."""

        def work(db: sqlite3.Connection) -> None:
            self._upsert(db, content, "completed")
            self._summary(db, content)
            self._variant(db, content)

        self.call(work)

    def delete(self, content: str) -> None:
        """Delete a content, its summaries first."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM content_summaries WHERE content_id = ?", (content,))
            db.execute("DELETE FROM content WHERE id = ?", (content,))

        self.call(work)

    def spoil(self, content: str) -> None:
        """Store a content whose view count is a text, which SQLite takes in an INTEGER column."""

        def work(db: sqlite3.Connection) -> None:
            self._upsert(db, content, "completed")
            self._summary(db, content)
            db.execute("UPDATE content SET view_count = 'about 5K' WHERE id = ?", (content,))

        self.call(work)

    def correct(self, content: str) -> None:
        """Put the view count right."""
        self.call(lambda db: db.execute("UPDATE content SET view_count = 5000 WHERE id = ?", (content,)))

    def counts(self) -> Any:
        """Rows by table."""
        return self.call(lambda db: {t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES})

    # --- one step of the day's work each ---

    def _ingested(self) -> None:
        self.made += 1
        self.finish(f"yt:demo{self.made:05}")

    def _summarised(self) -> None:
        content = self._any()
        self.call(lambda db: self._variant(db, content))

    def _renamed(self) -> None:
        content = self._any()
        self.call(
            lambda db: db.execute(
                "UPDATE content SET title = title || '!', view_count = view_count + 1, updated_at = ? WHERE id = ?",
                (_now(), content),
            )
        )

    def _imported(self) -> None:
        content = self._any()

        def work(db: sqlite3.Connection) -> None:
            row = db.execute("SELECT * FROM content WHERE id = ?", (content,)).fetchone()
            db.execute(f"INSERT OR REPLACE INTO content VALUES ({', '.join('?' * len(row))})", row)

        self.call(work)

    def _deleted(self) -> None:
        """What was curated by hand before this program ran is left alone."""
        if own := self._ids(f"WHERE indexed_at >= '{CURATED_UNTIL}'"):
            self.delete(self.random.choice(own))

    def _any(self) -> str:
        return self.random.choice(self._ids())

    def _ids(self, where: str = "") -> list[str]:
        return [str(row[0]) for row in self.call(lambda db: db.execute(f"SELECT id FROM content {where}").fetchall())]

    # --- statements ---

    def _upsert(self, db: sqlite3.Connection, content: str, status: str) -> None:
        subjects = {"categories": [{"category": "Technology", "subcategories": [self.random.choice(("AI", "Web"))]}]}
        db.execute(
            "INSERT INTO content(id, title, video_id, published_at, indexed_at, duration_seconds, has_audio, category,"
            " subcategories_json, key_topics, named_entities, view_count, processing_status, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, 1, '[\"Technology\"]', ?, '[\"demo\"]', '[]', 1, ?, ?, ?)"
            " ON CONFLICT(id) DO UPDATE SET title = excluded.title, processing_status = excluded.processing_status,"
            " updated_at = excluded.updated_at",
            (
                *(content, f"A video named {content}", content.removeprefix("yt:"), _now(), _now()),
                *(self.random.randint(30, 7200), json.dumps(subjects), status, _now(), _now()),
            ),
        )

    def _summary(self, db: sqlite3.Connection, content: str) -> None:
        db.execute(
            "INSERT INTO content_summaries(content_id, summary_text, created_at) VALUES (?, ?, ?)"
            " ON CONFLICT(content_id) DO UPDATE SET summary_text = excluded.summary_text",
            (content, "What it is about. " * self.random.randint(5, 60), _now()),
        )

    def _variant(self, db: sqlite3.Connection, content: str) -> None:
        video, kind = content.removeprefix("yt:"), self.random.choice(VARIANTS)
        db.execute(
            "INSERT INTO summary_variants(video_id, variant_type, revision, content, metadata, created_at)"
            " SELECT ?1, ?2, 1 + ifnull(max(revision), 0), 'A summary.', '{\"source\": \"demo\"}', ?3"
            " FROM summary_variants WHERE video_id = ?1 AND variant_type = ?2",
            (video, kind, _now()),
        )


def _now() -> str:
    return datetime.now(UTC).isoformat()


def main() -> None:
    """Answer commands until stdin ends."""
    application = Application(sys.argv[1])
    commands = ("work", "start", "finish", "delete", "spoil", "correct", "counts")
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer = getattr(application, name)(*arguments) if name in commands else None
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
