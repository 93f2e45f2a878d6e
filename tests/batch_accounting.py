"""What batches really did to Postgres, counted from its rows before and after, beside what the trail says of it."""

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import asyncpg
from harness import newest_entry

from cdc.audit import trail
from cdc.audit.chain import Head, Sealed, decode
from cdc.audit.check import ChainCheck, Witness
from cdc.config import Config
from cdc.sql_names import quote

Rows = dict[tuple[str, str], str]  # by table and key, the row as text or the reason of its quarantine
Tallies = dict[str, Counter[str]]

_KEYS = """
SELECT c.relname AS name, array_agg(quote_ident(a.attname)) AS key
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
WHERE c.relnamespace = $1::text::regnamespace AND i.indisprimary GROUP BY 1
"""
_BATCHES = "SELECT entry FROM cdc.audit WHERE source_id = $1 AND entry ->> 'action' = 'batch' ORDER BY n"
_RANGES = """
SELECT coalesce(entry #>> '{details,after_seq}', entry #>> '{details,before}')::bigint,
    coalesce(entry #>> '{details,last_seq}', entry #>> '{details,seq}')::bigint
FROM cdc.audit WHERE source_id = $1 AND entry ->> 'action' IN ('batch', 'position') ORDER BY n
"""


class Witnessed:
    """One source as somebody sees it who knows nothing of the daemon."""

    def __init__(self, connection: Any, schema: str, source_id: str) -> None:
        self._connection: asyncpg.Connection[asyncpg.Record] = connection
        self._schema = schema
        self._source_id = source_id
        self._rows: Rows = {}
        self._held: Rows = {}
        self._seen = 0

    async def look(self) -> None:
        """Remember how everything is now."""
        self._rows, self._held = await self._read(), await self._quarantine()
        self._seen = len(await self.batches())

    async def differences(self) -> list[str]:
        """How what was recorded since the last look differs from what has changed since then."""
        rows, held, seen = self._rows, self._held, self._seen
        await self.look()
        new = (await self.batches())[seen:]
        # What one batch did the next may undo: only a single one can be compared with the rows.
        wrong = self._compare(new[0], rows, held) if len(new) == 1 else []
        if not new and (rows, held) != (self._rows, self._held):
            wrong.append("rows changed without a batch")
        return [*wrong, *await self.breaks()]

    def _compare(self, batch: dict[str, Any], rows: Rows, held: Rows) -> list[str]:
        # Whether a row that came was there once before is told by no row.
        counted = {name: {k: n for k, n in tally.items() if k != "returned"} for name, tally in batch["tables"].items()}
        recorded = {name: +Counter(tally) for name, tally in counted.items()}
        recorded = {name: tally for name, tally in recorded.items() if tally}
        really = self._changes(rows, held)
        return [] if recorded == really else [f"recorded {recorded}, really {really}"]

    def _changes(self, rows: Rows, held: Rows) -> Tallies:
        found: Tallies = {}
        parts = {
            "deleted": rows.keys() - self._rows.keys(),
            "upserted": {key for key, row in self._rows.items() if rows.get(key) != row},
            "quarantined": {key for key, reason in self._held.items() if held.get(key) != reason},
            "released": held.keys() - self._held.keys(),
        }
        for what, keys in parts.items():
            for table, _ in keys:
                found.setdefault(table, Counter())[what] += 1
        return found

    async def batches(self) -> list[dict[str, Any]]:
        """The details of every batch, the oldest first."""
        return [json.loads(row[0])["details"] for row in await self._connection.fetch(_BATCHES, self._source_id)]

    async def breaks(self) -> list[str]:
        """Where the chain is broken, or the ranges of batches do not follow from each other up to the position."""
        check = ChainCheck("entry")
        stored = "SELECT entry::text, hash FROM cdc.audit WHERE source_id = $1 ORDER BY n"
        for text, found in await self._connection.fetch(stored, self._source_id):
            check.see(Sealed(text, found))
        wrong = [str(found) for found in check.verdict().breaks]
        stream = "SELECT seq, audit_n, (SELECT count(*) FROM cdc.audit WHERE source_id = $1) FROM cdc.stream"
        seq, newest, count = (
            await self._connection.fetchrow(f"{stream} WHERE source_id = $1", self._source_id) or (0,) * 3
        )
        ranges = [(row[0], row[1]) for row in await self._connection.fetch(_RANGES, self._source_id)]
        wrong += [f"{one} then {two}" for one, two in pairwise(ranges) if one[1] != two[0]]
        if newest != count:
            wrong.append(f"the chain ends at {newest} and has {count} entries")
        if ranges and ranges[-1][1] != seq:
            wrong.append(f"the last batch ends at {ranges[-1][1]}, the position is {seq}")
        return wrong

    async def _read(self) -> Rows:
        rows: Rows = {}
        for name, key in await self._connection.fetch(_KEYS, quote(self._schema)):
            table = f"{quote(self._schema)}.{quote(name)}"
            found = await self._connection.fetch(f"SELECT ROW({', '.join(key)})::text, t::text FROM {table} AS t")
            rows |= {(name, row[0]): row[1] for row in found}
        return rows

    async def _quarantine(self) -> Rows:
        sql = "SELECT source_table, key, reason FROM cdc.quarantine WHERE source_id = $1"
        return {(row[0], row[1]): row[2] for row in await self._connection.fetch(sql, self._source_id)}


async def trail_breaks(config: Config, dsn: str) -> list[str]:
    """What is wrong with both places of the trail once the daemon has ended: each by itself, and beside the other."""
    found = newest_entry(config.source.path)
    assert found is not None
    source_id = found[0]
    connection = await asyncpg.connect(dsn)
    try:
        wrong = await Witnessed(connection, config.target.schema, source_id).breaks()
        stored = await connection.fetch("SELECT n, entry FROM cdc.audit WHERE source_id = $1 ORDER BY n", source_id)
        stream = "SELECT audit_file_n, audit_file_hash FROM cdc.stream WHERE source_id = $1"
        known = Head(*(await connection.fetchrow(stream, source_id) or (0, "")))
    finally:
        await connection.close()
    wrong += map(str, trail.check(config.state.dir, Witness("Postgres", known)).breaks)
    there = [decode(row["entry"]) for row in stored]
    here = trail.read(config.state.dir)
    own = [e.n for e in there if e and e.copy_of is None]
    copied = [e.copy_of for e in here if e.copy_of is not None]
    if own != copied:
        wrong.append(f"the file has copies of {copied}, Postgres recorded {own}")
    steps = [e.n for e in here if e.copy_of is None and (e.n or 0) <= known.n]
    brought = [e.copy_of for e in there if e and e.copy_of is not None]
    if steps != brought:
        wrong.append(f"Postgres has copies of {brought}, the steps in the file are {steps}")
    return wrong
