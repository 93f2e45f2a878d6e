"""What a comparison found: counts and keys, never values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cdc.errors import ExitCode
from cdc.facts.changes import Position
from cdc.facts.row_key import show_key
from cdc.facts.schema_finding import SchemaFinding
from cdc.facts.side import Side
from cdc.facts.values import Failed, InvalidText, NullKey, Value
from cdc.postgres.record.verification import CRITICAL, DIFFERENT, EQUAL, Verification
from cdc.verify.expectations import Answered, unmet
from cdc.verify.recurrence import Recurrence
from cdc.verify.repair import NOTHING, Repaired

SAMPLE_KEYS: Final = 20


@dataclass(frozen=True, slots=True)
class ColumnDifference:
    """A column of a row that differs: its name in Postgres, what SQLite has, and what Postgres shows."""

    column: str
    source: Value
    target: str | None


@dataclass(frozen=True, slots=True)
class TableReport:
    """One table: rows that agree, keys that do not, and keys that could not be judged.

    `different` rows have other values in Postgres, `missing` are in SQLite only, `extra` in Postgres only. `pending`
    keys changed after the compared position and Postgres had not passed them. `quarantined` rows are known not to be in
    Postgres, and of `uncarried` ones that SQLite cannot hold them. The sample keys are encoded
    (`cdc.facts.row_key.encode_key`), by kind; `columns` says of different ones in which columns they are. `problem` is
    why nothing could be compared. Where SQLite was not read, for nothing was logged since it was, `summed_at` is when.
    """

    table: str
    matched: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0
    pending: int = 0
    quarantined: int = 0
    uncarried: int = 0
    samples: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, list[ColumnDifference]] = field(default_factory=dict)
    problem: str | None = None
    summed_at: datetime | None = None

    @property
    def differences(self) -> int:
        """Keys that are certainly not as they should be."""
        return self.different + self.missing + self.extra

    def to_json(self, *, values: bool = False) -> dict[str, Any]:
        """The stable form for programs; with `values`, what both sides have in columns that differ."""
        return {
            "table": self.table,
            "matched": self.matched,
            "different": self.different,
            "missing": self.missing,
            "extra": self.extra,
            "pending": self.pending,
            "quarantined": self.quarantined,
            "uncarried": self.uncarried,
            "columns": {
                show_key(key): [_column_json(found, values=values) for found in differences]
                for key, differences in self.columns.items()
            },
            "sample_keys": {kind: [show_key(key) for key in keys] for kind, keys in self.samples.items()},
            "problem": self.problem,
            "source_read_at": self.summed_at.isoformat() if self.summed_at else None,
        }


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Both databases compared at one position. `repair` says which keys were logged again.

    `schema` is what the targets have otherwise than they should, `notes` what is worth knowing of them.
    `answers` are those to the operator's own questions, asked when all tables are compared. `skipped` are columns
    (`table.column`) that Postgres does not get because the configuration says so. `again` tells by table of rows that
    were repaired before and differ again. `leads` is the side that applications write to.
    """

    started_at: datetime
    finished_at: datetime
    position: Position
    tables: tuple[TableReport, ...]
    repair: Repaired = NOTHING
    problems: tuple[str, ...] = ()
    answers: tuple[Answered, ...] = ()
    skipped: tuple[str, ...] = ()
    again: Mapping[str, Recurrence] = field(default_factory=dict)
    schema: tuple[SchemaFinding, ...] = ()
    notes: tuple[str, ...] = ()
    leads: Side = Side.SQLITE

    @property
    def repaired(self) -> int:
        """Keys that were logged again."""
        return self.repair.keys

    @property
    def differences(self) -> int:
        """Keys that are certainly not as they should be, in all tables."""
        return sum(t.differences for t in self.tables)

    @property
    def pending(self) -> int:
        """Keys that could not be judged because they were still on their way."""
        return sum(t.pending for t in self.tables)

    @property
    def quarantined(self) -> int:
        """Rows of SQLite that wait in quarantine, so that Postgres does not hold them."""
        return sum(t.quarantined for t in self.tables)

    @property
    def uncarried(self) -> int:
        """Rows of Postgres that SQLite cannot hold."""
        return sum(t.uncarried for t in self.tables)

    @property
    def result(self) -> str:
        """`equal`, `different` or `critical`; keys that are still on their way make no difference."""
        return DIFFERENT if self.schema and self.rows_result == EQUAL else self.rows_result

    @property
    def rows_result(self) -> str:
        """The same without the schema, whose findings are kept by themselves."""
        if self.problems or any(t.problem for t in self.tables):
            return CRITICAL
        return DIFFERENT if self.differences or unmet(self.answers) else EQUAL

    @property
    def exit_code(self) -> ExitCode:
        """0 equal, 1 differences, 2 a table could not be compared or capture is not whole."""
        return {EQUAL: ExitCode.OK, DIFFERENT: ExitCode.DIFFERENCE, CRITICAL: ExitCode.CRITICAL}[self.result]

    def as_verification(self, *, complete: bool) -> Verification:
        """The comparison as it is kept; `complete` says that it was of all tables."""
        return Verification(
            started_at=self.started_at,
            finished_at=self.finished_at,
            seq=self.position.seq,
            tables=len(self.tables),
            complete=complete,
            matched=sum(t.matched for t in self.tables),
            different=sum(t.different for t in self.tables),
            missing=sum(t.missing for t in self.tables),
            extra=sum(t.extra for t in self.tables),
            pending=self.pending,
            quarantined=self.quarantined,
            repaired=self.repaired,
            result=self.rows_result,
            names=tuple(t.table for t in self.tables),
        )

    def to_json(self, *, values: bool = False) -> dict[str, Any]:
        """The stable form for programs; `values` as in `TableReport.to_json`."""
        return {
            "result": self.result,
            "exit_code": int(self.exit_code),
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "position": self.position.seq,
            "differences": self.differences,
            "pending": self.pending,
            "quarantined": self.quarantined,
            "uncarried": self.uncarried,
            "leads": self.leads,
            "skipped_columns": list(self.skipped),
            "repaired": self.repaired,
            "left": self.repair.left,
            "saved_to": list(self.repair.files),
            "repaired_before": {name: again.to_json() for name, again in self.again.items()},
            "problems": list(self.problems),
            "tables": [t.to_json(values=values) for t in self.tables],
            "schema": [finding.to_json() for finding in self.schema],
            "notes": list(self.notes),
            "expectations": [a.to_json() for a in self.answers],
        }


def shown(value: Value) -> str:
    """A value of SQLite in one line, as SQL writes it; what is no UTF-8 as its bytes."""
    match value:
        case None | NullKey():
            return "NULL"
        case str():
            return "'" + value.replace("'", "''").replace("\n", "\\n") + "'"
        case bytes():
            return f"x'{value.hex()}'"
        case InvalidText(data):
            return f"CAST(x'{data.hex()}' AS TEXT)"
        case Failed():
            return "a value that cannot be computed"
        case _:
            return repr(value)


def _column_json(found: ColumnDifference, *, values: bool) -> str | dict[str, str | None]:
    if not values:
        return found.column
    return {"column": found.column, "source": shown(found.source), "target": found.target}
