"""What became of rows that came back from Postgres to SQLite. Frozen, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cdc.facts.changed_rows import Texts
from cdc.facts.changes import Rejection
from cdc.facts.table_map import TableMap
from cdc.facts.values import KeyValues


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row of Postgres, by its source table and the texts of its key, that SQLite cannot hold; it stays as it was."""

    table: str
    key: Texts
    why: Rejection


@dataclass(frozen=True, slots=True)
class SourceKeys:
    """Keys of one table in SQLite whose rows are gone in Postgres, and those whose rows are there."""

    mapped: TableMap
    gone: Sequence[KeyValues]
    there: Sequence[KeyValues]


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain did to the SQLite file: rows by source table, those that were alike already not among them.

    `overwritten` are rows, by source table and encoded key, that Postgres did not have because they were in quarantine,
    and that an application made there meanwhile: now they are that row.
    """

    inserted: Mapping[str, int]
    updated: Mapping[str, int]
    deleted: Mapping[str, int]
    refused: tuple[RefusedRow, ...] = ()
    overwritten: tuple[tuple[str, str], ...] = ()
