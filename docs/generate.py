"""Writes the pages of reference, and the lists on other pages, from what the program itself knows, for `make docs`."""

import inspect
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import click
import msgspec
import rooms
from error_catalogue import CLASSES, ErrorSite, as_prose, error_sites, literals

from cdc.audit.actions import ACTIONS, STEP_DETAILS, Action, ActionKind
from cdc.cli.help import Command, example_lines
from cdc.cli.main import cli
from cdc.config import (
    AlertsSection,
    CheckSection,
    ColumnOptions,
    CommandFlag,
    CutoverSection,
    EnvFlag,
    Expectation,
    ExpectedDifference,
    FileFlag,
    Formats,
    HttpFlag,
    MetricsSection,
    PagedList,
    ProxyFlag,
    ProxyRate,
    ProxySection,
    ReferenceOptions,
    ReplicateSection,
    ShadowRule,
    ShadowSection,
    SnapshotSection,
    SourceSection,
    StateSection,
    TableOptions,
    TargetSection,
    VerifySection,
)
from cdc.config.sections import Format
from cdc.errors import CdcError, ExitCode, Policy
from cdc.observe.metric_catalogue import CATALOGUE as METRICS
from cdc.shadow.causes import CAUSES
from cdc.values.family import Format as ValueFormat
from cdc.values.outcomes import OUTCOMES
from cdc.values.registry import FORMATS, PROMISES

FOLDER: Final = Path(__file__).parent
NOTICE: Final = "<!-- Written by `make docs`; edit the sources it is made from. -->"

SECTIONS: Final[list[tuple[str, type[msgspec.Struct]]]] = [
    ("[source]", SourceSection),
    ("[target]", TargetSection),
    ("[state]", StateSection),
    ("[replicate]", ReplicateSection),
    ("[snapshot]", SnapshotSection),
    ("[metrics]", MetricsSection),
    ("[alerts]", AlertsSection),
    ("[verify]", VerifySection),
    ("[[verify.expect]]", Expectation),
    ("[shadow]", ShadowSection),
    ("[shadow.proxy]", ProxySection),
    ("[[shadow.proxy.rates]]", ProxyRate),
    ("[[shadow.rules]]", ShadowRule),
    ("[[shadow.expect]]", ExpectedDifference),
    ("[[shadow.pages]]", PagedList),
    ("[cutover]", CutoverSection),
    ('[[cutover.flags]] kind = "file"', FileFlag),
    ('[[cutover.flags]] kind = "env"', EnvFlag),
    ('[[cutover.flags]] kind = "command"', CommandFlag),
    ('[[cutover.flags]] kind = "http"', HttpFlag),
    ('[[cutover.flags]] kind = "proxy"', ProxyFlag),
    ("[[cutover.checks]]", CheckSection),
    ("[formats]", Formats),
    ("[tables.NAME]", TableOptions),
    ("[tables.NAME.columns.COLUMN]", ColumnOptions),
    ("[[tables.NAME.references]]", ReferenceOptions),
]

# Keys that are sections of their own.
OWN_SECTIONS: Final = (
    "tables.NAME.columns",
    "tables.NAME.references",
    "verify.expect",
    "shadow.proxy",
    "shadow.proxy.rates",
    "shadow.rules",
    "shadow.expect",
    "shadow.pages",
    "cutover.flags",
    "cutover.checks",
)

# Said beside the struct's own docstrings: what each key means to the operator, with its unit.
KEYS: Final = {
    "source.path": "The application's SQLite file. It must be on a disk of this machine.",
    "source.busy_timeout_seconds": "How long to wait for a lock on the file before trying again later.",
    "target.dsn": "`postgresql://USER@HOST:PORT/DATABASE`, or `embedded` for the server that cdc brings.",
    "target.schema": "The schema of the replicated tables. `cdc` and names that begin with `pg_` are refused.",
    "target.password_file": "A file that holds the password and nothing else.",
    "target.adopt": "The tables are there already, made by the application's own migrations: they are compared and "
    "used as they are, never altered. See [adopted tables](adopting.md).",
    "target.existing_rows": "What becomes of rows that tables hold before the first copy: `refuse` stops, "
    "`replace` saves them to a file in the state folder and has the tables become what SQLite holds.",
    "state.dir": "The folder of snapshots, the embedded server and the audit file.",
    "state.audit_megabytes": "How much of the audit file is kept, compressed pieces included; 0 keeps all of it.",
    "replicate.tables": "Shell patterns of table names to replicate; letter case does not matter.",
    "replicate.exclude": "Shell patterns of table names to leave out, although `tables` matches them.",
    "replicate.poll_seconds": "How long a change can go unseen when no file event arrives.",
    "replicate.idle_close_seconds": "After so long without a change the file is left without a connection of ours.",
    "replicate.round_entries": "Changelog entries read in one snapshot of the file, in WAL mode.",
    "replicate.round_entries_journal": "The same in rollback-journal mode, where a reader blocks the writer's commit.",
    "replicate.round_bytes": "Bytes of rows read in one snapshot of the file.",
    "replicate.prune_entries": "The changelog is pruned when so many applied entries lie in it,",
    "replicate.prune_seconds": "or when the oldest of them is this old.",
    "replicate.heartbeat_seconds": "How often the daemon shows in Postgres that it lives.",
    "replicate.durable_commits": "Whether a batch is on the disk of Postgres before anybody sees it; see "
    "[concepts](concepts.md#what-a-crash-of-postgres-takes-back).",
    "replicate.audit_rows": "How many entries of the audit trail are kept in Postgres; 0 keeps all of them.",
    "snapshot.max_writer_pause_seconds": "How long a snapshot may hold a writer in rollback-journal mode.",
    "verify.stale_after_hours": "`cdc status` warns when a table was last compared longer ago; 0 never warns.",
    "verify.rolling_share": "The share of its time that a daemon compares in the background, 1 at most; 0 is never.",
    "verify.rolling_hours": "Within so many hours every table is compared, as far as the share allows.",
    "snapshot.keep": "How many of the newest snapshots are kept once another one is proven, beside the one that the "
    "copy in Postgres began with; 0 keeps all.",
    "metrics.listen": "HOST:PORT where `/metrics` (for Prometheus) and `/healthz` are served; nowhere without it.",
    "metrics.allow_remote": "Allow `listen` to name an address that other machines can reach. There is no login.",
    "metrics.max_lag_seconds": "Beyond this lag `/healthz` answers 503.",
    "alerts.webhook": "An address that gets a POST with one JSON object: `state`, `name`, `text`, `remedy`, `source`, "
    "`host`, `at`. See [alerts](parity.md#alerts).",
    "alerts.ntfy": "A topic of ntfy, which shows the text on a phone.",
    "alerts.command": "A program and its arguments; it gets the same object on stdin, and each member in the "
    "environment, as `CDC_ALERT_TEXT`.",
    "alerts.ping": "An address that gets a GET while all is well, for a watch that tells when it stays away.",
    "alerts.repeat_hours": "An alarm that lasts is told again after so many hours.",
    "alerts.ping_seconds": "How often `ping` is asked.",
    "verify.expect.name": "What is asked, in words.",
    "verify.expect.sql": "A query that only reads; its first value is the answer. `cdc verify` asks both databases.",
    "verify.expect.answer": "What both must answer; `cdc verify` exits with 1 when one of them does not.",
    "verify.expect.target_sql": "The query in Postgres' words, where `sql` is not understood there.",
    "shadow.baseline": "The address of the application on SQLite. Every request goes to it; `cdc shadow proxy` serves "
    "its answers.",
    "shadow.candidate": "The address of an instance of the application on Postgres, which must not write.",
    "shadow.reference": "The address of a third instance, on a database that `cdc load` filled from a snapshot: what "
    "differs there too is of the application, not of the data.",
    "shadow.access_log": "The web server's access log. What users asked for and no shadow read ever compared is named "
    "by `cdc shadow report`, and closes a gate of the cutover where `shadow_clean_hours` asks for shadow reads.",
    "shadow.log_format": "Its format, as the server's configuration has it; `combined` where none is given.",
    "shadow.baseline_headers": "Headers for each request to the baseline; `env:NAME` is taken from the environment.",
    "shadow.candidate_headers": "The same for the candidate,",
    "shadow.reference_headers": "and for the reference.",
    "shadow.allow": "Shell patterns of the paths that may be asked.",
    "shadow.deny": "Shell patterns of paths that are never asked, whatever `allow` says.",
    "shadow.methods": "The methods that may be asked.",
    "shadow.compared_headers": "The headers of answers that are compared.",
    "shadow.requests_per_second": "How many questions are put at most.",
    "shadow.attempts": "A pair that a write came between is asked so many times, then counted as moved.",
    "shadow.patience_seconds": "How long Postgres gets to apply what the baseline's answer shows.",
    "shadow.timeout_seconds": "How long one answer may take.",
    "shadow.slower_percent": "An endpoint that is slower than this at p95 on Postgres fails the check.",
    "shadow.query_allowance_ms": "By how many milliseconds a query of `cdc shadow sql` may be slower, whatever part "
    "that is: SQLite answers within the process, Postgres over a connection. Requests have no such allowance.",
    "shadow.least_samples": "With fewer answers, nothing is said about the speed of an endpoint.",
    "shadow.clean_days": "How long every endpoint has to be without a difference before reads move.",
    "shadow.examples": "How many examples of each endpoint, cause and place are kept.",
    "shadow.proxy.listen": "HOST:PORT where users, or the web server before them, reach the application through it.",
    "shadow.proxy.rates.path": "A shell pattern of paths that are heavy to answer. The first section that fits counts;",
    "shadow.proxy.rates.share": "this share of their reads is compared, 0 to 1. All are where none fits.",
    "shadow.proxy.keep_bytes": "The largest answer that is compared, as it comes over the wire.",
    "shadow.proxy.queue_pairs": "How many pairs may wait for the candidate; more are dropped, and counted,",
    "shadow.proxy.queue_bytes": "as are those that would make the answers that wait larger than this.",
    "shadow.proxy.workers": "How many questions are put to the candidate at a time.",
    "shadow.proxy.failures": "After so many failures in a row the candidate is left alone,",
    "shadow.proxy.retry_seconds": "for so long; then one question tries whether it is back.",
    "shadow.proxy.answer_seconds": "How long the baseline may take to begin its answer; then users get 504.",
    "shadow.proxy.serve_candidate": "The share of clients whose reads are served by the candidate, 1 at most.",
    "shadow.proxy.serve_seconds": "How long the candidate gets for an answer that a user waits for.",
    "shadow.proxy.catch_up_seconds": "How long such a read waits for Postgres to apply what SQLite has committed.",
    "shadow.proxy.sticky_cookie": "The cookie that tells clients apart; their address does without it.",
    "shadow.proxy.fallback_seconds": "How long all reads go back to the baseline after a difference, a failure or a "
    "slow answer.",
    "shadow.proxy.flush_seconds": "How often the counts are added to what Postgres knows.",
    "shadow.proxy.held_requests": "How many writes may wait while they are held; more are answered with 503.",
    "shadow.proxy.end_seconds": "How long open requests may take to end when the proxy is stopped.",
    "shadow.rules.read": "How values at that place are compared, see [rules](shadow.md#rules).",
    "shadow.rules.endpoint": "A shell pattern of endpoints, such as `GET /api/reports*`, or of names of queries.",
    "shadow.rules.path": "A place in JSON (RFC 9535), `$` for the whole body, a header, a CSS selector for elements of "
    "a page, or a column of a query.",
    "shadow.rules.key": "The member that identifies an element of a list that is read as a set.",
    "shadow.rules.tolerance": "How far apart numbers may be, as a share of the larger one.",
    "shadow.rules.to": "With `renamed`: what the candidate calls the member at that place.",
    "shadow.rules.status": "The rule is one of answers with this status.",
    "shadow.rules.reason": "Why; shown wherever the rule was used.",
    "shadow.expect.endpoint": "A shell pattern of endpoints.",
    "shadow.expect.sql": "A query on SQLite whose first column names the parameters that must differ: so many, no more "
    "and no fewer.",
    "shadow.expect.reason": "Why they do.",
    "shadow.pages.endpoint": "A shell pattern of endpoints; see [pages](shadow.md#pages).",
    "shadow.pages.list": "The place of the list in an answer (RFC 9535).",
    "shadow.pages.key": "The member that identifies an element of the list.",
    "shadow.pages.page": "The parameter of the query that has the number of a page.",
    "shadow.pages.first": "The number of the first page.",
    "shadow.pages.total": "The place of how many elements there are on all pages.",
    "cutover.max_refused_seconds": "How long applications may be refused their writes while these move.",
    "cutover.wait_for_writers_seconds": "How long to wait for transactions that write when that begins.",
    "cutover.tries": "How often it is tried before it is given up, with everything as it was.",
    "cutover.verified_within_hours": "A whole comparison must have found both equal within so many hours.",
    "cutover.shadow_clean_hours": "For so long no shadow read must have differed; 0 does not ask.",
    "cutover.watch_p95_seconds": "With `--watch`: how long the checks may take, 95th percentile; 0 does not ask.",
    "cutover.flags.file.kind": "`file`. Flags are set in the order of their sections; see [the flag](flag.md).",
    "cutover.flags.file.path": "The file, which is made when it is not there.",
    "cutover.flags.env.kind": "`env`.",
    "cutover.flags.env.path": "The file, one `NAME=value` a line; it has to be there.",
    "cutover.flags.env.switch": "What it follows: `reads`, `writes`, or `both`, which is Postgres once both are there.",
    "cutover.flags.env.sqlite": "The variables and their values for SQLite,",
    "cutover.flags.env.postgres": "and for Postgres.",
    "cutover.flags.command.kind": "`command`.",
    "cutover.flags.command.switch": "What it follows, as above; with `both` it is run when either moves.",
    "cutover.flags.command.sqlite": "The program and its arguments for SQLite, without a shell. `CDC_READS` and "
    "`CDC_WRITES` are in its environment.",
    "cutover.flags.command.postgres": "The same for Postgres.",
    "cutover.flags.command.timeout_seconds": "After so long it is ended, with all that it started, and has failed.",
    "cutover.flags.http.kind": "`http`.",
    "cutover.flags.http.switch": "What it follows, as above.",
    "cutover.flags.http.url": "Where the request goes. An answer from 200 to 299 is a success, a redirect is none.",
    "cutover.flags.http.sqlite": "The body for SQLite,",
    "cutover.flags.http.postgres": "and for Postgres.",
    "cutover.flags.http.method": "The method.",
    "cutover.flags.http.content_type": "The kind of the body.",
    "cutover.flags.http.headers_file": "A file of further headers, one `Name: value` a line, such as a secret.",
    "cutover.flags.http.timeout_seconds": "How long the answer may take.",
    "cutover.flags.proxy.kind": "`proxy`.",
    "cutover.checks.name": "What is asked, in words.",
    "cutover.checks.url": "The address; `{probe}` in it, in `body`, `sql` and `undo_url` becomes letters of its own "
    "each time. See [checks](flag.md#checks).",
    "cutover.checks.after": "Whether it is asked once `reads` have moved, or once `writes` have.",
    "cutover.checks.method": "The method. All but GET and HEAD are put again only if they were surely not carried out.",
    "cutover.checks.body": "The body of the request.",
    "cutover.checks.content_type": "The kind of the body.",
    "cutover.checks.headers_file": "A file of headers, as above.",
    "cutover.checks.sqlite": "What the JSON answer must have on SQLite: places, such as `pool.0.backend`, and values,",
    "cutover.checks.postgres": "and on Postgres.",
    "cutover.checks.sql": "A query to the side that is active, whose first value must be true, or a number but 0: "
    "the row that the request has written.",
    "cutover.checks.undo_url": "Where to ask afterwards that this row is taken away again,",
    "cutover.checks.undo_method": "and by which method.",
    "cutover.checks.timeout_seconds": "How long one answer may take.",
    "cutover.checks.within_seconds": "Within so long it must be as it should, for an application that begins anew.",
    "tables.NAME.target": "The table's name in Postgres.",
    "tables.NAME.adopt": "Whether this table is adopted, where it differs from `adopt` in [target].",
    "tables.NAME.skip": "Columns that are not replicated. One that this file does not have is noted by `cdc plan`, "
    "since other generations of the file may have it; a name that is nearly that of another column is refused.",
    "tables.NAME.target_key": "The columns, by their names in Postgres, that identify the rows there, where they are "
    "not those that do in SQLite. See [keys of another kind](adopting.md#keys-of-another-kind).",
    "tables.NAME.key": "`declared` uses the primary key; `rowid` the rowid although a primary key is declared.",
    "tables.NAME.references.columns": "The columns that refer, by their names in Postgres.",
    "tables.NAME.references.table": "The table of the SQLite file to whose key in Postgres they refer.",
    "tables.NAME.references.on_delete": "What Postgres does with these rows when the one that they refer to is deleted "
    "there. While SQLite is followed, rows whose parent is gone wait in quarantine.",
    "tables.NAME.columns.COLUMN.target": "The column's name in Postgres.",
    "tables.NAME.columns.COLUMN.type": "The column's type in Postgres, instead of what its declaration leads to.",
    "tables.NAME.columns.COLUMN.expression": "SQLite SQL that computes the value; for columns that only Postgres has.",
    "tables.NAME.columns.COLUMN.python": "`MODULE:FUNCTION`, a function in Python that computes the value, see "
    "[computed values](types.md#computed-values). The module is looked for beside the configuration first.",
    "tables.NAME.columns.COLUMN.format": "How the values are written where their storage class does not tell, see "
    "[formats](types.md#formats). Without `type`, dates become `timestamptz`.",
    "tables.NAME.columns.COLUMN.on_invalid": "What becomes of a value that does not fit. All but `quarantine` lose "
    "something, see [outcomes](types.md#values-that-do-not-fit).",
    "tables.NAME.columns.COLUMN.schema": "A file with the JSON Schema that the column's documents must satisfy, see "
    "[documents](types.md#documents). Without `type`, the column becomes `jsonb`.",
    "tables.NAME.columns.COLUMN.empty": "`null` makes NULL of an empty text.",
    "formats.timestamp": "The format of all columns whose type in Postgres is `timestamp`,",
    "formats.timestamptz": "of all of type `timestamptz`,",
    "formats.boolean": "of all of type `boolean`,",
    "formats.uuid": "and of all of type `uuid`.",
}


def cli_page() -> str:
    """The reference of every command and option."""
    parts = ["# Command line", NOTICE, _group_text(cli), _options_table(cli), _examples(cli)]
    for path, command in walk(cli):
        usage = f"```\n{_usage(path, command)}\n```"
        parts += [f"## `{path}`", usage, _help_text(command), _options_table(command), _examples(command)]
    return "\n\n".join(part for part in (*parts, STATUS_JSON) if part) + "\n"


def configuration_page() -> str:
    """The reference of every key of the configuration file."""
    parts = ["# Configuration", NOTICE, INTRODUCTION]
    for heading, struct in SECTIONS:
        parts += [f"## `{heading}`", inspect.cleandoc(struct.__doc__ or ""), _keys_table(heading, struct)]
    return "\n\n".join(parts) + "\n"


def errors_page() -> str:
    """The catalogue of every error: by class, and within it by the words of the message."""
    sites = error_sites()
    kinds = sorted({site.kind for site in sites}, key=lambda kind: (kind.exit_code, list(CLASSES.values()).index(kind)))
    parts = ["# Errors", NOTICE, ERRORS_INTRODUCTION, _kinds_table(kinds)]
    for kind in kinds:
        parts += [f"## {kind.__name__}", _kind_text(kind), _errors_table([s for s in sites if s.kind is kind])]
    return "\n\n".join(parts) + "\n"


def _kinds_table(kinds: Sequence[type[CdcError]]) -> str:
    rows = [(f"[{k.__name__}](#{k.__name__.lower()})", f"{k.exit_code:d}", _POLICIES[k.policy]) for k in kinds]
    return _table(("kind", "exit code", "the daemon"), rows)


_POLICIES: Final = {
    Policy.RETRY: "tries again by itself",
    Policy.SETTLE_ANEW: "tries again a few times with everything read anew, then ends: it needs a person",
    Policy.NEEDS_A_PERSON: "ends: it needs a person",
}


def _kind_text(kind: type[CdcError]) -> str:
    meaning = inspect.cleandoc(kind.__doc__ or "")
    return f"{meaning} Exit code {kind.exit_code:d} ({_EXIT_CODES[kind.exit_code]})."


_EXIT_CODES: Final = {
    ExitCode.CRITICAL: "critical",
    ExitCode.USAGE: "wrong usage",
    ExitCode.UNAVAILABLE: "a database cannot be reached",
    ExitCode.CONFIG: "wrong configuration",
}


def _errors_table(sites: Sequence[ErrorSite]) -> str:
    ordered = sorted({(s.message, s.remedy) for s in sites}, key=lambda texts: (literals(texts[0]).lower(), texts))
    return _table(("message", "remedy"), [(as_prose(message), as_prose(remedy)) for message, remedy in ordered])


def walk(group: click.Group, path: str = "cdc") -> list[tuple[str, click.Command]]:
    """Every command below a group that does something itself, with the words that call it, in the order of the help."""
    found: list[tuple[str, click.Command]] = []
    for name, command in group.commands.items():
        own = f"{path} {name}"
        found += walk(command, own) if isinstance(command, click.Group) else [(own, command)]
    return found


def _group_text(group: click.Group) -> str:
    return f"{_help_text(group)}\n\n{group.epilog or ''}\n\nThese stand before the command:".strip()


def _usage(path: str, command: click.Command) -> str:
    arguments = [p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)]
    return " ".join([path, "[OPTIONS]", *arguments])


def _help_text(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "")


def _examples(command: click.Command) -> str:
    lines = example_lines(command.examples) if isinstance(command, Command) else []
    return "\n".join(["```sh", *lines, "```"]) if lines else ""


def _options_table(command: click.Command) -> str:
    rows = [
        (f"`{_names(option)}`", _option_help(option)) for option in command.params if isinstance(option, click.Option)
    ]
    return _table(("option", "meaning"), rows) if rows else ""


def _names(option: click.Option) -> str:
    names = ", ".join(option.opts)
    return names if option.is_flag else f"{names} {option.make_metavar(click.Context(click.Command('x')))}"


def _option_help(option: click.Option) -> str:
    default = f" Default: `{option.default}`." if option.show_default and option.default is not None else ""
    return f"{option.help or ''}{' Required.' if option.required else ''}{default}"


def key_prefix(heading: str) -> str:
    """What the keys below a heading are called by in `KEYS`: `cutover.flags.env` for those of one kind of flag."""
    return re.sub(r'[\[\]"]', "", heading).replace(" kind = ", ".")


def _keys_table(heading: str, struct: type[msgspec.Struct]) -> str:
    prefix = key_prefix(heading)
    rows = [
        (f"`{f.name}`", _type_text(struct, f.name), _default(f), KEYS[f"{prefix}.{f.name}"])
        for f in msgspec.structs.fields(struct)
        if f"{prefix}.{f.name}" not in OWN_SECTIONS
    ]
    return _table(("key", "type", "default", "meaning"), rows)


def _type_text(struct: type[msgspec.Struct], name: str) -> str:
    written = str(inspect.get_annotations(struct)[name])
    for pattern, words in _TYPES:
        if re.search(pattern, written):
            return words
    return "text"


_TYPES: Final = (
    (r"dict\[str, str\]", "section of texts"),
    (r"dict\[", "section of values"),
    (r"int \| str", "integer or text"),
    ("list", "list of texts"),
    ("Literal", "text"),
    ("bool", "true or false"),
    ("float", "number"),
    ("int", "integer"),
    ("Path", "path"),
)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value: Any = field.default
    if value is msgspec.NODEFAULT:
        factory: Any = field.default_factory
        value = factory()
    return "" if value is None else f"`{_toml(value)}`"


def _toml(value: object) -> str:
    match value:
        case dict():
            return "{}"
        case list():
            return "[" + ", ".join(f'"{item}"' for item in value) + "]"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return f'"{value}"'


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _own_block(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table between empty lines, without which some readers of Markdown take the marks around it for a part of it."""
    return f"\n{_table(columns, rows)}\n"


INTRODUCTION: Final = """\
The configuration is one TOML file: the one given with `-c`, else the one in `$CDC_CONFIG`, else `cdc.toml` in the
working directory. `cdc init` writes a first one. Relative paths are relative to the file. An unknown key, a wrong type
or an impossible value is refused with exit code 78 and a remedy.

Only `path` in `[source]` and `dsn` in `[target]` are required. A password does not belong into this file: it is taken
from `PGPASSWORD`, from `PGPASSFILE`, or from `password_file`."""

ERRORS_INTRODUCTION: Final = """\
A command that fails says two lines on stderr, `error:` and `remedy:`, and ends with an exit code; with `--json` it
answers with one object, `error`, `remedy` and `exit_code`. Whatever it was about to do is undone: both databases are as
they were. Words in italics stand for names and numbers. Within a kind the messages stand in alphabetical order, by the
first word that is always there."""

STATUS_JSON: Final = """\
## What `cdc status --json` answers

One object whose keys are always there; an unknown value is `null`.

| key | meaning |
| --- | --- |
| `at` | when the picture was made, ISO 8601 in UTC |
| `phase` | `new`, `snapshot`, `schema`, `load`, `replicate`, or `unknown` while Postgres cannot be asked |
| `exit_code` | what the command exits with |
| `next_step` | what to do now, in words |
| `warnings` | everything that needs an eye, the worst first |
| `source` | `path`, `reachable`, `error`, `capture_installed`, `writes_fail` (capture makes the \
application's writes fail), `remains` (something of capture is there), `source_id`, `newest_seq` (the newest entry), \
`kept` (entries in the changelog, applied ones included), `pending` (entries that Postgres has not), \
`oldest_pending_seconds` |
| `target` | `where` (never with a password), `reachable`, `error` |
| `position` | `seq`: the changelog entry up to which Postgres has everything |
| `lag` | `changes` and `seconds`: how much waits, and for how long |
| `changes_applied` | changelog entries applied since the stream began |
| `last_apply` | when the last batch was committed, ISO 8601 |
| `heartbeat_age_seconds` | how long ago the daemon showed that it lives |
| `daemon` | `running` (it holds the source's lock, or shows itself on this machine), `owner` |
| `quarantine` | `total`, `acknowledged`, `by_reason` |
| `waiting` | tables that are not replicated while something about them stands in the way: `name`, `reason`, `remedy` |
| `snapshot` | `id` and `taken_at` of the newest one in the state folder |
| `verification` | `result` (`equal`, `different`, `critical`), `finished_at` and `age_seconds` of the last \
whole `cdc verify`, null before the first; `schema`: what \
Postgres has otherwise than it should, as `cdc verify --json` has it |
| `shadow` | `endpoints` that shadow reads asked, `differing` of them that are not alike now, `clean_since` when all \
are (null while one is not), `last_at` |
| `stopped` | `reason` and `remedy` when the daemon stopped with an error |
| `activity` | what a daemon on this machine is doing: `doing` (`starting`, `loading`, `streaming`, `waiting` for a \
database, `stopping`), `since`, and after failed attempts `error` (of the last one) and `attempts` |
| `state` | `dir`, `bytes` (of the state folder, by part: `snapshots`, `postgres`, `postgres_log`, `audit`, `other`), \
`free_bytes` (on the disk of the state folder, `state`, and of the SQLite file, `source`) |

With `--json` an error of any command is one object as well: `error`, `remedy`, `exit_code`."""


def audit_page() -> str:
    """The page of the audit trail with the list of actions as it is now."""
    return _with_parts("audit.md", {"actions": _actions()})


def metrics_page() -> str:
    """The page of metrics with the list of them as it is now."""
    rows = [(f"`{m.name}`", m.kind.value, ", ".join(f"`{label}`" for label in m.labels), m.help) for m in METRICS]
    return _with_parts("metrics.md", {"metrics": _own_block(("metric", "type", "labels", "meaning"), rows)})


def types_page() -> str:
    """The page of types with what each type, each format and each outcome promises."""
    types = [(", ".join(f"`{name}`" for name in p.types), p.takes, p.refuses) for p in PROMISES]
    formats = [
        (", ".join(f"`{f.name}`" for f in alike), alike[0].reads, ", ".join(f"`{t.name}`" for t in alike[0].into))
        for alike in _alike([FORMATS[name] for name in get_args(Format)])
    ]
    outcomes = [(f"`{name}`", outcome.becomes, outcome.of_types) for name, outcome in OUTCOMES.items()]
    return _with_parts(
        "types.md",
        {
            "types": _own_block(("Postgres type", "takes", "not, for example"), [*types, *_OTHER_TYPES]),
            "formats": _own_block(("`format`", "reads", "into"), formats),
            "outcomes": _own_block(("`on_invalid`", "a value that does not fit becomes", "for"), outcomes),
        },
    )


# Types that the operator's own migrations made, which have no name that is known beforehand.
_OTHER_TYPES: Final = (
    ("enums", "their labels", "other texts"),
    ("domains", "what their base takes", "what their CHECK refuses"),
)


def _alike(formats: Sequence[ValueFormat]) -> list[list[ValueFormat]]:
    """Formats that stand next to each other and differ in their unit only, as one."""
    return [list(group) for _, group in itertools.groupby(formats, key=lambda f: (f.reads, f.into))]


def causes_page() -> str:
    """The page of what differences of answers come from, and what helps."""
    rows = [(cause, meaning, remedy) for cause, (meaning, remedy) in CAUSES.items()]
    table = _table(("cause", "what is seen", "what helps"), rows)
    return f"# Why answers differ\n\n{NOTICE}\n\n{CAUSES_INTRODUCTION}\n\n{table}\n"


def architecture_page() -> str:
    """The page of the architecture with a paragraph a room, as the rooms are now; the picture is `rooms.picture`."""
    return rooms.with_paragraphs((FOLDER / "architecture.md").read_text(encoding="utf-8"))


CAUSES_INTRODUCTION: Final = (
    "[Shadow reads](shadow-queries.md) name the likely cause of each difference. Where a query is known, the cause is "
    "found by trying the remedy; else two values point to it. Look with `cdc verify` first: where rows "
    "differ, mend those."
)

PART_END: Final = "<!-- end -->"


def _with_parts(name: str, parts: Mapping[str, str]) -> str:
    """A page that people write, with the parts that are made from the program, by the word that their mark begins with.

    Raises `ValueError` where a page has not each mark once.
    """
    page = (FOLDER / name).read_text(encoding="utf-8")
    for word, part in parts.items():
        begin = f"<!-- {word}: written by `make docs` -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{part}\n{PART_END}{rest.partition(PART_END)[2]}"
    return page


def _actions() -> str:
    parts = []
    for kind, words in _KINDS.items():
        rows = [
            (f"`{name}`", action.means, "; ".join(f"`{key}`: {means}" for key, means in _own(action).items()))
            for name, action in ACTIONS.items()
            if action.kind is kind
        ]
        parts += [words, _table(("action", "means", "details"), rows)]
    everywhere = "; ".join(f"`{key}`: {means}" for key, means in STEP_DETAILS.items())
    return "\n\n".join(["", *parts, f"The details of every step may have as well: {everywhere}.\n"])


def _own(action: Action) -> dict[str, str]:
    return {
        key: means
        for key, means in action.details.items()
        if key not in STEP_DETAILS or action.kind is not ActionKind.STEP
    }


_KINDS: Final = {
    ActionKind.STEP: "Steps that somebody took:",
    ActionKind.ROUTINE: "What the daemon does with rows all day:",
    ActionKind.TRAIL: "About the trail itself; these are not copied to the other place:",
}


def main() -> None:
    """Write all pages."""
    (FOLDER / "architecture.md").write_text(architecture_page(), encoding="utf-8")
    (FOLDER / "architecture.svg").write_text(rooms.picture(), encoding="utf-8")
    (FOLDER / "audit.md").write_text(audit_page(), encoding="utf-8")
    (FOLDER / "causes.md").write_text(causes_page(), encoding="utf-8")
    (FOLDER / "cli.md").write_text(cli_page(), encoding="utf-8")
    (FOLDER / "configuration.md").write_text(configuration_page(), encoding="utf-8")
    (FOLDER / "errors.md").write_text(errors_page(), encoding="utf-8")
    (FOLDER / "metrics.md").write_text(metrics_page(), encoding="utf-8")
    (FOLDER / "types.md").write_text(types_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
