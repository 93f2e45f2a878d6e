"""Who plays the application: one writer that goes to whichever side accepts, and remembers what it was told is kept."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from cdc.errors import CdcError
from cdc.facts.row_rewrite import RowRewrite, RowWrite
from cdc.facts.side import Side
from cdc.facts.values import KeyValues
from cdc.postgres.tables.rewriting import PostgresWriter
from cdc.rehearsal.load import Load, LoadTransaction
from cdc.sqlite.rows.rewriting import SqliteWriter
from cdc.threads import to_its_end

AGAIN_SECONDS: Final = 0.005  # until a transaction that both sides refused is tried again


@dataclass(slots=True)
class Account:
    """What became of the writes: rows that were committed, by side, and transactions that met a refusal before.

    `longest_wait_seconds` is from the first try of a transaction to its commit.
    """

    transactions: int = 0
    rows: Counter[Side] = field(default_factory=Counter)
    refused: int = 0
    longest_wait_seconds: float = 0.0


class RehearsingApplication:
    """Repeats a load at its own pace. `failing` are tables that are written to no more, with the reason."""

    def __init__(
        self, sqlite: SqliteWriter, postgres: PostgresWriter, rewrites: Mapping[str, RowRewrite], load: Load
    ) -> None:
        self.account = Account()
        self.failing: dict[str, str] = {}
        self._sqlite = sqlite
        self._postgres = postgres
        self._rewrites = rewrites
        self._load = load
        self._keys: dict[Side, Mapping[str, Sequence[KeyValues]]] = {Side.SQLITE: load.keys}
        self._side = Side.SQLITE  # which took a write last
        self._numbers = itertools.count(1)
        self._kept: dict[tuple[Side, str, KeyValues], int] = {}
        self._writing = asyncio.Lock()

    async def look(self) -> None:
        """Learn which rows Postgres has; once it has them."""
        self._keys[Side.POSTGRES] = {
            table: await self._postgres.keys(table, len(keys)) for table, keys in self._load.keys.items() if keys
        }

    async def run(self) -> None:
        """Write until cancelled; ends at once where there is nothing to write."""
        while self._load.transactions:
            began = time.monotonic()
            for transaction in self._load.transactions:
                await asyncio.sleep(began + transaction.after - time.monotonic())
                async with self._writing:
                    await self._write(transaction)
            await asyncio.sleep(began + self._load.seconds - time.monotonic())

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """Nothing is written for the time of a block; what is under way ends first."""
        async with self._writing:
            yield

    async def accepting(self) -> frozenset[Side]:
        """The sides that take a write now, tried for real; at rest. Empty where there is nothing to write."""
        writable = (t for t in self._load.transactions if all(self._writes(t, side) for side in Side))
        if (some := next(writable, None)) is None:
            return frozenset()
        return frozenset([side for side in Side if await self._taken(some, side)])

    async def lost(self) -> list[str]:
        """The tables of which a side that committed a write does not have it; at rest, with nothing on its way."""
        found = set()
        for (side, table, key), number in self._kept.items():
            if await self._number(side, table, key) < number:
                found.add(table)
        return sorted(found)

    async def _number(self, side: Side, table: str, key: KeyValues) -> int:
        if side is Side.POSTGRES:
            return await self._postgres.number(table, key)
        return await asyncio.to_thread(self._sqlite.number, table, key)

    async def _write(self, transaction: LoadTransaction) -> None:
        """Until it is taken: by the side that took the one before, else by the other one."""
        began, tries = time.monotonic(), 0
        while not await self._taken(transaction, self._side):
            tries += 1
            self._side = self._side.other
            if tries % 2 == 0:
                await asyncio.sleep(AGAIN_SECONDS)
        self.account.transactions += 1
        self.account.refused += tries > 0
        self.account.longest_wait_seconds = max(self.account.longest_wait_seconds, time.monotonic() - began)

    async def _taken(self, transaction: LoadTransaction, side: Side) -> bool:
        """Whether a side took it, or nobody ever would: a table that cannot be written to is left alone then."""
        writes = self._writes(transaction, side)
        if not writes:
            return True
        try:
            hit = await self._put(writes, side)
        except CdcError as error:
            if len(transaction.rows) == 1:
                self.failing[writes[0].table] = error.message
                return True
            parts = [replace(transaction, rows=(row,)) for row in transaction.rows]
            return all([await self._taken(part, side) for part in parts])
        if hit is None:
            return False
        self.account.rows[side] += hit
        if hit == len(writes):
            self._kept |= {(side, w.table, w.key): w.number for w in writes if not w.replaces and self._stamps(w.table)}
        return True

    async def _put(self, writes: Sequence[RowWrite], side: Side) -> int | None:
        if side is Side.POSTGRES:
            return await self._postgres.write(writes)
        return await to_its_end(self._sqlite.write, writes)

    def _writes(self, transaction: LoadTransaction, side: Side) -> list[RowWrite]:
        """The rows as a side names them, each once."""
        found: dict[tuple[str, KeyValues], RowWrite] = {}
        for row in transaction.rows:
            keys = self._keys.get(side, {}).get(row.table, ())
            if keys and row.table not in self.failing:
                key, replaces = keys[row.place % len(keys)], row.replaces and self._rewrites[row.table].replaceable
                found[row.table, key] = RowWrite(row.table, key, next(self._numbers), replaces)
        return list(found.values())

    def _stamps(self, table: str) -> bool:
        return self._rewrites[table].text is not None
