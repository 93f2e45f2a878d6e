"""`cdc verify`: whether both databases hold the same, and repair where they do not."""

from typing import TYPE_CHECKING

import click

from cdc.cli.completion import complete_table
from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import print_json, print_table, say
from cdc.facts.row_key import show_key

if TYPE_CHECKING:
    from cdc.verify.report import VerifyReport

_SHOWN_KEYS = 5


@click.command(
    cls=Command,
    examples=(
        ("cdc verify", "Compare everything."),
        ("cdc verify --table content --table summary_variants", "Compare two tables."),
        ("cdc verify --repair", "Have every row that differs moved again."),
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
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def verify(session: Options, tables: tuple[str, ...], repair: bool, as_json: bool) -> int:
    """Compare every row of both databases.

    It may run at any time, also while the application writes: rows that change meanwhile are looked at again. Exit
    code 1 says that rows differ, 2 that a table could not be compared. What was found is recorded for `cdc status`.
    """
    from cdc.verify import verify as compare

    session.start_log()
    config = session.config()
    with audited(config, "verify", repair=repair) as told:
        report = run_async(compare(config, tables or None, repair, session.progress()))
        told |= {"result": report.result, "differences": report.differences, "repaired": report.repaired}
    if as_json:
        print_json(report.to_json())
    else:
        print_report(report)
    return int(report.exit_code)


def print_report(report: "VerifyReport") -> None:
    """The counts of each table, some keys that differ, and what it means."""
    columns = ("table", "equal", "different", "missing", "extra", "quarantined", "pending")
    rows = [(t.table, t.matched, t.different, t.missing, t.extra, t.quarantined, t.pending) for t in report.tables]
    print_table(columns, rows, numbers=columns[1:])
    say()
    for table in report.tables:
        if table.problem:
            say(f"! {table.table}: {table.problem}")
        for kind, keys in table.samples.items():
            more = " ..." if len(keys) > _SHOWN_KEYS else ""
            say(f"! {table.table}: {kind}: {', '.join(map(show_key, keys[:_SHOWN_KEYS]))}{more}")
    for problem in report.problems:
        say(f"! {problem}")
    for found in report.answers:
        said = f"SQLite says {found.source!r}, Postgres {found.target!r}"
        say(f"as expected: {found.name}" if found.met else f"! {found.name}: {said}; expected {found.expected!r}")
    say(_verdict(report))


def _verdict(report: "VerifyReport") -> str:
    from cdc.postgres.record.verification import DIFFERENT, EQUAL

    seconds = (report.finished_at - report.started_at).total_seconds()
    if report.result == EQUAL:
        left = _left_out(report)
        said = "what was compared is the same in both databases" if left else "both databases hold the same"
        return f"{said}, compared in {seconds:.1f} s{''.join(left)}"
    if report.result == DIFFERENT and report.repaired:
        return f"{report.repaired:,} keys were logged again: the daemon moves them, then run `cdc verify` again"
    if report.result == DIFFERENT and not report.differences:
        return "the rows are the same in both, but an answer is not the expected one: see above"
    if report.result == DIFFERENT:
        return f"{report.differences:,} rows differ; `cdc verify --repair` has the daemon move them again"
    return "not everything could be compared: see above; `cdc run` follows a changed schema by itself"


def _left_out(report: "VerifyReport") -> list[str]:
    """What a sentence of success has to count: rows and columns of SQLite that Postgres does not hold, or not yet."""
    columns = ", ".join(report.skipped[:_SHOWN_KEYS]) + (" ..." if len(report.skipped) > _SHOWN_KEYS else "")
    return [
        *([f"; {report.pending:,} rows are still on their way"] if report.pending else []),
        *(
            [f"; {report.quarantined:,} rows are not in Postgres, they wait in quarantine: `cdc quarantine list`"]
            if report.quarantined
            else []
        ),
        *([f"; columns that `skip` leaves out: {columns}"] if columns else []),
    ]
