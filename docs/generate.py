"""Writes the pages of reference, and the lists on other pages, from what the program itself knows, for `make docs`."""

from collections.abc import Callable
from typing import Final

import lists
import msgspec
import rooms
from cli_reference import cli_page
from configuration_reference import configuration_reference
from errors_reference import errors_page
from page_parts import FOLDER

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
    LegacySection,
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
    TombstonesSection,
    VerifySection,
)

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
    ("[tombstones]", TombstonesSection),
    ("[legacy]", LegacySection),
    ("[formats]", Formats),
    ("[tables.NAME]", TableOptions),
    ("[tables.NAME.columns.COLUMN]", ColumnOptions),
    ("[[tables.NAME.references]]", ReferenceOptions),
]

# Said beside the struct's own docstrings: what each key means to the operator, with its unit.
KEYS: Final = {
    "source.path": "The application's SQLite file. It must be on a disk of this machine.",
    "source.busy_timeout_seconds": "How long to wait for a lock on the file before trying again later.",
    "source.on_replaced": "What the daemon does when another file is in its place: `stop`, or `resync`, which accepts "
    "it as `cdc load --resync` does, unless that asks a person. See [tombstones](tombstones.md#whole-files).",
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
    "replicate.exclude": "Shell patterns of table names to leave out, although `tables` matches them. A plain name "
    "that is nearly that of a table is refused, because that table would be copied.",
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
    "replicate.resurrection": "What becomes of a row that the application inserts again within the days of "
    "[tombstones]: `allow` says nothing, `warn` applies it and tells, `refuse` has SQLite refuse it. See "
    "[tombstones](tombstones.md#rows-that-are-inserted-again).",
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
    "shadow.proxy.metrics": "HOST:PORT where the proxy serves its own `/metrics` and `/healthz`; nowhere without it. "
    "`allow_remote` in [metrics] holds here too.",
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
    "shadow.pages.page": "The parameter of the query that has the number of a page, or its cursor.",
    "shadow.pages.first": "The number of the first page.",
    "shadow.pages.cursor": "The place in an answer that has the cursor of the next page, for `page`,",
    "shadow.pages.next": "or the place of the next page's address, or the header that has it, as `Link`.",
    "shadow.pages.total": "The place of how many elements there are on all pages.",
    "cutover.max_refused_seconds": "How long applications may be refused their writes while these move.",
    "cutover.wait_for_writers_seconds": "How long to wait for transactions that write when that begins.",
    "cutover.postgres_fence": "What keeps applications from writing to Postgres before a cutover and after a rollback: "
    "triggers; or `grants`, with which other roles than the tables' owner lose their rights to write as well, and get "
    "exactly these back when Postgres opens.",
    "cutover.tries": "How often it is tried before it is given up, with everything as it was.",
    "cutover.verified_within_hours": "A whole comparison must have found both equal within so many hours.",
    "cutover.shadow_clean_hours": "For so long no shadow read must have differed; 0 does not ask.",
    "cutover.rehearsed_within_hours": "A rehearsal of today's schema must have passed within so many hours; 0 does not "
    "ask. Without it one need not be, but the newest that was made has to hold, for 168 hours.",
    "cutover.watch_p95_seconds": "With `--watch`: how long the checks may take, 95th percentile; 0 does not ask.",
    "cutover.finalize_after_hours": "`cdc finalize` does not end the way back before; 0 does not ask.",
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
    "tombstones.days": "For so many days a key that was deleted is remembered: one that comes back is noticed, and "
    "waits where it came with another file. 0 is not at all. See [tombstones](tombstones.md).",
    "legacy.scripts": "Names of scripts that have to be gone; see [remains](legacy.md).",
    "legacy.flags": "Variables that nothing is to read any more, beside those of `[[cutover.flags]]`.",
    "legacy.exclude": "Shell patterns of files that are left out, by their path below the one that was given, or by "
    "their name.",
    "tables.NAME.target": "The table's name in Postgres.",
    "tables.NAME.adopt": "Whether this table is adopted, where it differs from `adopt` in [target].",
    "tables.NAME.skip": "Columns that are not replicated. One that this file does not have is noted by `cdc plan`, "
    "since other generations of the file may have it; a name that is nearly that of another column is refused.",
    "tables.NAME.resurrection": "The same as in [replicate] for this table alone.",
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
    "tables.NAME.helper_key": "An adopted table that has no key in SQLite gets a column to find its rows by, "
    "[until the end](adopting.md#tables-without-a-key).",
    "tables.NAME.columns.COLUMN.sequence": "The sequence of Postgres that numbers this key, where "
    "[no column there says so](adopting.md#numbers-for-new-rows): it goes on after SQLite's numbers with the others.",
    "tables.NAME.columns.COLUMN.python": "`MODULE:FUNCTION`, a function in Python that computes the value, see "
    "[computed values](types.md#computed-values). The module is looked for beside the configuration first.",
    "tables.NAME.columns.COLUMN.format": "How the values are written where their storage class does not tell, see "
    "[formats](types.md#formats). Without `type`, dates become `timestamptz`.",
    "tables.NAME.columns.COLUMN.on_invalid": "What becomes of a value that does not fit; `quarantine` "
    "where neither the column nor `[formats]` says anything. All others lose "
    "something, see [outcomes](types.md#values-that-do-not-fit).",
    "tables.NAME.columns.COLUMN.schema": "A file with the JSON Schema that the column's documents must satisfy, see "
    "[documents](types.md#documents). Without `type`, the column becomes `jsonb`.",
    "tables.NAME.columns.COLUMN.empty": "What becomes of an empty text: `null` makes it NULL, `default` the "
    "column's default in Postgres, where that is the same for every row.",
    "formats.smallint": "Of all columns whose type in Postgres is `smallint`: `number`, `round`, or a list of both;",
    "formats.integer": "the same of `integer`,",
    "formats.bigint": "of `bigint`,",
    "formats.real": "of `real`,",
    "formats.numeric": "and of `numeric`, with or without a precision.",
    "formats.boolean": "Of `boolean`: `words`.",
    "formats.date": "Of `date`: a format of instants, `cut`, or a list of both.",
    "formats.time": "Of `time`: `round`.",
    "formats.timestamp": "Of `timestamp`, with or without a precision: a format of instants, `round`, or both;",
    "formats.timestamptz": "and of `timestamptz`.",
    "formats.interval": "Of `interval`: `seconds`, `milliseconds`, `microseconds` or `since 1970`.",
    "formats.uuid": "Of `uuid`: `uuid`.",
    "formats.inet": "Of `inet`: `address`;",
    "formats.cidr": "the same of `cidr`",
    "formats.macaddr": "and of `macaddr`.",
}

PAGES: Final[dict[str, Callable[[], str]]] = {
    "architecture.md": lists.architecture_page,
    "architecture.svg": rooms.picture,
    "audit.md": lists.audit_page,
    "causes.md": lists.causes_page,
    "cli.md": cli_page,
    "configuration.md": lambda: configuration_reference(SECTIONS, KEYS),
    "errors.md": errors_page,
    "metrics.md": lists.metrics_page,
    "types.md": lists.types_page,
}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
