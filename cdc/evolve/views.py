"""Views are made in Postgres only where both databases were seen to answer alike, and dropped once they are outdated.

That can be seen when both hold the same state: at the end of the first copy, when Postgres holds the snapshot, and
later whenever the position is SQLite's newest entry. The answers are compared by `cdc.verify`'s forms, which share
nothing with the conversion that brought the rows.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from loguru import logger

from cdc.canonical.rules import form_of, reading_form, row_digest
from cdc.config import Config
from cdc.errors import SourceBusy, SourceError, SourceUnavailable
from cdc.facts.changes import Position
from cdc.facts.source_schema import SourceSchema
from cdc.facts.table_map import TableMap
from cdc.facts.values import Row
from cdc.postgres.connection.errors import translated
from cdc.postgres.ddl import views as target
from cdc.postgres.record.known_tables import known_targets, read_known_tables
from cdc.postgres.record.record import Record
from cdc.postgres.tables.hashed_rows import Sum
from cdc.postgres.tables.statement import EXISTS
from cdc.postgres.translate.views import TargetView, translate_views
from cdc.sqlite.changelog import positions, source, source_file
from cdc.sqlite.connection.open import open_copy
from cdc.sqlite.connection.transactions import journal_mode, read_transaction
from cdc.sqlite.schema.read import read_schema
from cdc.sqlite.schema.source_views import answer

PROOF_SECONDS: Final = 60.0  # for the answer of one view, in either database
ATTEMPTS: Final = 25  # to find Postgres where SQLite is, while a daemon runs
GAP_ATTEMPTS: Final = 4  # a daemon that opens a new session, as after CREATE VIEW, shows no sign of life in between
WAIT_SECONDS: Final = 0.2

Sums = Mapping[str, Sum | str]  # what SQLite answered by the view's name, or why it did not
_Ask = Callable[[str, float], Iterator[Row]]


# --- what SQLite answers ----------------------------------------------------------------------------------------------


def sums_of_copy(database: Path, views: Sequence[TargetView]) -> Sums:
    """What each view answers over a copy of the file, as count and hash of its rows, or why it has no answer."""
    connection = open_copy(database)
    try:
        return _sums(partial(answer, connection), views, PROOF_SECONDS)
    finally:
        connection.close()


def _sums(ask: _Ask, views: Sequence[TargetView], seconds: float) -> Sums:
    return {view.name: _sum(ask, view, seconds) for view in views}


def _sum(ask: _Ask, view: TargetView, seconds: float) -> Sum | str:
    try:
        return _total(ask(view.name, seconds), view)
    except (SourceBusy, SourceUnavailable):
        raise
    except SourceError as error:
        return error.message


def _total(rows: Iterable[Row], view: TargetView) -> Sum:
    forms = [
        reading_form(column.origin.mapped, column.origin.column, column.target)
        if column.origin
        else form_of(column.target)
        for column in view.columns
    ]
    count = combined = 0
    for row in rows:
        count += 1
        combined += int.from_bytes(row_digest(row, forms)[:8], "big", signed=True)
    return Sum(count, combined)


# --- making -----------------------------------------------------------------------------------------------------------


async def make(record: Record, views: Sequence[TargetView], sums: Sums) -> list[str]:
    """Make the views that Postgres answers as SQLite did, in one transaction; returns their names.

    Postgres must hold the state that answered. Why others are left out is told in the log and in the audit trail.
    """
    with translated("making views"):
        async with record.connection.transaction():
            outcomes = await _attempt_all(record, views, sums)
    return await _report(record, outcomes)


async def make_now(record: Record, config: Config) -> list[str]:
    """Make the views that Postgres lacks, if it holds what the file holds; returns their names.

    A daemon may run: it is waited for until Postgres is where SQLite is, for some seconds.
    """
    runs = False
    for attempt in range(ATTEMPTS):
        at, views, sums = await _ask_now(record, config)
        if not views:
            return []
        outcomes = await _attempt_at(record, at, views, sums)
        if outcomes is not None:
            return await _report(record, outcomes)
        runs = runs or await record.daemon_runs()
        if not runs and attempt >= GAP_ATTEMPTS:
            break
        await asyncio.sleep(WAIT_SECONDS)
    names = ", ".join(view.name for view in views)
    logger.bind(object=names).warning("views wait until Postgres has everything: then run `cdc schema` again")
    return []


async def _ask_now(record: Record, config: Config) -> tuple[Position, Sequence[TargetView], Sums]:
    """The views that are not there, what the file answers, and the newest entry in the same snapshot of it."""
    known_tables = await read_known_tables(record, config)
    marks = await target.marks(record.connection, config.target.schema, sorted(known_tables.targets))

    def ask() -> tuple[Position, Sequence[TargetView], Sums]:
        with source_file.opened(config) as live:
            wal = journal_mode(live) == source.WAL
            with read_transaction(live):
                schema = read_schema(live, config)
                fed = known_tables.current(schema, config).fed
                views = translate_views(schema.views, fed, config.target.schema).translated
                missing = [view for view in views if view.mark != marks.get(view.name)]
                # Without WAL, commits of the application wait for as long as all of these take together.
                pause = config.snapshot.max_writer_pause_seconds / max(1, len(missing))
                sums = _sums(partial(answer, live), missing, PROOF_SECONDS if wal else pause)
                return positions.newest(live) or Position(0, ""), missing, sums

    return await asyncio.to_thread(ask)


async def _attempt_at(
    record: Record, at: Position, views: Sequence[TargetView], sums: Sums
) -> dict[str, str | None] | None:
    """None when Postgres is elsewhere than at that position, or waits for whole tables."""
    with translated("making views"):
        # One snapshot, while a daemon goes on: the position that is read is that of the rows which answer.
        async with record.connection.transaction(isolation="repeatable_read"):
            state = await record.stream.read()
            if state is None or state.position != at or state.resync or state.finish_after_resync:
                return None
            return await _attempt_all(record, views, sums)


async def _attempt_all(record: Record, views: Sequence[TargetView], sums: Sums) -> dict[str, str | None]:
    connection, quarantined = record.connection, await record.quarantine.tables()
    outcomes: dict[str, str | None] = {}
    for view in views:
        reason = _unprovable(view, quarantined, outcomes)
        if reason is None:
            total = sums[view.name]
            reason = total if isinstance(total, str) else await target.attempt(connection, view, total, PROOF_SECONDS)
        if reason != EXISTS:
            outcomes[view.name] = reason
    return outcomes


def _unprovable(view: TargetView, held: frozenset[str], outcomes: Mapping[str, str | None]) -> str | None:
    """Why the answers of a view cannot be compared."""
    waiting = sorted(view.tables & held)
    if waiting:
        return f"rows that it reads are in quarantine: {', '.join(waiting)}"
    refused = sorted(name for name in view.views if outcomes.get(name))
    return f"it reads views that are left out: {', '.join(refused)}" if refused else None


async def _report(record: Record, outcomes: Mapping[str, str | None]) -> list[str]:
    await target.tell(record, outcomes)
    for name, reason in outcomes.items():
        if reason is None:
            logger.bind(object=name).info("made a view")
        else:
            logger.bind(object=name, reason=reason).warning("a view was left out")
    return [name for name, reason in outcomes.items() if reason is None]


# --- dropping ---------------------------------------------------------------------------------------------------------


async def drop_outdated(record: Record, config: Config, schema: SourceSchema, maps: Sequence[TableMap]) -> None:
    """Drop views of ours that are not those which the file has now; one that others need stays, and is told."""
    targets = await known_targets(record, config)
    if not await target.marks(record.connection, config.target.schema, targets):
        return
    views = translate_views(schema.views, maps, config.target.schema).translated
    outcomes = await target.drop_outdated(record, config.target.schema, views, targets)
    for name, reason in outcomes.items():
        if reason is None:
            logger.bind(object=name).warning("dropped an outdated view; `cdc schema` makes the one that SQLite has now")
        else:
            logger.bind(object=name, reason=reason).warning("an outdated view stays, for other objects depend on it")
