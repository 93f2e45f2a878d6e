"""What accepting the file as it is now would do to Postgres, found out before anything is accepted.

Compared by the means of `cdc verify`, which share nothing with what moves rows.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from cdc import bootstrap, removal
from cdc.config import Config
from cdc.decisions import map_known, with_leftovers
from cdc.errors import CdcError
from cdc.model import Progress, TableMap
from cdc.parity.comparison import Comparison
from cdc.parity.forms import Canonical
from cdc.postgres import pending, quarantine
from cdc.postgres.canon import TargetRows, snapshot
from cdc.postgres.catalogue import read_tables
from cdc.postgres.connection import Connection, lock_source
from cdc.postgres.position import StreamState
from cdc.postgres.target import connected
from cdc.sqlite import source as sqlite
from cdc.sqlite.canon import Logged, Reader
from cdc.sqlite.scratch import Scratch
from cdc.sqlite.source import Look

LIMIT_ROWS: Final = 100  # of a table that may be deleted or changed without a question
LIMIT_SHARE: Final = 0.01  # or this part of it, whichever is more


@dataclass(frozen=True, slots=True)
class Change:
    """What would become of a table's rows in Postgres; `problem` is why that is not known."""

    table: str
    held: int = 0
    added: int = 0
    changed: int = 0
    deleted: int = 0
    problem: str | None = None

    @property
    def replaced(self) -> int:
        """Rows of Postgres that would not be there any more as they are."""
        return self.changed + self.deleted

    @property
    def much(self) -> bool:
        """Whether so much would be replaced that somebody should say yes."""
        return self.replaced > max(LIMIT_ROWS, LIMIT_SHARE * self.held)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The changes by table. `ended` says that replication was ended on purpose, `installed` that capture was put in."""

    tables: tuple[Change, ...]
    ended: bool
    installed: bool

    @property
    def asks(self) -> bool:
        """Whether somebody should say yes: to much, and to anything where Postgres may have become the truth."""
        return any(t.much or (self.ended and (t.replaced or t.added)) for t in self.tables)


async def foresee(config: Config, progress: Progress) -> Foreseen:
    """Compare the file with what Postgres holds; the daemon must not run. Raises errors of either database.

    Capture is in the file afterwards, because what is written meanwhile has to be known; `withdraw` takes it out again.
    """
    before, schema = await asyncio.to_thread(sqlite.whose, config)
    async with connected(config, "resync") as connection:
        found, state = await bootstrap.followed(connection, config, before, schema)
        await lock_source(connection, found)
        installed = await asyncio.to_thread(sqlite.install, config)
        ended = state.ended_at is not None or (before is None and removal.read(config) is not None)
        seen = Foreseen((), ended, before is None)
        try:
            tables = await _compare(connection, config, installed, (found, state), progress)
        except BaseException:
            await asyncio.to_thread(withdraw, config, seen)
            raise
    return Foreseen(tables, seen.ended, seen.installed)


def withdraw(config: Config, seen: Foreseen) -> None:
    """It is not to be done: the file is left as it was found."""
    if seen.installed:
        with suppress(CdcError):  # it stays: capture that nobody reads is found by the next command
            bootstrap.remove_capture(config)


async def _compare(
    connection: Connection, config: Config, look: Look, stream: tuple[str, StreamState], progress: Progress
) -> tuple[Change, ...]:
    source_id, state = stream
    assert look.newest is not None
    known = with_leftovers(state.columns, await pending.read(connection, source_id))
    maps = map_known(look.schema, config, known)
    scratch = await asyncio.to_thread(Scratch, config.state.dir)
    try:
        reader = await asyncio.to_thread(Reader, config, look, maps, look.newest)
        try:
            async with snapshot(connection):
                found = await _begin(connection, config, source_id, maps, reader, scratch)
                for compared in found.values():
                    progress.start(f"comparing {compared.name}", None)
                    await compared.run(progress.advance)
                    progress.finish()
            await asyncio.to_thread(reader.news, lambda entries: _note(found, entries))
        finally:
            reader.close()
        for name in found:
            scratch.withdraw_flying(name)
        return tuple(_change(m.source.name, found.get(m.source.name)) for m in maps)
    finally:
        scratch.close()


async def _begin(
    connection: Connection,
    config: Config,
    source_id: str,
    maps: Sequence[TableMap],
    reader: Reader,
    scratch: Scratch,
) -> dict[str, Comparison]:
    """The comparisons of tables that can be compared."""
    targets = await read_tables(connection, config.target.schema, [m.target for m in maps])
    held = await quarantine.keys_of(connection, source_id, None)
    found = {}
    for mapped in maps:
        target = targets.get(mapped.target)
        if target is None or (canonical := Canonical(mapped, target)).missing:
            continue
        rows = TargetRows(connection, source_id, mapped, target)
        made = found[mapped.source.name] = Comparison(reader, scratch, mapped, canonical, rows)
        await asyncio.to_thread(made.know, held.get(mapped.source.name, []))
    return found


def _note(found: dict[str, Comparison], entries: list[Logged]) -> None:
    for name, compared in found.items():
        compared.note(entry for entry in entries if entry.table == name)


def _change(name: str, compared: Comparison | None) -> Change:
    if compared is None:
        return Change(name, problem="it is not as it should be in Postgres: the daemon sees to that first")
    report = compared.report()
    held = report.matched + report.different + report.extra
    return Change(name, held, report.missing, report.different, report.extra)
