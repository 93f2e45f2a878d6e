"""Rows that Postgres cannot hold: kept by key with reason and remedy, and released when the cause is gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from cdc.audit.chain import AuditEntry, entry
from cdc.facts.changes import Reason, Rejection
from cdc.facts.row_key import decode_key, in_order, show_key
from cdc.facts.target_schema import TargetForeignKey
from cdc.facts.values import KeyValues
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.audit import AuditTrail
from cdc.postgres.record.part import RecordPart
from cdc.postgres.tables.source_key_sql import read_key
from cdc.sql_names import qualified, quote

SQL: Final = load("quarantine")

KEYS_IN_ENTRY: Final = 100  # of the audit trail
LONGEST_KEY: Final = 200  # characters of a key that it shows

_ORPHAN_REMEDY: Final = (
    "it is applied by itself once its parent row is in Postgres: see to the parent if that waits in quarantine too; if "
    "SQLite has no such parent, add it there or correct the reference"
)
_BACK_REMEDY: Final = (
    "`cdc tombstones` shows when it was deleted; `cdc tombstones accept --all` takes in again what came back, `cdc "
    "tombstones refuse --all` deletes it in SQLite as well; either takes --table and --key instead"
)


@dataclass(frozen=True, slots=True)
class Held:
    """A key to put into quarantine. An orphan names the parent table and the referenced values it waits for."""

    key: str
    rejection: Rejection
    waits_table: str | None = None
    waits_for: str | None = None


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A row of `cdc.quarantine` for people and programs; `key` is encoded (see `cdc.facts.row_key.show_key`).

    An orphan waits for the row of `waits_table`, schema, table and columns, where these read as `waits_for`.
    """

    source_table: str
    key: str
    reason: str
    column_name: str
    detail: str
    remedy: str
    first_seen: datetime
    last_seen: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    waits_table: str | None = None
    waits_for: str | None = None


class Quarantine(RecordPart):
    """The quarantine of one source, read; `QuarantineWriter` puts rows in and takes them out."""

    async def tables(self) -> frozenset[str]:
        """The source tables of which rows are in quarantine."""
        with translated("reading the quarantine"):
            return frozenset(
                row["source_table"] for row in await self._connection.fetch(SQL["tables"], self._source_id)
            )

    async def columns(self) -> set[tuple[str, str]]:
        """The source tables, and their columns in Postgres, of which values were refused."""
        with translated("reading the quarantine"):
            rows = await self._connection.fetch(SQL["columns"], self._source_id)
        return {(row["source_table"], row["column_name"]) for row in rows}

    async def keys_of(self, table: str | None) -> dict[str, list[KeyValues]]:
        """Every quarantined key by source table, of one table or of all."""
        with translated("reading the quarantine"):
            records = await self._connection.fetch(SQL["keys"], self._source_id, table)
        keys: dict[str, list[KeyValues]] = {}
        for record in records:
            keys.setdefault(record["source_table"], []).append(decode_key(record["key"]))
        return keys

    async def counts(self) -> dict[str, int]:
        """How many rows of each source table are in quarantine; tables without any are left out."""
        with translated("counting what is in quarantine"):
            return {r["source_table"]: r["rows"] for r in await self._connection.fetch(SQL["counts"], self._source_id)}

    async def list_rows(self) -> list[QuarantinedRow]:
        """Everything in quarantine, by table and key."""
        with translated("reading the quarantine"):
            records = await self._connection.fetch(SQL["list"], self._source_id)
        rows = [QuarantinedRow(**dict(record)) for record in records]
        return sorted(rows, key=lambda row: (row.source_table, in_order(row.key)))

    async def acknowledge(self, table: str | None, key: str | None, by: str) -> int:
        """Mark rows as known to the operator; None means all. Returns how many were marked."""
        with translated("acknowledging quarantined rows"):
            async with self._connection.transaction():
                marked = await self._connection.fetch(SQL["acknowledge"], self._source_id, table, key, by)
                reasons: dict[str, dict[str, str]] = {}
                for name, reason, encoded in marked:
                    reasons.setdefault(name, {})[encoded] = reason
                entries = [e for name in reasons for e in entries_about("acknowledge", name, reasons[name])]
                await AuditTrail(self._connection, self._source_id).append(entries)
        return len(marked)


def entries_about(action: str, table: str, reasons: Mapping[str, str]) -> list[AuditEntry]:
    """Entries of the audit trail about rows of a table, by reason and with a bounded number of keys each."""
    by_reason: dict[str, list[str]] = {}
    for key, reason in reasons.items():
        by_reason.setdefault(reason, []).append(_shown(key))
    return [
        entry(action, "done", {"table": table, "reason": reason, "rows": len(portion), "keys": portion})
        for reason, keys in ((reason, sorted(keys)) for reason, keys in by_reason.items())
        for portion in (keys[place : place + KEYS_IN_ENTRY] for place in range(0, len(keys), KEYS_IN_ENTRY))
    ]


def _shown(key: str) -> str:
    shown = show_key(key)
    return shown if len(shown) <= LONGEST_KEY else f"{shown[:LONGEST_KEY]}..."


def came_back(columns: Sequence[str]) -> Rejection:
    """Why a row waits whose key has a tombstone and that came with another file."""
    return Rejection(
        ", ".join(columns), Reason.RETURNED, "it was deleted, and came back with another file", _BACK_REMEDY
    )


def orphans(key: TargetForeignKey, rows: Sequence[asyncpg.Record]) -> list[Held]:
    """Rows without a parent, ready for quarantine; they wait under `waits_table` for the values they refer to.

    One that no row of SQLite is known for has no key: somebody wrote it into Postgres, and it goes with its parent.
    """
    why = Rejection(
        ", ".join(key.columns), Reason.ORPHAN, f"its parent row in {key.parent} is not in Postgres", _ORPHAN_REMEDY
    )
    return [
        Held(read_key(row["key"]), why, waits_table(key), row["waits_for"]) for row in rows if row["key"] is not None
    ]


def waits_table(key: TargetForeignKey) -> str:
    """The name of a parent and its referenced columns, under which orphans wait."""
    return f"{qualified(key.parent_schema, key.parent)}({', '.join(map(quote, key.parent_columns))})"
