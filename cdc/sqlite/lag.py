"""What `cdc status` asks the application's file: is capture there, and how much has it logged that waits."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import apsw

from cdc.config import Source
from cdc.errors import SourceError
from cdc.sqlite.changelog import seconds_since_epoch
from cdc.sqlite.connection import open_source, read_transaction, translated

COUNTED: Final = 100_000  # beyond this many, the pending changes are told by subtraction, to hold no reader for long


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What the file told; None is unknown. Ages are in seconds, `error` is why it could not be asked."""

    path: Path
    reachable: bool = False
    error: str | None = None
    remedy: str | None = None
    capture_installed: bool | None = None
    source_id: str | None = None
    newest_seq: int | None = None
    pending: int | None = None
    oldest_pending_seconds: float | None = None


def read_identity(source: Source) -> SourceFacts:
    """The file's source id and newest changelog entry, in one short snapshot; never raises `SourceError`."""
    facts = SourceFacts(source.path)
    try:
        with _opened(source) as connection, translated(f"SQLite file {source.path}"), read_transaction(connection):
            return _identity(connection, replace(facts, reachable=True))
    except SourceError as error:
        return replace(facts, error=error.message, remedy=error.remedy)


def read_pending(source: Source, facts: SourceFacts, after: int) -> SourceFacts:
    """The same facts with what was logged after the entry `after`; unchanged when the file cannot be asked now."""
    if not facts.capture_installed:
        return facts
    try:
        with _opened(source) as connection, translated(f"SQLite file {source.path}"), read_transaction(connection):
            return _pending(connection, _identity(connection, facts), after)
    except SourceError as error:
        return replace(facts, reachable=False, error=error.message, remedy=error.remedy)


class _opened:  # noqa: N801 (reads as a verb where it is used)
    """An open connection that is closed when the block ends."""

    def __init__(self, source: Source) -> None:
        self._connection = open_source(source.path, source.busy_timeout_seconds)

    def __enter__(self) -> apsw.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _identity(connection: apsw.Connection, facts: SourceFacts) -> SourceFacts:
    found = connection.execute(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('_cdc_state', '_cdc_changelog')"
    ).get
    if found != 2:
        return replace(facts, capture_installed=False)
    return replace(
        facts,
        capture_installed=True,
        source_id=connection.execute("SELECT source_id FROM _cdc_state").get,
        newest_seq=connection.execute("SELECT max(seq) FROM _cdc_changelog").get,
    )


def _pending(connection: apsw.Connection, facts: SourceFacts, after: int) -> SourceFacts:
    waiting = "FROM _cdc_changelog WHERE seq > ?"
    counted = connection.execute(f"SELECT count(*) FROM (SELECT 1 {waiting} LIMIT {COUNTED + 1})", (after,)).get
    pending = counted if counted <= COUNTED or facts.newest_seq is None else facts.newest_seq - after
    oldest = connection.execute(f"SELECT at {waiting} ORDER BY seq LIMIT 1", (after,)).get
    at = seconds_since_epoch(oldest)
    age = max(0.0, time.time() - at) if at is not None else None
    return replace(facts, pending=pending, oldest_pending_seconds=age)
