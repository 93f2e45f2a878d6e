"""`cdc verify`: whether both databases hold the same, and repair where they do not."""

import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from cdc.cli.completion import complete_table
from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async, terminable
from cdc.cli.output import print_json, print_table, say
from cdc.facts.counted import counted
from cdc.facts.row_key import show_key
from cdc.facts.side import Side

if TYPE_CHECKING:
    from cdc.verify.recurrence import Recurrence
    from cdc.verify.repair import ExtraRows
    from cdc.verify.report import TableReport, VerifyReport

_SHOWN_KEYS = 5
_KINDS_BACK = {"missing": "only in SQLite", "extra": "only in Postgres"}
_LONGEST_VALUE = 200


@click.command(
    cls=Command,
    examples=(
        ("cdc verify", "Compare everything."),
        ("cdc verify --table content --table summary_variants", "Compare two tables."),
        ("cdc verify --table content --show-values", "See what both have in the columns that differ."),
        ("cdc verify --trust-changelog", "Read SQLite only of tables that were written to."),
        ("cdc verify --repair", "Have every row that differs moved again."),
        ("cdc verify --repair --yes", "The same from a script, and delete what only Postgres has."),
    ),
)
@click.option(
    "--table",
    "tables",
    metavar="NAME",
    shell_complete=complete_table,
    multiple=True,
    help="Only this table; may be given again.",
)
@click.option("--repair", is_flag=True, help="Have the daemon move every key that differs once more.")
@click.option("--yes", is_flag=True, help="With --repair: delete rows that only Postgres has, without asking.")
@click.option("--show-values", is_flag=True, help="Show what both have in columns that differ; else names alone.")
@click.option(
    "--trust-changelog",
    is_flag=True,
    help="Do not read SQLite of tables of which nothing was logged since they were found equal.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def verify(
    session: Options,
    tables: tuple[str, ...],
    repair: bool,
    yes: bool,
    show_values: bool,
    trust_changelog: bool,
    as_json: bool,
) -> int:
    """Compare every row of both databases, and the schema in Postgres.

    The schema is compared with what the DDL of today would make.

    It may run at any time, also while the application writes: rows that change meanwhile are looked at again. Exit
    code 1 says that rows differ, 2 that a table could not be compared. What was found is recorded for `cdc status`.
    Before a repair, the rows as Postgres has them are saved to files in the state folder. Rows that only Postgres has
    are deleted there only when you say so: it asks at a terminal, and leaves them elsewhere unless --yes is given.

    With --trust-changelog, tables of which no change was logged since their last comparison are hashed in Postgres
    alone, which takes less; what was written to SQLite past the triggers meanwhile is not seen then.

    After a cutover it is Postgres that SQLite has to be like: what is on its way back is looked at again, and there is
    no --repair: a row that is written in Postgres once more is carried back again.
    """
    from cdc.verify import verify as compare

    session.start_log()
    config = session.config()
    with audited(config, "verify", repair=repair) as told:
        consent = partial(_may_delete, yes=yes, asks=not as_json)
        comparing = compare(
            config, tables or None, repair, session.progress(), consent, trust_changelog=trust_changelog
        )
        report = run_async(comparing)
        told |= {"result": report.result, "differences": report.differences, "repaired": report.repaired}
        if repair:
            told["left"] = report.repair.left
    if as_json:
        print_json(report.to_json(values=show_values))
    else:
        print_report(report, values=show_values)
    return int(report.exit_code)


def _may_delete(extra: "Sequence[ExtraRows]", *, yes: bool, asks: bool) -> bool:
    """Whether rows that only Postgres has may be deleted there; a person is asked where there is one."""
    if yes or not (asks and sys.stdin.isatty() and sys.stdout.isatty()):
        return yes
    rows = sum(found.rows for found in extra)
    named = "; ".join(
        f"{found.table}: {', '.join(found.keys)}{' ...' if found.rows > len(found.keys) else ''}" for found in extra
    )
    say(f"{counted(rows, 'row')} {'is' if rows == 1 else 'are'} only in Postgres and would be deleted there: {named}")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the event loop's own waits for the answer
    try:
        with terminable():
            return click.confirm("They are saved to files first. Delete them?", default=False)
    finally:
        signal.signal(signal.SIGINT, before)


def print_report(report: "VerifyReport", *, values: bool = False) -> None:
    """The counts of each table, some keys that differ, and what it means; with `values`, what both have there."""
    back = report.leads is Side.POSTGRES
    sides = ("only SQLite", "only Postgres", "not carried") if back else ("missing", "extra", "quarantined")
    columns = ("table", "equal", "different", *sides, "pending")
    rows = [
        (t.table, t.matched, t.different, t.missing, t.extra, t.uncarried if back else t.quarantined, t.pending)
        for t in report.tables
    ]
    print_table(columns, rows, numbers=columns[1:])
    say()
    for table in report.tables:
        _print_differences(table, report.again.get(table.table), _KINDS_BACK if back else {})
        if values:
            _print_values(table)
    for problem in report.problems:
        say(f"! {problem}")
    for finding in report.schema:
        say(f"! {finding.words}; {finding.remedy}")
    for note in report.notes:
        say(note)
    for found in report.answers:
        said = f"SQLite says {found.source!r}, Postgres {found.target!r}"
        say(f"as expected: {found.name}" if found.met else f"! {found.name}: {said}; expected {found.expected!r}")
    for file in report.repair.files:
        say(f"saved before the repair: {file}")
    say(_verdict(report))


def _print_differences(table: "TableReport", again: "Recurrence | None", words: Mapping[str, str]) -> None:
    if table.problem:
        say(f"! {table.table}: {table.problem}")
    for kind, keys in table.samples.items():
        more = " ..." if len(keys) > _SHOWN_KEYS else ""
        named = ", ".join(_with_columns(table, key) for key in keys[:_SHOWN_KEYS])
        say(f"! {table.table}: {words.get(kind, kind)}: {named}{more}")
    if again is not None:
        say(f"! {table.table}: {again.words()}")
        for line in again.writers.lines():
            say(f"    {line}")


def _with_columns(table: "TableReport", key: str) -> str:
    columns = ", ".join(difference.column for difference in table.columns.get(key, ()))
    return f"{show_key(key)} ({columns})" if columns else show_key(key)


def _print_values(table: "TableReport") -> None:
    from cdc.verify.report import shown

    for key, differences in table.columns.items():
        for difference in differences:
            say(f"  {table.table} {show_key(key)}, {difference.column}:")
            say(f"    SQLite    {_cut(shown(difference.source))}")
            say(f"    Postgres  {_cut(_quoted(difference.target))}")


def _quoted(text: str | None) -> str:
    return "NULL" if text is None else "'" + text.replace("'", "''").replace("\n", "\\n") + "'"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}... ({len(text):,} characters)"


def _verdict(report: "VerifyReport") -> str:
    from cdc.postgres.record.verification import DIFFERENT, EQUAL

    seconds = (report.finished_at - report.started_at).total_seconds()
    if report.result == EQUAL:
        left = _left_out(report)
        said = "what was compared is the same in both databases" if left else "both databases hold the same"
        return f"{said}, compared in {seconds:.1f} s{''.join(left)}"
    if report.result == DIFFERENT and not report.differences:
        return f"the rows are the same in both, but {_beside_rows(report)}: see above"
    if report.result == DIFFERENT:
        return "; ".join(_repaired(report)) or f"{report.differences:,} rows differ{_what_helps(report)}"
    return "not everything could be compared: see above; `cdc run` follows a changed schema by itself"


def _beside_rows(report: "VerifyReport") -> str:
    if not report.schema:
        return "an answer is not the expected one"
    return f"{counted(len(report.schema), 'part')} of the schema in Postgres are not as they should be"


def _what_helps(report: "VerifyReport") -> str:
    if report.leads is Side.POSTGRES:
        return " in SQLite; a row that is written in Postgres once more, unchanged too, is carried back again"
    return "; `cdc verify --repair` has the daemon move them again"


def _repaired(report: "VerifyReport") -> list[str]:
    logged, left = report.repaired, report.repair.left
    moved = f"{logged:,} keys were logged again: the daemon moves them, then run `cdc verify` again"
    kept = f"{counted(left, 'row')} only in Postgres, left there: `cdc verify --repair --yes` deletes what only it has"
    return [*([moved] if logged else []), *([kept] if left else [])]


def _rows_are(n: int) -> str:
    return f"{counted(n, 'row')} {'is' if n == 1 else 'are'}"


def _their(n: int) -> str:
    return "its" if n == 1 else "their"


def _not_read(report: "VerifyReport") -> str:
    """Of which tables SQLite was not read, and since when a write past the triggers would not be seen."""
    since = [table.summed_at for table in report.tables if table.summed_at]
    tables = counted(len(since), "table")
    return f"; of {tables} SQLite was read on {min(since):%Y-%m-%d %H:%M} UTC: no change is logged since"


def _left_out(report: "VerifyReport") -> list[str]:
    """What a sentence of success has to count: rows and columns of SQLite that Postgres does not hold, or not yet."""
    columns = ", ".join(report.skipped[:_SHOWN_KEYS]) + (" ..." if len(report.skipped) > _SHOWN_KEYS else "")
    return [
        *([f"; {_rows_are(report.pending)} still on {_their(report.pending)} way"] if report.pending else []),
        *(
            [f"; {_rows_are(report.quarantined)} not in Postgres, but in quarantine: `cdc quarantine list`"]
            if report.quarantined
            else []
        ),
        *([f"; {counted(report.uncarried, 'row')} of Postgres cannot be held by SQLite"] if report.uncarried else []),
        *([_not_read(report)] if any(table.summed_at for table in report.tables) else []),
        *([f"; columns that `skip` leaves out: {columns}"] if columns else []),
    ]
