"""Unique keys of the targets change their form with who writes: deferrable for replication, plain for an application.

Postgres takes no deferrable constraint for `ON CONFLICT`, nor one of exclusion, and no foreign key may refer to either.
It alters neither form into the other, so a key is dropped and added again. What would take time is its index: that is
built before, beside all writers, as the key's *twin*, and takes the key's place at the switch, which then only changes
catalogues. The comment of an index that took a place says which constraint stood there, and so leads the way back.

A twin is a unique index, and so refuses at once what its key leaves to the end of a transaction. Replication gets by
with that: it makes room for values that change owners. But it takes more work, so twins are for the time of a switch.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.facts.progress import Progress
from cdc.facts.table_map import TableMap
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.postgres.ddl.indexes import DEFERRABLE
from cdc.postgres.tables.catalogue import STANDS_FOR, TWIN
from cdc.postgres.tables.statement import shorten
from cdc.retry import policy
from cdc.sql_names import qualified, quote, quote_literal

BUILD_ATTEMPTS: Final = 5
LOCK_SECONDS: Final = 5.0  # for each table; who waits for a lock holds up everybody who comes after

_SQL: Final = load("application_keys")


@dataclass(frozen=True, slots=True)
class _Twin:
    """An index that a key was given for its twin; not `usable` when its build did not come to its end."""

    table: str
    name: str
    usable: bool
    body: str
    held: bool


@dataclass(frozen=True, slots=True)
class _Key:
    """A key in one of its forms. `definition` is that of the deferrable constraint, in both."""

    schema: str
    table: str
    name: str
    deferrable: bool
    definition: str
    body: str
    computed: bool
    comment: str | None
    held: bool
    twin: _Twin | None

    def __str__(self) -> str:
        return f"{self.name} of {self.table}"

    @property
    def has_twin(self) -> bool:
        """Whether there is an index that can take the place of this key's own."""
        return self.twin is not None and self.twin.usable and self.twin.body == self.body

    @property
    def stays(self) -> bool:
        """Whether it cannot go, for something hangs on it, or its twin cannot become deferrable for that reason."""
        return self.held or (not self.deferrable and self.twin is not None and self.twin.held)

    @property
    def lacks_twin(self) -> bool:
        """Whether its next form would need one. Postgres makes an exclusion constraint of no index that is there."""
        return not (self.has_twin or self.stays) and (self.deferrable or not self._excludes)

    @property
    def _excludes(self) -> bool:
        return self.definition.startswith("EXCLUDE")

    @property
    def _twin_name(self) -> str:
        return _twin_name(self.table, self.name)

    @property
    def _place(self) -> str:
        return qualified(self.schema, self.table)

    @property
    def _drop(self) -> str:
        return f"ALTER TABLE {self._place} DROP CONSTRAINT {quote(self.name)}"

    def build(self, how: str = "") -> str:
        """The statement that builds the twin."""
        return f"CREATE UNIQUE INDEX {how}{quote(self._twin_name)} ON {self._place}{self.body}"

    def to_immediate(self) -> Iterator[str]:
        """The statements that let the twin take the place of the deferrable constraint."""
        yield from self._with_twin()
        if self._excludes:
            yield self._drop
            yield f"ALTER INDEX {qualified(self.schema, self._twin_name)} RENAME TO {quote(self.name)}"
        else:
            yield from self._replaced("")
        words = quote_literal(f"{STANDS_FOR}{self.definition}")
        yield f"COMMENT ON INDEX {qualified(self.schema, self.name)} IS {words}"

    def to_deferrable(self) -> Iterator[str]:
        """The statements that make it the deferrable constraint again."""
        if self._excludes:
            yield f"DROP INDEX {qualified(self.schema, self.name)}"
            yield f"ALTER TABLE {self._place} ADD CONSTRAINT {quote(self.name)} {self.definition}"
        else:
            yield from self._with_twin()
            yield from self._replaced(f" {DEFERRABLE}")

    def _with_twin(self) -> Iterator[str]:
        if self.has_twin:
            return
        if self.twin is not None:
            yield f"DROP INDEX {qualified(self.schema, self.twin.name)}"
        yield self.build()

    def _replaced(self, when: str) -> Iterator[str]:
        name = quote(self.name)
        yield f"{self._drop}, ADD CONSTRAINT {name} UNIQUE USING INDEX {quote(self._twin_name)}{when}"
        if self.comment is not None:
            yield f"COMMENT ON CONSTRAINT {name} ON {self._place} IS {quote_literal(self.comment)}"


def _twin_name(table: str, key: str) -> str:
    return shorten(f"{TWIN}{key}", table)


class ApplicationKeys:
    """The unique keys of one schema that are deferrable for replication; of tables of our making alone.

    Where somebody hung something on a key, a foreign key or a replica identity, it is held in the form that it has.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    async def deferrable(self, tables: Sequence[TableMap]) -> list[str]:
        """The keys that an application cannot use for `ON CONFLICT` now, each as `name of table`."""
        return [str(key) for key in await self._keys(tables) if key.deferrable]

    async def altered(self, tables: Sequence[TableMap]) -> list[TableMap]:
        """The tables of which `make_immediate` alters something: nobody may even read them meanwhile."""
        changing = {key.table for key in await self._keys(tables) if key.deferrable and not key.stays}
        return [mapped for mapped in tables if mapped.target in changing]

    async def unready(self, tables: Sequence[TableMap]) -> list[str]:
        """The keys whose next change of form would take the time of an index build, though a twin could spare it.

        Not the exclusion constraints on their way back: Postgres always builds them anew.
        """
        return [str(key) for key in await self._keys(tables) if key.lacks_twin]

    async def prepare(self, tables: Sequence[TableMap], progress: Progress) -> None:
        """Build the twins that are lacking, outside of a transaction; nobody is kept from writing meanwhile.

        Each waits for transactions older than itself. One that was ended in the middle, such as by a deadlock with a
        daemon that gives keys their other form, is built anew: here a few times, else by the next call.
        """
        async for attempt in policy(BUILD_ATTEMPTS):
            with attempt:
                await self._build_lacking(tables, progress)

    async def _build_lacking(self, tables: Sequence[TableMap], progress: Progress) -> None:
        """One attempt. A build waits for older transactions, and one of these may ask for a lock on the table."""
        lacking = [key for key in await self._keys(tables) if key.lacks_twin]
        if not lacking:
            return
        progress.start("building unique indexes for the application", len(lacking))
        with translated("building unique indexes"):
            for key in lacking:
                if key.twin is not None:
                    await self._drop([key.twin])
                await self._connection.execute(key.build("CONCURRENTLY "))
                progress.advance(1)
            # What Postgres knows of the values of an expression, it keeps with the index.
            for table in sorted({key.table for key in lacking if key.computed}):
                await self._connection.execute(f"ANALYZE {qualified(self._schema, table)}")
        progress.finish()

    async def make_immediate(self, tables: Sequence[TableMap]) -> list[str]:
        """Give each deferrable key its plain form, in the caller's transaction; it takes moments where it is ready.

        An exclusion constraint becomes a unique index of the same name. Returns the keys that are held. Raises
        `TargetHindered` when a table is in use for longer than `LOCK_SECONDS`.
        """
        keys = [key for key in await self._keys(tables) if key.deferrable]
        await self._alter([sql for key in keys if not key.stays for sql in key.to_immediate()])
        return [str(key) for key in keys if key.stays]

    async def make_deferrable(self, tables: Sequence[TableMap]) -> list[str]:
        """Give each key that `make_immediate` changed its old form, in the caller's transaction.

        To be done before replication goes on, which reads at its beginning what can wait. Locks a table for as long as
        an exclusion constraint of it is built. Returns and raises as `make_immediate`.
        """
        keys = [key for key in await self._keys(tables) if not key.deferrable]
        await self._alter([sql for key in keys if not key.stays for sql in key.to_deferrable()])
        return [str(key) for key in keys if key.stays]

    async def drop_orphans(self, tables: Sequence[TableMap]) -> bool:
        """Drop the twins whose key is gone or another one: they would still refuse rows. Whether there were any."""
        if not (twins := await self._twins(_own(tables))):
            return False
        needed = {key.twin for key in await self._keys(tables) if key.has_twin}
        orphans = [twin for twin in twins if twin not in needed and not twin.held]
        await self._drop(orphans)
        return bool(orphans)

    async def forget(self, targets: Sequence[str]) -> None:
        """Let the keys of these targets have their present form for good: no twins, and no word of what stood there.

        Outside of a transaction. What a build left that was ended goes as well.
        """
        await self._drop(await self._twins(targets))
        plain = [key for key in await self._keys_of(targets) if not key.deferrable]
        await self._alter([f"COMMENT ON INDEX {qualified(self._schema, key.name)} IS NULL" for key in plain])

    async def traces(self, targets: Sequence[str]) -> list[str]:
        """What `forget` would take away, in words."""
        twins = [f"index {twin.name} of {twin.table}" for twin in await self._twins(targets)]
        plain = [f"comment of ours on index {key.name}" for key in await self._keys_of(targets) if not key.deferrable]
        return twins + plain

    async def _keys(self, tables: Sequence[TableMap]) -> list[_Key]:
        return await self._keys_of(_own(tables))

    async def _keys_of(self, names: Sequence[str]) -> list[_Key]:
        twins = {(twin.table, twin.name): twin for twin in await self._twins(names)}
        with translated("reading the unique keys"):
            rows = await self._connection.fetch(_SQL["keys"], self._schema, names, STANDS_FOR)
        places = [(row["table"], _twin_name(row["table"], row["name"])) for row in rows]
        return [_Key(self._schema, twin=twins.get(place), **row) for place, row in zip(places, rows, strict=True)]

    async def _twins(self, names: Sequence[str]) -> list[_Twin]:
        with translated("reading the unique keys"):
            return [_Twin(*row) for row in await self._connection.fetch(_SQL["twins"], self._schema, names, TWIN)]

    async def _drop(self, twins: Iterable[_Twin]) -> None:
        with translated("dropping unique indexes"):
            for twin in twins:
                await self._connection.execute(f"DROP INDEX CONCURRENTLY {qualified(self._schema, twin.name)}")

    async def _alter(self, statements: Sequence[str]) -> None:
        """All in one way to the server and back; the caller's own limit for locks stands afterwards."""
        with translated("changing the unique keys"):
            limit = await self._connection.fetchval("SELECT current_setting('lock_timeout')")
            ours = f"SET LOCAL lock_timeout = {round(LOCK_SECONDS * 1000)}"
            theirs = f"SET LOCAL lock_timeout = {quote_literal(limit)}"
            await self._connection.execute(";\n".join([ours, *statements, theirs]))


def _own(tables: Sequence[TableMap]) -> list[str]:
    return [mapped.target for mapped in tables if not mapped.adopted]
