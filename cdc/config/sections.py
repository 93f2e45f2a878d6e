"""What the operator decides, section by section, with what holds where nothing is said."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from cdc.config.cutover import CutoverSection
from cdc.config.patterns import is_pattern, names, nearest_first
from cdc.config.shadow import ShadowSection

EMBEDDED: Final = "embedded"
_MOST_DAYS: Final = 36_500


Resurrection = Literal["allow", "warn", "refuse"]


class SourceSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the application's SQLite file is."""

    path: Path
    on_replaced: Literal["stop", "resync"] = "stop"  # what the daemon does when another file is in its place
    busy_timeout_seconds: float = 5.0


class TargetSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where Postgres is. A password is best kept in PGPASSWORD, PGPASSFILE or `password_file`."""

    dsn: str
    schema: str = "public"
    password_file: Path | None = None
    adopt: bool = False  # the tables are there already, made by the application's own migrations
    existing_rows: Literal["refuse", "replace"] = "refuse"  # what adopted tables hold before the first copy

    @property
    def embedded(self) -> bool:
        """Whether the target is the Postgres server this tool brings itself."""
        return self.dsn == EMBEDDED


class StateSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where snapshots, the embedded server and the audit file are kept."""

    dir: Path = Path(".cdc")
    audit_megabytes: float = 64.0  # how much of the audit file is kept


class ReplicateSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tables are replicated (shell patterns), and how."""

    tables: list[str] = msgspec.field(default_factory=lambda: ["*"])
    exclude: list[str] = msgspec.field(default_factory=list)
    poll_seconds: float = 0.25  # how long a change can go unseen when no file event arrives
    idle_close_seconds: float = 5.0  # an idle file is left without any connection of ours
    round_entries: int = 20_000  # changelog entries read in one snapshot (WAL)
    round_entries_journal: int = 1_000  # the same where a reader blocks the writer's commit
    round_bytes: int = 16 * 1024 * 1024  # bytes of rows read in one snapshot
    prune_entries: int = 10_000  # prune when this many applied entries lie in the changelog
    prune_seconds: float = 600.0  # or when the oldest of them is this old
    heartbeat_seconds: float = 5.0
    audit_rows: int = 200_000  # how many entries of the audit trail are kept in Postgres
    resurrection: Resurrection = "warn"  # what becomes of a row that is inserted again after it was deleted
    durable_commits: bool = False  # whether a batch is on Postgres' disk before readers see it

    def wants(self, table: str) -> bool:
        """Whether a source table of this name is to be replicated."""
        return any(names(p, table) for p in self.tables) and not any(names(p, table) for p in self.exclude)


class SnapshotSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How snapshots are taken. The pause is what a rollback-journal writer may have to wait at most."""

    max_writer_pause_seconds: float = 3.0
    keep: int = 5  # newest ones; 0 keeps all


class MetricsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether and where `/metrics` and `/healthz` are served; not at all without `listen`."""

    listen: str | None = None
    allow_remote: bool = False
    max_lag_seconds: float | None = None


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query and its answer, which both databases must give; `target_sql` where Postgres needs other words."""

    name: str
    sql: str
    answer: int | str
    target_sql: str | None = None


class VerifySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a comparison looks at beside the rows themselves, and when it is too old to be relied upon; 0 is never."""

    stale_after_hours: float = 168.0
    rolling_share: float = 0.03  # of the time that a daemon compares in the background; 0 is never
    rolling_hours: float = 1.0  # within which every table is compared, as far as the share allows
    expect: list[Expectation] = msgspec.field(default_factory=list)


class AlertsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the daemon tells when something is wrong, and when it is over; nobody without a channel."""

    webhook: str | None = None
    ntfy: str | None = None
    command: list[str] = msgspec.field(default_factory=list)
    ping: str | None = None
    repeat_hours: float = 24.0
    ping_seconds: float = 60.0


class TombstonesSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long a key that was deleted is remembered; 0 is not at all."""

    days: int = 30

    @property
    def kept_days(self) -> int:
        """The days, as many as a date of Postgres can be moved by for sure."""
        return min(self.days, _MOST_DAYS)


class LegacySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left of the time before the move and has to go: `cdc cleanup --legacy` looks for it."""

    scripts: list[str] = msgspec.field(default_factory=lambda: ["sync_sqlite_db.py", "nas_sync.py"])
    flags: list[str] = msgspec.field(default_factory=list)  # beside those of [[cutover.flags]]
    exclude: list[str] = msgspec.field(default_factory=list)


Format = Literal[
    "iso utc",
    "auto utc",
    "epoch s",
    "epoch ms",
    "epoch us",
    "julian day",
    "seconds",
    "milliseconds",
    "microseconds",
    "since 1970",
    "words",
    "number",
    "uuid",
    "address",
    "utf-8",
]
OnInvalid = Literal["quarantine", "null", "text", "replace", "cut", "round"]
Shortening = Literal["round", "cut"]  # what a type itself does to values that say more than it holds
TypeReading = Literal[Format, Shortening] | tuple[Format, Shortening]

_CATALOGUE_NAMES: Final = {"smallint": "int2", "integer": "int4", "bigint": "int8", "real": "float4", "boolean": "bool"}


class Formats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the values of all columns of a type are read: a format, `round` or `cut`, or a list of both.

    A column may have a `format` and an `on_invalid` of its own.
    """

    smallint: TypeReading | None = None
    integer: TypeReading | None = None
    bigint: TypeReading | None = None
    real: TypeReading | None = None
    numeric: TypeReading | None = None
    boolean: TypeReading | None = None
    date: TypeReading | None = None
    time: TypeReading | None = None
    timestamp: TypeReading | None = None
    timestamptz: TypeReading | None = None
    interval: TypeReading | None = None
    uuid: TypeReading | None = None
    inet: TypeReading | None = None
    cidr: TypeReading | None = None
    macaddr: TypeReading | None = None

    def by_base(self) -> dict[str, tuple[str, str]]:
        """The format and the outcome of those that are set, empty for none, by the type's name in the catalogue."""
        chosen = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {_CATALOGUE_NAMES.get(name, name): _parts(reading) for name, reading in chosen if reading is not None}


def _parts(reading: TypeReading) -> tuple[str, str]:
    if isinstance(reading, tuple):
        return reading
    return ("", reading) if reading in get_args(Shortening) else (reading, "")


class ColumnOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator chose for one column; `expression` and `python` compute a value that SQLite does not have."""

    target: str | None = None
    type: str | None = None
    expression: str | None = None
    python: Path | None = None  # FOLDER/MODULE:FUNCTION, the folder being the configuration's where none is given
    format: Format | None = None  # how the values are written, where the type alone does not tell
    on_invalid: OnInvalid | None = None  # what becomes of a value that does not fit; else what is said for its type
    empty: Literal["keep", "null", "default"] = "keep"  # what becomes of an empty text
    schema: Path | None = None  # a file with the JSON Schema of its documents
    sequence: str | None = None  # which numbers the column in Postgres, where nothing there says so

    @property
    def computed(self) -> bool:
        """Whether the value is made from the row, rather than one of its columns."""
        return self.expression is not None or self.python is not None


class ReferenceOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A foreign key that the target is to have although SQLite declares none, or another one."""

    columns: list[str]
    table: str
    on_delete: Literal["no action", "cascade", "set null"] = "no action"


class TableOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator chose for one table, or for all that a shell pattern such as `[tables."log_*"]` means.

    Each key, and each section of a column, is taken from the nearest section that has it: that of the table's own name,
    then the patterns, those with most letters first. What a pattern says of a column concerns the tables that have it.
    A name or pattern that means nothing in the file is told by `cdc plan` first of all, and in the log.
    """

    target: str | None = None
    adopt: bool | None = None
    helper_key: bool = False  # an adopted table without a key gets a column to find its rows by, until the end
    skip: list[str] = msgspec.field(default_factory=list)
    key: Literal["declared", "rowid"] = "declared"
    resurrection: Resurrection | None = None  # as in [replicate] where nothing is said
    target_key: list[str] = msgspec.field(default_factory=list)  # columns of the target that identify its rows
    columns: dict[str, ColumnOptions] = msgspec.field(default_factory=dict)
    references: list[ReferenceOptions] = msgspec.field(default_factory=list)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the operator decides."""

    source: SourceSection
    target: TargetSection
    state: StateSection = msgspec.field(default_factory=StateSection)
    replicate: ReplicateSection = msgspec.field(default_factory=ReplicateSection)
    snapshot: SnapshotSection = msgspec.field(default_factory=SnapshotSection)
    metrics: MetricsSection = msgspec.field(default_factory=MetricsSection)
    alerts: AlertsSection = msgspec.field(default_factory=AlertsSection)
    verify: VerifySection = msgspec.field(default_factory=VerifySection)
    shadow: ShadowSection = msgspec.field(default_factory=ShadowSection)
    cutover: CutoverSection = msgspec.field(default_factory=CutoverSection)
    tombstones: TombstonesSection = msgspec.field(default_factory=TombstonesSection)
    legacy: LegacySection = msgspec.field(default_factory=LegacySection)
    formats: Formats = msgspec.field(default_factory=Formats)
    tables: dict[str, TableOptions] = msgspec.field(default_factory=dict)

    def options(self, table: str) -> TableOptions:
        """The operator's choices for a source table: those under its name, then those of the nearest pattern.

        Columns of a pattern may be such that the table does not have.
        """
        if not any(map(is_pattern, self.tables)):
            return self.own_options(table)
        return _together([self.tables[name] for name in nearest_first(self.tables, table)])

    def own_options(self, table: str) -> TableOptions:
        """The choices under a table's own name, compared without case; empty when there are none."""
        return next((o for name, o in self.tables.items() if name.lower() == table.lower()), _NO_OPTIONS)

    def resurrection(self, table: str) -> Resurrection:
        """What becomes of a row of a source table that is inserted again after it was deleted."""
        return self.options(table).resurrection or self.replicate.resurrection

    def adopts(self, table: str) -> bool:
        """Whether the target of a source table was made by others and is used as it is."""
        chosen = self.options(table).adopt
        return self.target.adopt if chosen is None else chosen


_NO_OPTIONS: Final = TableOptions()


def _together(nearest_first: Sequence[TableOptions]) -> TableOptions:
    """Each key as the nearest section has it that says something about it, and so each section of a column."""
    if len(nearest_first) < 2:
        return nearest_first[0] if nearest_first else _NO_OPTIONS
    columns: dict[str, ColumnOptions] = {}
    for options in nearest_first:
        said = {name.lower() for name in columns}
        columns |= {name: column for name, column in options.columns.items() if name.lower() not in said}
    chosen = {
        key: next((found for o in nearest_first if (found := getattr(o, key)) != default), default)
        for key, default in msgspec.structs.asdict(_NO_OPTIONS).items()
    }
    return TableOptions(**{**chosen, "columns": columns})
