"""`cdc load`: the first copy."""

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import say
from cdc.cli.resync import accept_file, agreed
from cdc.cli.schema import _heal_accepted
from cdc.facts.counted import counted


@click.command(
    cls=Command,
    examples=(
        ("cdc load", "Load, or go on with a load that was cut short."),
        ("cdc load --resync", "Accept a file that was restored from a backup."),
        ("cdc load --resync --yes", "The same from a script."),
    ),
)
@click.option("--resync", is_flag=True, help="Accept the file as it is now; the daemon then compares every row.")
@agreed
@pass_session
def load(session: Options, resync: bool, yes: bool) -> None:
    """Load the snapshot into the new tables.

    A load that was cut short goes on with the tables it lacks. --resync is for a file that was restored, replaced or
    overwritten on purpose. It says first what would become of the rows in Postgres, and asks when more than 100
    rows and 1 % of a table would be deleted or changed, or come back that were deleted before. What is replaced is
    saved to files in the state folder; what comes back waits, see `cdc tombstones`.
    """
    from cdc.first_copy import loader

    session.start_log()
    config = session.config()
    if resync:
        with audited(config, "resync") as told:
            run_async(_heal_accepted(config))
            tables = accept_file(config, session.progress(), told, yes=yes)
        say(f"the daemon will compare every row of {counted(len(tables), 'table')}; next: `cdc run`")
        return
    with audited(config, "load") as told:
        report = run_async(loader.load(config, session.progress()))
        told.update(report.told)
    if report.left_to_stream:
        say(f"{counted(len(report.left_to_stream), 'table')} will be filled by the daemon; next: `cdc run`")
    else:
        held = f", {counted(report.quarantined, 'row')} in quarantine" if report.quarantined else ""
        say(
            f"loaded {counted(report.rows, 'row')}{held}; next: `cdc run`"
            if report.rows
            else "nothing was left to load"
        )
