"""`cdc cutover`: applications write to Postgres from now on, and SQLite follows."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, SpanParameter, audited, pass_session, run_async
from cdc.cli.output import print_json, say
from cdc.errors import ExitCode, UsageError
from cdc.facts.counted import counted
from cdc.facts.side import Side

if TYPE_CHECKING:
    from cdc.verify.report import VerifyReport


@click.command(
    cls=Command,
    examples=(
        ("cdc cutover --dry-run", "See what is in the way, and every step with what undoes it."),
        ("cdc cutover --prepare", "Do all that may take minutes; it may be left standing."),
        ("cdc cutover --reads-only", "Let reads go first; writes stay in SQLite."),
        ("cdc cutover", "Switch, within moments."),
    ),
)
@click.option("--dry-run", is_flag=True, help="Only show the plan; nothing is written anywhere.")
@click.option("--prepare", "prepares", is_flag=True, help="Only make ready: fences, the way back, a comparison.")
@click.option("--reads-only", is_flag=True, help="Have the application read from Postgres, and write to SQLite.")
@click.option("--wait-for", type=click.Path(path_type=Path), help="Hold the last moment until this file appears.")
@click.option("--watch", type=SpanParameter(), help="Ask the checks for so long, such as 10m; go back if they fail.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def cutover(
    session: Options,
    dry_run: bool,
    prepares: bool,
    reads_only: bool,
    wait_for: Path | None,
    watch: timedelta | None,
    as_json: bool,
) -> int:
    """Let applications write to Postgres; SQLite follows.

    SQLite refuses writes for the moment of the switch, at most `max_refused_seconds`, and from then on. Whatever fails
    on the way is undone, and everything is as before. `cdc rollback` goes back at any time and loses nothing. With
    --dry-run, exit code 1 says that something is in the way, 2 that it is impossible as things stand.
    """
    from cdc.cli.switch_report import showing, tell_plan, tell_reads, tell_switched
    from cdc.cutover import prepare, reads, run, survey
    from cdc.cutover.watch import require_checks
    from cdc.cutover.watch import watch as watched

    if dry_run + prepares > 1 or (prepares and reads_only):
        raise UsageError("--prepare goes with no other option of `cdc cutover`", remedy="give one of them")
    session.start_log()
    config = session.config()
    if prepares:
        with audited(config, "prepare cutover") as told:
            report = run_async(prepare.prepare(config, session.progress()))
            told |= {"rows": sum(table.matched for table in report.tables)}
        return _tell_prepared(report, as_json=as_json)
    plan = run_async(reads.reads_plan(config) if reads_only else survey.cutover_plan(config))
    if dry_run or plan.exit_code:
        return tell_plan(plan, as_json=as_json)
    if reads_only:
        return tell_reads(run_async(reads.move_reads(config, Side.POSTGRES)), Side.POSTGRES, as_json=as_json)
    if watch:
        require_checks(config)
    done = run_async(run.cutover(config, showing(as_json=as_json), wait_for))
    if watch and not done.afterwards and (why := run_async(watched(config, watch.total_seconds()))):
        back = run_async(run.rollback(config, showing(as_json=as_json), session.progress()))
        return tell_switched(replace(back, afterwards=why), "the cutover was taken back", as_json=as_json)
    return tell_switched(done, "applications write to Postgres, and SQLite follows", as_json=as_json)


def _tell_prepared(report: "VerifyReport", *, as_json: bool) -> int:
    alike, pending, held = sum(t.matched for t in report.tables), report.pending, report.quarantined
    if as_json:
        position = report.position.seq
        print_json({"prepared": True, "position": position, "rows": alike, "pending": pending, "quarantined": held})
        return ExitCode.OK
    say(f"ready: fences and the way back stand, and {counted(alike, 'row')} are alike in both")
    if pending:
        say(f"written to meanwhile: {counted(pending, 'row')}; the switch compares these, and all that come after")
    if held:
        say(f"in quarantine, and not in Postgres: {counted(held, 'row')}; see `cdc quarantine list`")
    say("next: `cdc cutover --dry-run`")
    return ExitCode.OK
