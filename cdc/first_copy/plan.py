"""What will be created and what will not fit, as one object: the preflight report behind `cdc plan`.

A pure function over facts; nothing is read and nothing is printed here.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cdc.errors import ExitCode
from cdc.facts.cause import Cause
from cdc.facts.profile import ColumnProfile, TableProfile
from cdc.facts.proposal import Proposal
from cdc.facts.risk import LEVELS, Risk
from cdc.facts.source_schema import LeftOut, SourceSchema, WaitingTable
from cdc.facts.table_map import TableMap, ValueRules
from cdc.first_copy.causes import causes
from cdc.first_copy.dry_run import NOT_REHEARSED, Rehearsal
from cdc.first_copy.risks import kept_out, risks
from cdc.mapping.reversible import WayBack, way_back
from cdc.mapping.revision import Revision
from cdc.mapping.type_names import reading_of
from cdc.postgres.tables.statement import Deviation, Made, Script, Statement
from cdc.postgres.translate.views import Views


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One column on its way; `source` is the SQLite expression where the column is none of the table's own.

    `reading` is what the operator chose for its values. `holds` is what the data really is, None when nothing was
    looked at.
    """

    source: str
    declared_type: str
    target: str
    type: str
    key: bool
    literal: bool
    reading: ValueRules
    holds: ColumnProfile | None


@dataclass(frozen=True, slots=True)
class TablePlan:
    """One table on its way, and how well its mapping can be reversed.

    `rows` is None when nothing was counted; `creates` names constraints and indexes.
    """

    source: str
    schema: str
    target: str
    key: tuple[str, ...]
    key_kind: str
    columns: tuple[ColumnPlan, ...]
    creates: tuple[tuple[str, str], ...]
    rows: int | None
    way_back: WayBack


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole report. `views` are made after the first copy, if they then answer as in SQLite; `left_out` are objects
    of the file, `notes` parts of tables that the target does not have. `waiting` tables are wanted, and cannot be
    copied as they are. `causes` are what there is to decide, mere choices last, and `held` the rows that go to
    quarantine until then; `proposals` are lines of configuration that the data speak for. `pending` are columns of a
    file that is followed which the daemon has yet to map otherwise. Of a file that was copied, where Postgres did not
    answer, all of it is of a snapshot `instead`: when that was taken, in ISO 8601; empty otherwise.
    """

    tables: tuple[TablePlan, ...]
    views: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[Deviation, ...]
    risks: tuple[Risk, ...]
    waiting: tuple[WaitingTable, ...] = ()
    causes: tuple[Cause, ...] = ()
    held: int = 0
    proposals: tuple[Proposal, ...] = ()
    pending: tuple[Revision, ...] = ()
    instead: str = ""

    @property
    def blocks(self) -> tuple[Risk, ...]:
        """The risks that stop the first copy."""
        return tuple(r for r in self.risks if r.level == "blocks")

    @property
    def decisions(self) -> tuple[Cause, ...]:
        """The causes without mere choices: what is wrong until somebody decides."""
        return tuple(cause for cause in self.causes if cause.kind != "choice")

    @property
    def exit_code(self) -> ExitCode:
        """0 when every row fits, 1 when some will not or tables wait, 2 when the copy cannot begin."""
        if self.blocks or not self.tables:
            return ExitCode.CRITICAL
        kept_out = any(r.level == "quarantine" for r in self.risks)
        return ExitCode.DIFFERENCE if kept_out or self.waiting else ExitCode.OK

    @property
    def counts(self) -> dict[str, int]:
        """How many tables, columns, rows, created objects and risks of each level there are."""
        levels: dict[str, int] = {level: sum(r.level == level for r in self.risks) for level in LEVELS}
        return {
            "tables": len(self.tables),
            "columns": sum(len(t.columns) for t in self.tables),
            "rows": sum(t.rows or 0 for t in self.tables),
            "creates": sum(len(t.creates) for t in self.tables),
            "views": len(self.views),
            "left_out": len(self.left_out) + len(self.notes),
            "waiting": len(self.waiting),
            "held": self.held,
            "causes": len(self.decisions),
            **levels,
        }

    def to_json(self) -> dict[str, Any]:
        """The report as plain dicts and lists, its keys a contract."""
        return {
            "tables": [_table_json(t) for t in self.tables],
            "views": list(self.views),
            "left_out": [asdict(omitted) for omitted in self.left_out],
            "waiting": [asdict(table) for table in self.waiting],
            "snapshot_instead": self.instead or None,
            "pending": [revision.to_json() for revision in self.pending],
            "notes": [asdict(note) for note in self.notes],
            "risks": [asdict(risk) for risk in self.risks],
            "proposals": [{**asdict(p), "lines": dict(p.lines)} for p in self.proposals],
            "causes": [{**asdict(cause), "rows": cause.rows} for cause in self.causes],
            "counts": self.counts,
            "exit_code": int(self.exit_code),
        }


@dataclass(frozen=True, slots=True)
class DataLook:
    """What the data say: `profiles` by source name, what became of every row, `risks` beyond these, and proposals."""

    profiles: Mapping[str, TableProfile] = field(default_factory=dict)
    rehearsal: Rehearsal = NOT_REHEARSED
    risks: Sequence[Risk] = ()
    proposals: Sequence[Proposal] = ()


def make_plan(
    schema: SourceSchema, maps: Sequence[TableMap], script: Script, views: Views, data: DataLook | None = None
) -> Plan:
    """The report over a schema with its maps, script and views, and over its data where somebody looked at them."""
    data = data or DataLook()
    profiles, rehearsal = data.profiles, data.rehearsal
    findings = [
        *data.risks,
        *kept_out(rehearsal),
        *(risk for m in maps for risk in risks(m.source, m, profiles.get(m.source.name))),
    ]
    after_load: defaultdict[str, list[Statement]] = defaultdict(list)
    for statement in script.after_load:
        after_load[statement.table].append(statement)
    return Plan(
        tables=tuple(_table(m, after_load[m.target], profiles.get(m.source.name)) for m in maps),
        views=tuple(view.name for view in views.translated),
        left_out=tuple(sorted((*schema.left_out, *views.left_out), key=lambda omitted: omitted.name)),
        notes=script.notes,
        risks=tuple(sorted(findings, key=lambda risk: LEVELS.index(risk.level))),
        waiting=schema.waiting,
        causes=causes(findings, schema.waiting, rehearsal.frees, data.proposals),
        held=rehearsal.held,
        proposals=tuple(data.proposals),
    )


def _table(mapped: TableMap, after_load: Sequence[Statement], profile: TableProfile | None) -> TablePlan:
    kinds = (Made.CONSTRAINT, Made.CHECK, Made.INDEX, Made.FOREIGN_KEY)
    return TablePlan(
        source=mapped.source.name,
        schema=mapped.schema,
        target=mapped.target,
        key=mapped.key,
        key_kind=mapped.source.key.kind.value,
        columns=tuple(_columns(mapped, profile)),
        creates=tuple((s.kind.value, s.object) for s in after_load if s.kind in kinds),
        rows=profile.rows if profile else None,
        way_back=way_back(mapped),
    )


def _columns(mapped: TableMap, profile: TableProfile | None) -> Iterable[ColumnPlan]:
    for column in mapped.columns:
        declared = mapped.source.column(column.source).declared_type if column.source else ""
        yield ColumnPlan(
            source=column.source or (column.function.told_as if column.function else column.expression),
            declared_type=declared,
            target=column.target,
            type=column.type,
            key=column.target in mapped.key,
            literal=column.literal,
            reading=reading_of(mapped, column),
            holds=profile.column(column.source) if profile and column.source else None,
        )


def _table_json(table: TablePlan) -> dict[str, Any]:
    creates = [{"kind": kind, "name": name} for kind, name in table.creates]
    return {**asdict(table), "key": list(table.key), "columns": [asdict(c) for c in table.columns], "creates": creates}
