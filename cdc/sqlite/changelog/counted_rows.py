"""The rows of every table at one moment, and which entry of the changelog was the newest then."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import apsw

from cdc.config import Config
from cdc.facts.changes import Position
from cdc.sql_names import quote
from cdc.sqlite.changelog import positions, source_file
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.transactions import journal_mode, read_transaction, stopped_after

WAL_SECONDS: Final = 60.0  # nobody waits for a reader
JOURNAL_SECONDS: Final = 0.5  # the application's commit waits for it


@dataclass(frozen=True, slots=True)
class CountedRows:
    """Rows by source table; one that could not be counted in time is left out. `seq` is None without capture."""

    seq: int | None
    rows: Mapping[str, int]


def count_rows(config: Config, tables: Iterable[str]) -> CountedRows:
    """Count in one snapshot of the file, for as long as that holds up no writer. Raises `SourceError`."""
    newest: Position | None = None
    counted: dict[str, int] = {}
    with source_file.opened(config) as connection, translated("counting rows"):
        seconds = WAL_SECONDS if journal_mode(connection) == "wal" else JOURNAL_SECONDS
        with read_transaction(connection), stopped_after(connection, seconds), suppress(apsw.InterruptError):
            newest = positions.newest(connection)
            for name in tables:
                counted[name] = int(connection.execute(f"SELECT count(*) FROM main.{quote(name)}").get or 0)
    return CountedRows(newest.seq if newest else None, counted)
