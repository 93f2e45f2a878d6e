"""Rows that Postgres cannot hold: kept by key with reason and remedy, and released when the cause is gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from cdc.audit.chain import AuditEntry, entry
from cdc.facts.changes import Reason, Rejection
from cdc.facts.row_key import decode_key, encode_key, show_key
from cdc.facts.target_schema import TargetForeignKey
from cdc.facts.values import KeyValues
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.record import audit
from cdc.postgres.record.commit import Tally
from cdc.postgres.tables.source_key_sql import read_key
from cdc.sql_names import qualified, quote

SQL: Final = load("quarantine")

KEYS_IN_ENTRY: Final = 100  # of the audit trail
LONGEST_KEY: Final = 200  # characters of a key that it shows

_ORPHAN_REMEDY: Final = (
    "it is applied by itself once its parent row is in Postgres: see to the parent if that waits in quarantine too; if "
    "SQLite has no such parent, add it there or correct the reference"
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
    """A row of `cdc.quarantine` for people and programs; `key` is encoded (see `cdc.facts.row_key.show_key`)."""

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


class Quarantine:
    """The quarantine of one source, used inside the transactions that apply changes.

    `tables` caches which source tables have rows here, so that an empty quarantine costs nothing. What comes and goes
    is remembered until `tell` records it, at the end of the same transaction.
    """

    def __init__(self, connection: Connection, source_id: str) -> None:
        self._connection = connection
        self._source_id = source_id
        self.tables: set[str] = set()
        self._came: dict[str, dict[str, str]] = {}  # by table, the reason by key
        self._left: dict[str, dict[str, str]] = {}

    async def refresh(self) -> None:
        """Read again which tables have rows in quarantine, and forget what a transaction did that was given up."""
        self._came, self._left = {}, {}
        records = await self._connection.fetch(SQL["tables"], self._source_id)
        self.tables = {record["source_table"] for record in records}

    async def put(self, table: str, held: Sequence[Held]) -> None:
        """Put keys into quarantine, or renew why they are there."""
        if not held:
            return
        self.tables.add(table)
        # Several rows can have one key: declared keys of rowid tables may be NULL.
        once = {h.key: h for h in held}.values()
        fields = [
            (h.key, str(h.rejection.reason), h.rejection.column, h.rejection.detail, h.rejection.remedy) for h in once
        ]
        columns = [list(column) for column in zip(*fields, strict=True)]
        waits = [[h.waits_table for h in once], [h.waits_for for h in once]]
        self._went(table, await self._connection.fetch(SQL["put"], self._source_id, table, *columns, *waits))
        self._came.setdefault(table, {}).update({h.key: str(h.rejection.reason) for h in once})

    async def release(self, table: str, keys: Sequence[KeyValues]) -> None:
        """Take keys out whose row was read again."""
        if keys:
            encoded = [encode_key(key) for key in keys]
            self._went(table, await self._connection.fetch(SQL["release"], self._source_id, table, encoded))

    async def release_table(self, table: str) -> None:
        """Take all keys of a table out, because the whole table is read again."""
        self._went(table, await self._connection.fetch(SQL["release_table"], self._source_id, table))

    async def tell(self) -> dict[str, Tally]:
        """Record in the audit trail what came and went since the last time, in the caller's transaction.

        A key that was taken out and came back for the same reason never left. Returns how many rows it is by table.
        """
        tallies: dict[str, Tally] = {}
        entries: list[AuditEntry] = []
        for table in self._came.keys() | self._left.keys():
            came, left = self._came.get(table, {}), self._left.get(table, {})
            held = {key: reason for key, reason in came.items() if left.get(key) != reason}
            released = {key: reason for key, reason in left.items() if key not in came}
            entries += [*told("release", table, released), *told("quarantine", table, held)]
            tallies[table] = {"quarantined": len(held), "released": len(released)}
        await audit.append(self._connection, self._source_id, entries)
        self._came, self._left = {}, {}
        return tallies

    def _went(self, table: str, gone: "list[asyncpg.Record]") -> None:
        came, left = self._came.setdefault(table, {}), self._left.setdefault(table, {})
        for key, reason in gone:
            if came.pop(key, None) is None:
                left[key] = reason

    async def retriable(self, table: str) -> list[KeyValues]:
        """Keys held for a violated constraint: any change of their table may have removed the cause."""
        if table not in self.tables:
            return []
        records = await self._connection.fetch(SQL["retriable"], self._source_id, table)
        return [decode_key(record["key"]) for record in records]


def told(action: str, table: str, reasons: Mapping[str, str]) -> list[AuditEntry]:
    """Entries of the audit trail about rows of a table, by reason and with a bounded number of keys each."""
    by_reason: dict[str, list[str]] = {}
    for key, reason in reasons.items():
        by_reason.setdefault(reason, []).append(_shown(key))
    return [
        entry(action, "done", {"table": table, "reason": reason, "rows": len(some), "keys": some})
        for reason, keys in ((reason, sorted(keys)) for reason, keys in by_reason.items())
        for some in (keys[place : place + KEYS_IN_ENTRY] for place in range(0, len(keys), KEYS_IN_ENTRY))
    ]


def _shown(key: str) -> str:
    shown = show_key(key)
    return shown if len(shown) <= LONGEST_KEY else f"{shown[:LONGEST_KEY]}..."


def orphans(key: TargetForeignKey, found: Sequence[asyncpg.Record]) -> list[Held]:
    """Rows without a parent, ready for quarantine; they wait under `waits_table` for the values they refer to."""
    why = Rejection(
        ", ".join(key.columns), Reason.ORPHAN, f"its parent row in {key.parent} is not in Postgres", _ORPHAN_REMEDY
    )
    return [Held(read_key(row["key"]), why, waits_table(key), row["waits_for"]) for row in found]


async def tables(connection: Connection, source_id: str) -> frozenset[str]:
    """The source tables of which rows are in quarantine."""
    with translated("reading the quarantine"):
        return frozenset(row["source_table"] for row in await connection.fetch(SQL["tables"], source_id))


async def keys_of(connection: Connection, source_id: str, table: str | None) -> dict[str, list[KeyValues]]:
    """Every quarantined key by source table, of one table or of all."""
    with translated("reading the quarantine"):
        records = await connection.fetch(SQL["keys"], source_id, table)
    keys: dict[str, list[KeyValues]] = {}
    for record in records:
        keys.setdefault(record["source_table"], []).append(decode_key(record["key"]))
    return keys


async def counts(connection: Connection, source_id: str) -> dict[str, int]:
    """How many rows of each source table are in quarantine; tables without any are left out."""
    with translated("counting what is in quarantine"):
        return {r["source_table"]: r["rows"] for r in await connection.fetch(SQL["counts"], source_id)}


async def list_rows(connection: Connection, source_id: str) -> list[QuarantinedRow]:
    """Everything in quarantine, by table and age."""
    with translated("reading the quarantine"):
        return [QuarantinedRow(**dict(record)) for record in await connection.fetch(SQL["list"], source_id)]


async def acknowledge(connection: Connection, source_id: str, table: str | None, key: str | None, by: str) -> int:
    """Mark rows as known to the operator; None means all. Returns how many were marked."""
    with translated("acknowledging quarantined rows"):
        async with connection.transaction():
            marked = await connection.fetch(SQL["acknowledge"], source_id, table, key, by)
            reasons: dict[str, dict[str, str]] = {}
            for name, reason, encoded in marked:
                reasons.setdefault(name, {})[encoded] = reason
            entries = [one for name in reasons for one in told("acknowledge", name, reasons[name])]
            await audit.append(connection, source_id, entries)
    return len(marked)


def waits_table(key: TargetForeignKey) -> str:
    """The name of a parent and its referenced columns, under which orphans wait."""
    return f"{qualified(key.parent_schema, key.parent)}({', '.join(map(quote, key.parent_columns))})"
