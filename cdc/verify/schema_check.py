"""The schema of the targets, compared with what the DDL of today would make while nothing of it is under way.

What the application changes reaches Postgres a moment later. So it is judged only when the stream has settled on the
very schema that the file has, before and after Postgres was read: what is otherwise then, somebody else made so.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.config import Config
from cdc.facts.schema_finding import SchemaFinding
from cdc.facts.side import Side
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import ObjectPlace, SchemaObject, TargetTable
from cdc.mapping.adoption import Adopted
from cdc.mapping.adoption import compare as compare_adopted
from cdc.postgres.ddl import views
from cdc.postgres.ddl.trial import expected_objects
from cdc.postgres.record import own_schema
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.tables.catalogue import read_objects, read_tables
from cdc.postgres.tables.hashed_rows import snapshot
from cdc.postgres.tables.sequences import NextNumber, next_numbers, sequences_of
from cdc.postgres.translate.views import TargetView, translate_views
from cdc.sql_names import qualified, quote, quote_literal
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.source_file import Look
from cdc.threads import to_its_end
from cdc.verify.schema_parity import MAKE, NOTHING, added, compare

QUIET_SECONDS: Final = 5.0  # the daemon moves sequences in pauses; ten times as long as it waits for one
ATTEMPTS: Final = 50  # for the daemon to follow what the application changed
WAIT_SECONDS: Final = 0.2

_Expected = dict[ObjectPlace, SchemaObject]
_Judged = tuple[list[SchemaFinding], list[str]]  # with notes


@dataclass(frozen=True, slots=True)
class SchemaReport:
    """What differs, of the source tables `tables`; `notes` are worth knowing, and no difference."""

    tables: tuple[str, ...]
    findings: tuple[SchemaFinding, ...]
    notes: tuple[str, ...] = ()


class SchemaCheck:
    """Compares the schema of one source's targets, as often as it is asked; what was tried once is remembered."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._schema = config.target.schema
        self._tried: tuple[tuple[TableMap, ...], _Expected] | None = None

    async def settled(self, record: Record) -> SchemaReport | None:
        """As `look`, but waits some seconds for a daemon that follows a change of the file."""
        for _ in range(ATTEMPTS):
            if report := await self.look(record):
                return report
            if not await record.daemon_runs():
                break
            await asyncio.sleep(WAIT_SECONDS)
        return None

    async def look(self, record: Record) -> SchemaReport | None:
        """What differs now; None while Postgres is not yet, or no more, where the file is."""
        look = await to_its_end(source_file.look, self._config)
        if not await _follows(record, look):
            return None
        maps = (await current_tables(record, self._config, look.schema)).fed
        expected = await self._expected(record, maps)
        newest, marks = await to_its_end(source_file.high_water, self._config, maps)
        async with snapshot(record.connection):
            # Asked again: in this snapshot it is what everything else is judged by.
            if not await _follows(record, look):
                return None
            state = await record.stream.read()
            is_caught_up = state is not None and state.position == newest
            # Once applications write to Postgres, their triggers are to fire.
            replicated = state is None or state.phase.active is Side.SQLITE
            report = await self._compare(record, look, maps, expected, marks if is_caught_up else {}, replicated)
        if await to_its_end(source_file.schema_version, self._config) != look.signature.schema_version:
            return None
        return report

    async def _expected(self, record: Record, maps: tuple[TableMap, ...]) -> _Expected:
        if self._tried is None or self._tried[0] != maps:
            self._tried = maps, await expected_objects(record.connection, maps)
        return self._tried[1]

    async def _compare(
        self,
        record: Record,
        look: Look,
        maps: Sequence[TableMap],
        expected: _Expected,
        marks: Mapping[str, int],
        replicated: bool,
    ) -> SchemaReport:
        names = [m.target for m in maps]
        actual = await read_objects(record.connection, self._schema, names)
        targets = await read_tables(record.connection, self._schema, names)
        behind, notes = await self._sequences(record, [m for m in maps if m.target in targets], marks)
        findings = [
            *compare(maps, expected, actual, await record.left_out.read()),
            *_unfit(
                maps, Adopted(targets, {}, "replace", sequences=await sequences_of(record.connection, self._schema))
            ),
            *(finding for m in maps if (there := targets.get(m.target)) for finding in _bending(m, there, replicated)),
            *await self._views(record, look, maps),
            *behind,
        ]
        order = {m.source.name: n for n, m in enumerate(maps)}
        findings.sort(key=lambda finding: order.get(finding.table, len(order)))
        notes += await self._notes(record, names)
        if theirs := added(maps, expected, actual):
            notes.append(f"constraints that somebody added, which may keep rows out: {', '.join(theirs)}")
        return SchemaReport(tuple(m.source.name for m in maps), tuple(findings), tuple(notes))

    async def _views(self, record: Record, look: Look, maps: Sequence[TableMap]) -> list[SchemaFinding]:
        made = await record.made_views.read()
        wanted = [v for v in translate_views(look.schema.views, maps, self._schema).translated if v.name in made]
        if not wanted:
            return []
        present = await views.marks(record.connection, self._schema, [m.target for m in maps])
        missing = [_view(view, "a view", NOTHING, MAKE) for view in wanted if view.name not in present]
        errors = [
            (v, await views.error_of(record.connection, self._schema, v.name)) for v in wanted if v.name in present
        ]
        remedy = "DROP VIEW {}; then `cdc schema` makes it"
        return missing + [
            _view(view, "an answer", error, remedy.format(qualified(self._schema, view.name)))
            for view, error in errors
            if error
        ]

    async def _sequences(self, record: Record, maps: Sequence[TableMap], marks: Mapping[str, int]) -> _Judged:
        """Only when both hold the same. The daemon moves them in its pauses: until it had one, or runs, they lag."""
        keyed = [m for m in maps if m.source.name in marks]
        runs = await record.daemon_runs()
        if not keyed or (runs and not await record.stream.is_quiet(QUIET_SECONDS)):
            return [], []
        numbers = await next_numbers(record.connection, keyed)
        behind = [finding for number in numbers for finding in _behind(number, marks[number.mapped.source.name])]
        if runs or not behind:
            return behind, []
        names = ", ".join(finding.name for finding in behind)
        return [], [f"sequences that stay behind until a daemon moves them, as `cdc run --until-idle` does: {names}"]

    async def _notes(self, record: Record, names: Sequence[str]) -> list[str]:
        ours = await record.disabled_triggers.recorded(self._schema)
        still = await own_schema.disabled_triggers(record.connection, self._schema, names)
        by_us = sorted(set(still) & {f"{trigger} of {table}" for table, trigger in ours})
        by_others = sorted(set(still) - set(by_us))
        notes = [f"triggers that do not fire while rows are replicated: {', '.join(by_us)}"] if by_us else []
        return notes + ([f"triggers that somebody else disabled: {', '.join(by_others)}"] if by_others else [])


async def compare_schema(
    record: Record, config: Config, tables: Sequence[str]
) -> tuple[tuple[SchemaFinding, ...], tuple[str, ...]]:
    """What the targets of some source tables have otherwise than they should, and what is worth knowing.

    It is kept for the status. While the daemon has something to follow, nothing is found; a note says so.
    """
    await own_schema.create(record.connection)
    report = await SchemaCheck(config).settled(record)
    if report is None:
        return (), ("the schema was not compared: the application changed its own, and `cdc run` has yet to follow",)
    findings = tuple(finding for finding in report.findings if finding.table in tables)
    await record.schema_findings.store(findings, tables, report.tables)
    return findings, report.notes


async def _follows(record: Record, look: Look) -> bool:
    """Whether the stream has settled on the schema that the file had at this look, with nothing left to make."""
    state = await record.stream.read()
    return (
        state is not None
        and state.schema_version == look.counter
        and not state.resync
        and not state.finish_after_resync
    )


def _unfit(maps: Sequence[TableMap], adopted: Adopted) -> Iterator[SchemaFinding]:
    """What keeps a table that others made from taking rows, in the words of `cdc plan`."""
    for risk in compare_adopted(maps, adopted):
        if risk.level == "blocks":
            kind = "column" if risk.column else "table"
            yield SchemaFinding(risk.table, kind, risk.column, "what the mapping needs", risk.text, risk.remedy)


def _bending(mapped: TableMap, there: TargetTable, replicated: bool) -> Iterator[SchemaFinding]:
    """What would change or hide the rows that are written."""
    name, table = mapped.source.name, qualified(there.schema, there.name)
    for trigger in there.user_triggers if replicated else ():
        drop = f"DROP TRIGGER {quote(trigger)} ON {table}"
        remedy = f"start the daemon again, which disables it and remembers that it did; or {drop}"
        yield SchemaFinding(name, "trigger", trigger, "not to fire while rows are replicated", "it fires", remedy)
    for rule in () if mapped.adopted else there.rules:
        remedy = f"DROP RULE {quote(rule)} ON {table}"
        yield SchemaFinding(name, "rule", rule, NOTHING, "it rewrites what is written", remedy)
    if there.row_security and not mapped.adopted:
        remedy = f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
        yield SchemaFinding(name, "row level security", "", NOTHING, "it filters what our role sees and writes", remedy)


def _view(view: TargetView, expected: str, actual: str, remedy: str) -> SchemaFinding:
    """A view belongs to no one table; the first that it reads stands for it."""
    return SchemaFinding(min(view.tables, default=view.name), "view", view.name, expected, actual, remedy)


def _behind(number: NextNumber, mark: int) -> Iterator[SchemaFinding]:
    """The application would get a number that is taken, if it went on in Postgres now."""
    largest = max(mark, number.largest)
    if number.next > largest or largest >= number.most:
        return
    remedy = f"SELECT setval({quote_literal(number.sequence)}, {largest}); the daemon does it with the next change too"
    expected, actual = f"a next number over {largest}", f"{number.next} comes next"
    yield SchemaFinding(number.mapped.source.name, "sequence", number.sequence, expected, actual, remedy)
