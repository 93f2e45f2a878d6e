"""Pages of changed rows that wait until they are written: what Postgres sent, before SQLite is locked for it.

Kept in a temporary database of SQLite's own, which is memory as long as it is small, and else a file without a name:
whoever is killed leaves nothing behind.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Self

import apsw
import msgspec

from cdc.facts.changed_rows import ChangedRows, Texts
from cdc.facts.table_map import TableMap
from cdc.sqlite.connection.errors import translated

MEMORY_KIB: Final = 16 * 1024  # of pages; what is more goes to the disk
_WHAT: Final = "keeping rows of Postgres until they are written to SQLite"
_Page = tuple[str, bool, tuple[Texts, ...], tuple[tuple[Texts, Texts], ...]]


class KeptPages:
    """Pages in the order in which they came; they can be gone through while others are not being added."""

    def __init__(self, maps: Sequence[TableMap]) -> None:
        self._maps = {m.source.name: m for m in maps}
        with translated(_WHAT):
            self._db = apsw.Connection("")
            self._db.execute(
                f"PRAGMA journal_mode = OFF; PRAGMA cache_size = -{MEMORY_KIB}; "
                "CREATE TABLE page(n INTEGER PRIMARY KEY, content BLOB)"
            ).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, page: ChangedRows) -> None:
        """Keep one more; raises `SourceFull` where there is no room for it."""
        content: _Page = (page.mapped.source.name, page.whole, page.keys, tuple(page.rows.items()))
        with translated(_WHAT):
            self._db.execute("INSERT INTO page(content) VALUES (?)", (msgspec.msgpack.encode(content),))

    def __iter__(self) -> Iterator[ChangedRows]:
        with translated(_WHAT):
            for (content,) in self._db.execute("SELECT content FROM page ORDER BY n"):
                name, whole, keys, rows = msgspec.msgpack.decode(content, type=_Page)
                yield ChangedRows(self._maps[name], keys, dict(rows), whole)
