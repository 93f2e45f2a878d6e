"""What a report is made of: facts as they were asked, without a word for people. Frozen, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cdc.audit.chain import AuditEntry
from cdc.audit.check import ChainVerdict
from cdc.cutover.plan import SwitchPlan
from cdc.observe.status import Status
from cdc.postgres.record.quarantine import QuarantinedRow
from cdc.postgres.record.rehearsals import PastRehearsal
from cdc.postgres.record.repaired_rows import RepairedTable
from cdc.postgres.record.tombstones import TombstoneCounts
from cdc.postgres.record.verification import Verification
from cdc.shadow.report import ShadowReport
from cdc.sqlite.snapshot.manifest import Manifest


@dataclass(frozen=True, slots=True)
class RowsInBoth:
    """The rows of one table in both databases, None where they were not counted; `held` are in quarantine."""

    table: str
    target: str
    sqlite: int | None
    postgres: int | None
    held: int


@dataclass(frozen=True, slots=True)
class RowsFacts:
    """The rows of every table that is fed. At `one_position`, nothing moved between the counts of both sides."""

    tables: tuple[RowsInBoth, ...] = ()
    one_position: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class KeptFacts:
    """What Postgres keeps of a move: comparisons (the newest first), repairs, quarantine, shadow reads, rehearsals.

    `tombstones` are keys that were deleted lately, by table.
    """

    verifications: tuple[Verification, ...] = ()
    repaired: tuple[RepairedTable, ...] = ()
    quarantine: tuple[QuarantinedRow, ...] = ()
    shadow: ShadowReport | None = None
    rehearsals: tuple[PastRehearsal, ...] = ()
    tombstones: tuple[TombstoneCounts, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """The trail: all entries but batches, the oldest first; of batches when each was, and how many changes it had.

    `dropped` older entries are not told of. A chain that could not be looked at has no verdict, and an `error`.
    """

    entries: tuple[AuditEntry, ...] = ()
    batches: tuple[tuple[str, int], ...] = ()
    dropped: int = 0
    file: ChainVerdict | None = None
    postgres: ChainVerdict | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """The plan of the switch that could come next, or why there is none."""

    plan: SwitchPlan | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """Who made the report, with what: versions by name, and the hash of the configuration without its secrets."""

    by: str
    versions: Mapping[str, str]
    config_file: str
    config_sha256: str


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Everything; `kept` is None where Postgres could not be asked (`kept_error` says why), or knows no such source."""

    at: datetime
    status: Status
    schema: str
    machine: MachineFacts
    plan: PlanFacts = PlanFacts()
    rows: RowsFacts = RowsFacts()
    kept: KeptFacts | None = None
    kept_error: str | None = None
    audit: AuditFacts = AuditFacts()
    snapshots: tuple[Manifest, ...] = ()
