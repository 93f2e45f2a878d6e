"""`cdc rollback`: applications write to SQLite again, with all that they wrote to Postgres meanwhile."""

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import print_json, say
from cdc.errors import ExitCode, UsageError
from cdc.facts.side import Side


@click.command(
    cls=Command,
    examples=(
        ("cdc rollback --dry-run", "See what would be lost, what is in the way, and every step."),
        ("cdc rollback", "Go back; replication goes on, and `cdc cutover` can be tried again."),
    ),
)
@click.option("--dry-run", is_flag=True, help="Only show the plan; nothing is written anywhere.")
@click.option("--reads-only", is_flag=True, help="Have the application read from SQLite again.")
@click.option("--emergency", is_flag=True, help="Postgres is gone: open SQLite as it stands.")
@click.option("--yes", is_flag=True, help="With --emergency: do it although changes are missing.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def rollback(session: Options, dry_run: bool, reads_only: bool, emergency: bool, yes: bool, as_json: bool) -> int:
    """Take writes back to SQLite after a cutover.

    What applications wrote to Postgres is in SQLite before it opens; then changes flow to Postgres as before, without a
    new copy. Whatever fails on the way is undone. With --dry-run, exit code 1 says that something is in the way.

    --emergency needs no Postgres: applications write to SQLite as it stands, and it says what is missing there. Once
    Postgres is there again, the daemon closes it, saves to files what only it has, and has it follow SQLite.
    """
    from cdc.cli.switch_report import showing, tell_plan, tell_reads, tell_switched
    from cdc.cutover import reads, run, survey
    from cdc.ending.backups import refuse_way_back

    session.start_log()
    config = session.config()
    refuse_way_back(config)
    if emergency:
        return _open_sqlite(session, yes=yes, as_json=as_json)
    if reads_only:
        return tell_reads(run_async(reads.move_reads(config, Side.SQLITE)), Side.SQLITE, as_json=as_json)
    plan = run_async(survey.rollback_plan(config))
    if dry_run or plan.exit_code:
        return tell_plan(plan, as_json=as_json)
    done = run_async(run.rollback(config, showing(as_json=as_json), session.progress()))
    return tell_switched(done, "applications write to SQLite again, and Postgres follows", as_json=as_json)


def _open_sqlite(session: Options, *, yes: bool, as_json: bool) -> int:
    from cdc.cutover.flag.flags import Flags
    from cdc.cutover.flag.state import AT_FIRST
    from cdc.reverse import emergency

    config = session.config()
    missing = run_async(emergency.missing(config))
    if not yes:
        raise UsageError(
            f"SQLite would lack {missing}",
            remedy="while Postgres answers, `cdc rollback` goes back in good order; if it does not, add --yes",
        )
    with audited(config, "emergency", missing=str(missing)):
        emergency.open_sqlite(config)
        if config.cutover.flags:
            Flags(config).set_all(AT_FIRST)
    if as_json:
        print_json({"to": Side.SQLITE, "missing": missing.changes, "returned_at": str(missing.returned_at)})
    else:
        say(f"applications write to SQLite; it lacks {missing}")
        say("next: start the daemon once Postgres is there again; until then changes wait in the SQLite file")
    return ExitCode.OK
