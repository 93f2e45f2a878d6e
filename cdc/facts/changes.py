"""The facts that modules hand to each other: tables, keys, rows read, positions. Frozen, no I/O.

Values of SQLite are plain Python: None, int, float, str, bytes, and `InvalidText` for a text that is not UTF-8. An
expression of the operator may fail for a row: then `Failed` stands for its value. `NullKey` occurs in keys alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cdc.facts.values import KeyValues, Row

Tally = Mapping[str, int | None]  # rows by what was done to them; None where only the statement that moves them counts


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the changelog: the entry's number and its fingerprint, `encode_key((table id, op, at, *key))`.

    The fingerprint tells a changelog that merely has an entry of that number from the one that was read.
    """

    seq: int
    entry: str


@dataclass(frozen=True, slots=True)
class Traces:
    """What tells a file whose end was lost: inode and time of the last write to the main file, and its -wal file.

    `log` names the generation of the -wal file, empty for none, `frames` is how many pages that generation has.
    """

    inode: str
    changed_at: str
    log: str
    frames: int

    def lost_its_end_since(self, before: "Traces") -> bool:
        """Whether the main file is untouched and its log is shorter than it was, or gone."""
        if (self.inode, self.changed_at) != (before.inode, before.changed_at) or not before.log:
            return False
        return not self.log or (self.log == before.log and self.frames < before.frames)


@dataclass(frozen=True, slots=True)
class TableRows:
    """The current state of some keys of one source table: rows that are there, keys that are not.

    A row is the key's values followed by one value per `TableMap.columns`; a gone key is the key's values only.
    """

    table: str
    rows: list[Row] = field(default_factory=list)
    gone: list[KeyValues] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Round:
    """What one short snapshot gave: the state at `position` of every key logged since the position before.

    `complete` says that `position` was the newest entry of its snapshot: only then may it be merged.
    `rescan` names tables that must be read as a whole, because an entry could not say which keys changed.
    `oldest_at` is the time of the oldest entry read (seconds since the epoch), None when unknown or nothing was read.
    `newest` is the number of the newest entry of its snapshot: what is between it and `position` waits to be read.
    """

    position: Position
    tables: tuple[TableRows, ...]
    complete: bool
    entries: int
    rescan: tuple[str, ...] = ()
    oldest_at: float | None = None
    newest: int = 0


class Reason(StrEnum):
    """Why a row is in quarantine."""

    VALUE = "value"
    ORPHAN = "orphan"
    CONSTRAINT = "constraint"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why Postgres cannot hold a row: which column, what is wrong, what to do. Never holds the value itself.

    `by_type` says that another type of the column might hold the value.
    """

    column: str
    reason: Reason
    detail: str
    remedy: str
    by_type: bool = False

    @property
    def cause(self) -> str:
        """What is wrong, told alike for all columns and tables that have the same wrong."""
        return nameless(self.detail, self.column)


def nameless(detail: str, column: str) -> str:
    """The detail of a rejection without the name of its column."""
    return detail.replace(f"for column {column} ", "", 1)


@dataclass(frozen=True, slots=True)
class TableTally:
    """What one batch did to one source table's rows in Postgres and in quarantine.

    `altered` counts values, not rows: those that did not fit and became others because the operator chose so.
    """

    upserted: int = 0
    deleted: int = 0
    quarantined: int = 0
    released: int = 0
    altered: int = 0


@dataclass(frozen=True, slots=True)
class AppliedBatch:
    """A batch that Postgres committed: changelog entries after `after_seq` up to `last_seq`, which were `changes` many.

    `tables` holds the source tables that something was done to. `seconds` is how long it took from the first read to
    the commit, `lag_seconds` how old its oldest entry was when it was read. `reacts` says that triggers, rules or row
    level security of its tables may change what is written; `unmoved` counts rows, by source table, that are not in
    Postgres as the batch wrote them.
    """

    after_seq: int
    last_seq: int
    changes: int
    tables: Mapping[str, TableTally]
    seconds: float
    lag_seconds: float | None = None
    reacts: bool = False
    unmoved: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a table that is read page by page: the row read last, None at the start, and the row to end with.

    A place is the rowid, or the whole primary key in tables without one; it stays good when rows come and go.
    """

    last: KeyValues | None
    end: KeyValues
