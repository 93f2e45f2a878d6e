"""Keys that come into quarantine and leave it, in the transactions that apply changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from cdc.audit.chain import AuditEntry
from cdc.facts.changes import Tally
from cdc.facts.row_key import decode_key, encode_key
from cdc.facts.values import KeyValues
from cdc.postgres.record.quarantine import SQL, Held, entries_about
from cdc.postgres.record.record import Record


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    """That somebody knew of a row in quarantine, and why it was there."""

    reason: str
    detail: str
    at: datetime
    by: str


class QuarantineWriter:
    """The quarantine of one source, used inside the transactions that apply changes.

    `tables` caches which source tables have rows here, so that an empty quarantine costs nothing. What comes and goes
    is remembered until `tell` records it, at the end of the same transaction.
    """

    def __init__(self, record: Record) -> None:
        self._connection = record.connection
        self._source_id = record.source_id
        self._audit = record.audit
        self.tables: set[str] = set()
        self._put_in: dict[str, dict[str, str]] = {}  # by table, the reason by key
        self._taken_out: dict[str, dict[str, str]] = {}
        self._acknowledged: dict[tuple[str, str], _Acknowledged] = {}  # by table and key, of those that were taken out

    async def refresh(self) -> None:
        """Read again which tables have rows in quarantine, and forget what a transaction did that was given up."""
        self._put_in, self._taken_out, self._acknowledged = {}, {}, {}
        records = await self._connection.fetch(SQL["tables"], self._source_id)
        self.tables = {record["source_table"] for record in records}

    async def put(self, table: str, held: Sequence[Held]) -> None:
        """Put keys into quarantine, or renew why they are there.

        One that was taken out in the same transaction and is back for the same cause is as acknowledged as it was.
        """
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
        known = [self._known(table, h) for h in once]
        said = [[k.at if k else None for k in known], [k.by if k else None for k in known]]
        # One that is held already leaves with its old reason and comes with the new one.
        before = await self._connection.fetch(SQL["put"], self._source_id, table, *columns, *waits, *said)
        self._note_taken_out(table, [(key, reason) for key, reason in before])
        self._put_in.setdefault(table, {}).update({h.key: str(h.rejection.reason) for h in once})

    async def release(self, table: str, keys: Sequence[KeyValues]) -> None:
        """Take keys out whose row was read again."""
        if keys:
            encoded = [encode_key(key) for key in keys]
            self._release(table, await self._connection.fetch(SQL["release"], self._source_id, table, encoded))

    async def release_table(self, table: str) -> None:
        """Take all keys of a table out, because the whole table is read again."""
        self._release(table, await self._connection.fetch(SQL["release_table"], self._source_id, table))

    async def tell(self) -> dict[str, Tally]:
        """Record in the audit trail what came and went since the last time, in the caller's transaction.

        A key that was taken out and came back for the same reason never left. Returns how many rows it is by table.
        """
        tallies: dict[str, Tally] = {}
        entries: list[AuditEntry] = []
        for table in self._put_in.keys() | self._taken_out.keys():
            put_in, taken_out = self._put_in.get(table, {}), self._taken_out.get(table, {})
            held = {key: reason for key, reason in put_in.items() if taken_out.get(key) != reason}
            released = {key: reason for key, reason in taken_out.items() if key not in put_in}
            entries += [*entries_about("release", table, released), *entries_about("quarantine", table, held)]
            tallies[table] = {"quarantined": len(held), "released": len(released)}
        await self._audit.append(entries)
        self._put_in, self._taken_out, self._acknowledged = {}, {}, {}
        return tallies

    def _known(self, table: str, held: Held) -> "_Acknowledged | None":
        """What was said of a key before it was taken out, if it is back for the same cause."""
        said = self._acknowledged.get((table, held.key))
        same = said is not None and (said.reason, said.detail) == (str(held.rejection.reason), held.rejection.detail)
        return said if same else None

    def _release(self, table: str, rows: "list[asyncpg.Record]") -> None:
        self._note_taken_out(table, [(key, reason) for key, reason, *_ in rows])
        for key, reason, detail, at, by in rows:
            if at is not None:
                self._acknowledged[table, key] = _Acknowledged(reason, detail, at, by)

    def _note_taken_out(self, table: str, rows: Iterable[tuple[str, str]]) -> None:
        put_in, taken_out = self._put_in.setdefault(table, {}), self._taken_out.setdefault(table, {})
        for key, reason in rows:
            # What this transaction itself put in was never there for anybody else.
            if put_in.pop(key, None) is None:
                taken_out[key] = reason

    async def retriable(self, table: str) -> list[KeyValues]:
        """Keys held for a violated constraint: any change of their table may have removed the cause."""
        if table not in self.tables:
            return []
        records = await self._connection.fetch(SQL["retriable"], self._source_id, table)
        return [decode_key(record["key"]) for record in records]
