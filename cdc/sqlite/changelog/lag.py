"""What the application's file tells of itself: is capture there, and how much has it logged that waits."""

import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import apsw

from cdc.config import SourceSection
from cdc.errors import SourceError
from cdc.sqlite.capture import triggers
from cdc.sqlite.changelog.positions import seconds_since_epoch
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.open import open_source
from cdc.sqlite.connection.transactions import read_transaction

COUNTED: Final = 100_000  # beyond this many, the pending changes are told by subtraction, to hold no reader for long
PATIENCE_SECONDS: Final = 2.0  # whoever asks for the lag wants an answer soon, if only that the file is locked


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What the file told; None is unknown. Ages are in seconds, `error` is why it could not be asked.

    `pending` entries came after the position that was asked about, `kept` ones lie in the changelog, applied or not.
    `writes_fail` says that capture makes each write of the application fail, `remains` that something of capture is
    there, whole or not.
    """

    path: Path
    reachable: bool = False
    error: str | None = None
    remedy: str | None = None
    capture_installed: bool | None = None
    writes_fail: bool | None = None
    remains: bool | None = None
    source_id: str | None = None
    newest_seq: int | None = None
    kept: int | None = None
    pending: int | None = None
    oldest_pending_seconds: float | None = None

    @property
    def lag_seconds(self) -> float | None:
        """How long the oldest pending entry has been waiting, 0 when there is none, None when unknown."""
        return 0.0 if self.pending == 0 else self.oldest_pending_seconds


def read_source(source: SourceSection, after: int | None = None) -> SourceFacts:
    """The file's facts in one short snapshot, and what it logged after the entry `after`; never raises `SourceError`.

    Waits no longer than `PATIENCE_SECONDS` for a lock.
    """
    facts = SourceFacts(source.path)
    try:
        patience = min(source.busy_timeout_seconds, PATIENCE_SECONDS)
        with (
            closing(open_source(source.path, patience)) as connection,
            translated(f"SQLite file {source.path}"),
            read_transaction(connection),
        ):
            identity = _identity(connection, replace(facts, reachable=True))
            if after is None or not identity.capture_installed:
                return identity
            return _pending(connection, identity, after)
    except SourceError as error:
        return replace(facts, error=error.message, remedy=error.remedy)


def _identity(connection: apsw.Connection, facts: SourceFacts) -> SourceFacts:
    fails, remains = triggers.makes_writes_fail(connection), triggers.has_remains(connection)
    facts = replace(facts, writes_fail=fails, remains=remains)
    if fails:
        return replace(facts, capture_installed=False)
    own_tables = connection.execute(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('_cdc_state', '_cdc_changelog')"
    ).get
    if own_tables != 2:
        return replace(facts, capture_installed=False)
    # One aggregate a query: SQLite looks up the smallest and the largest key only when asked for one of them.
    newest = connection.execute("SELECT max(seq) FROM _cdc_changelog").get
    oldest = connection.execute("SELECT min(seq) FROM _cdc_changelog").get
    return replace(
        facts,
        capture_installed=True,
        source_id=connection.execute("SELECT source_id FROM _cdc_state").get,
        newest_seq=newest,
        kept=0 if newest is None else newest - oldest + 1,
    )


def _pending(connection: apsw.Connection, facts: SourceFacts, after: int) -> SourceFacts:
    waiting = "FROM _cdc_changelog WHERE seq > ?"
    count = connection.execute(f"SELECT count(*) FROM (SELECT 1 {waiting} LIMIT {COUNTED + 1})", (after,)).get
    pending = count if count <= COUNTED or facts.newest_seq is None else facts.newest_seq - after
    oldest = connection.execute(f"SELECT at {waiting} ORDER BY seq LIMIT 1", (after,)).get
    at = seconds_since_epoch(oldest)
    age = max(0.0, time.time() - at) if at is not None else None
    return replace(facts, pending=pending, oldest_pending_seconds=age)
