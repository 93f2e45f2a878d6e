"""The number of the newest changelog entry, asked again and again over one connection."""

from pathlib import Path

from cdc.sqlite.connection.errors import not_set_up, translated
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import locking


class NewestEntry:
    """A connection that only asks this. Raises `SourceError` where the file carries no capture."""

    def __init__(self, path: Path, busy_timeout_seconds: float) -> None:
        self._path = path
        self._connection = open_source(path, busy_timeout_seconds)
        if not self._connection.execute("SELECT 1 FROM sqlite_schema WHERE name = '_cdc_changelog'").get:
            self._connection.close()
            raise not_set_up(path)

    def seq(self) -> int:
        """The number, 0 before the first entry; what was committed before this was called is in it."""
        with translated(f"SQLite file {self._path}"), locking(self._connection):
            return int(self._connection.execute("SELECT max(seq) FROM _cdc_changelog").get or 0)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
