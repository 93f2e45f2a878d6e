"""`cdc verify`: the tables that are wanted are compared, and the result is recorded."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cdc.config import Config
from cdc.errors import TargetError, UsageError
from cdc.facts.progress import Progress
from cdc.facts.side import Side
from cdc.facts.table_map import TableMap
from cdc.identity.active_side import refuse_finalized, require_sqlite_active
from cdc.mapping.known import CurrentTables
from cdc.mapping.names import same
from cdc.mapping.reversible import carried_back
from cdc.notes import end_note
from cdc.postgres.record import stream_row
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.retry import retrying
from cdc.sqlite.capture.triggers import Capture
from cdc.sqlite.changelog import source_file as sqlite
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.connection.verify_scratch import Scratch
from cdc.verify.compare_back import ReturningComparison
from cdc.verify.compare_tables import JointComparison
from cdc.verify.expectations import ask_both
from cdc.verify.remembered_sums import RememberedSums
from cdc.verify.repair import NOTHING, Consent, ExtraRows, Repair
from cdc.verify.report import TableReport, VerifyReport
from cdc.verify.schema_check import compare_schema

ATTEMPTS: Final = 3  # a comparison that pruning overtook begins again


def leave(_: Sequence[ExtraRows]) -> bool:
    """The consent of nobody: rows that only Postgres has are left there."""
    return False


async def verify(
    config: Config,
    tables: Sequence[str] | None,
    repair: bool,
    progress: Progress,
    consent: Consent = leave,
    *,
    trust_changelog: bool = False,
) -> VerifyReport:
    """Compare the tables of these names, or all, and record the result in Postgres.

    With `repair`, keys that differ are entered into the changelog again, so that the daemon moves them; those that only
    Postgres has, if `consent` says so, for they are deleted there. With `trust_changelog`, SQLite is not read of tables
    of which nothing was logged since their last comparison. Raises `UsageError` for a table that is not
    replicated, and errors of either database.
    """

    async def once() -> VerifyReport:
        return await _verify(config, tables, consent if repair else None, progress, trust_changelog)

    return await retrying(once, attempts=ATTEMPTS)


async def _verify(
    config: Config, tables: Sequence[str] | None, consent: Consent | None, progress: Progress, trust_changelog: bool
) -> VerifyReport:
    refuse_finalized(config)
    started = datetime.now(UTC)
    look, capture = await asyncio.to_thread(_captured, config)
    async with connected(config, "verify") as connection:
        record = Record(connection, capture.source_id)
        state = await record.stream.read()
        if state is None or state.position is None:
            raise stream_row.never_loaded()
        refuse_finalized(config, state)
        if consent:
            await require_sqlite_active(config, state)
        now = await current_tables(record, config, look.schema)
        held = _held(look, now, tables)
        chosen = _chosen(now.fed, tables, held)
        scratch = await asyncio.to_thread(Scratch, config.state.dir)
        try:
            back = state.phase.active is Side.POSTGRES
            comparable = _comparable(chosen, state.phase.active)
            run = (
                ReturningComparison(record, config, look, comparable, scratch, state.position)
                if back
                else JointComparison(
                    record,
                    config,
                    look,
                    comparable,
                    scratch,
                    sums=RememberedSums(record, look, trusted=trust_changelog),
                )
            )
            found = _in_order(look, (*await run.compare(progress), *held))
            repaired = await Repair(record, config, scratch, run.compared).run(consent) if consent else NOTHING
        finally:
            scratch.close()
        answers = await ask_both(record, config) if tables is None else ()
        schema, notes = await compare_schema(record, config, [m.source.name for m in chosen])
        report = VerifyReport(
            started_at=started,
            finished_at=datetime.now(UTC),
            position=run.position or state.position,
            tables=found,
            repair=repaired,
            problems=() if back else _problems(look),  # nothing is captured where nobody writes
            answers=answers,
            skipped=_skipped(config, chosen),
            again=run.again,
            schema=schema,
            notes=notes,
            leads=state.phase.active,
        )
        await record.verifications.record(report.as_verification(complete=len(chosen) == len(now.fed)))
        if isinstance(run, JointComparison):
            await run.keep_sums()
    return report


def _captured(config: Config) -> tuple[Look, Capture]:
    look = sqlite.look(config)
    if look.capture is None:
        if note := end_note.read(config):
            raise end_note.ended(config, note.since)
        raise TargetError(
            f"{config.source.path} carries no capture, so it cannot be said which state of it Postgres should show",
            remedy="see `cdc status`: it was never set up, or was replaced or restored",
        )
    return look, look.capture


def _held(look: Look, now: CurrentTables, tables: Sequence[str] | None) -> tuple[TableReport, ...]:
    """What is said of tables that wait: nobody knows whether Postgres holds what they hold."""
    rekeyed = "its key is another now: the copy in Postgres stays as it was until `cdc schema --apply-pending`"
    problems = {w.name: f"it waits: {w.reason}; {w.remedy}" for w in look.schema.waiting}
    problems |= {m.source.name: rekeyed for m in now.rekeyed}
    wanted = None if tables is None else {name.lower() for name in tables}
    return tuple(
        TableReport(name, problem=why) for name, why in problems.items() if wanted is None or name.lower() in wanted
    )


def _in_order(look: Look, reports: Sequence[TableReport]) -> tuple[TableReport, ...]:
    """The tables as the file has them, and those that cannot be read at the end."""
    place = {table.name: n for n, table in enumerate(look.schema.tables)}
    return tuple(sorted(reports, key=lambda report: place.get(report.table, len(place))))


def _chosen(
    maps: Sequence[TableMap], tables: Sequence[str] | None, held: Sequence[TableReport]
) -> tuple[TableMap, ...]:
    if tables is None:
        return tuple(maps)
    known = {m.source.name.lower(): m for m in maps}
    waiting = {report.table.lower() for report in held}
    for name in tables:
        if name.lower() not in known.keys() | waiting:
            raise UsageError(f"table {name} is not replicated", remedy="see the tables with `cdc plan`")
    return tuple(known[name.lower()] for name in dict.fromkeys(tables) if name.lower() in known)


def _comparable(maps: Sequence[TableMap], active: Side) -> tuple[TableMap, ...]:
    """What must be alike: columns that are computed for Postgres are the application's while it writes there."""
    return tuple(maps) if active is Side.SQLITE else tuple(map(carried_back, maps))


def _skipped(config: Config, maps: Sequence[TableMap]) -> tuple[str, ...]:
    """Columns of these tables that Postgres does not get, as `table.column`."""
    return tuple(
        f"{mapped.source.name}.{column.name}"
        for mapped in maps
        for column in mapped.source.columns
        if any(same(column.name, name) for name in config.options(mapped.source.name).skip)
    )


def _problems(look: Look) -> tuple[str, ...]:
    told = "capture of table {} is not whole: changes may go unseen until `cdc run` mends it"
    return tuple(told.format(name) for name in look.damaged)
