"""`cdc plan`, `cdc snapshot`, `cdc schema` and `cdc load`: the steps before the daemon, one by one."""

from typing import TYPE_CHECKING

import click

from cdc.cli.command import Command
from cdc.cli.output import bytes_text, counted, print_facts, print_json, say
from cdc.cli.resync import accept_file, agreed
from cdc.cli.session import Session, audited, pass_session, run_async
from cdc.config import Config
from cdc.model import Progress

if TYPE_CHECKING:
    from cdc.sqlite.snapshot import Snapshot


@click.command(
    cls=Command,
    examples=(
        ("cdc plan", "Look before anything is touched."),
        ("cdc plan --columns", "See the type that every column gets."),
        ("cdc plan --json", "The same for a program."),
    ),
)
@click.option("--columns", is_flag=True, help="Also list every column with its type, and what is created on it.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def plan(session: Session, columns: bool, as_json: bool) -> int:
    """Show what would be created, every risk, and what blocks.

    Exit code 1 says that some rows will go to quarantine, 2 that the first copy cannot begin.
    """
    from cdc import bootstrap
    from cdc.cli.plan_report import print_plan

    session.start_log()
    made = run_async(bootstrap.build_plan(session.config()))
    if as_json:
        print_json(made.to_json())
    else:
        print_plan(made, with_columns=columns)
    return int(made.exit_code)


@click.command(cls=Command, examples=(("cdc snapshot", "Take one; its folder is the way back for `cdc restore`."),))
@pass_session
def snapshot(session: Session) -> None:
    """Take a checked copy of the running application's file.

    The copy is consistent, described by a manifest with its SHA-256, and its restore is rehearsed. Older ones beyond
    `keep` in [snapshot] are then removed, but never the one that the copy in Postgres began with.
    """
    session.start_log()
    config = session.config()
    with audited(config, "snapshot") as told:
        taken, removed = run_async(_snapshot(config, session.progress()))
        manifest = taken.manifest
        rows = sum(manifest.application_tables.values())
        told |= {"snapshot": manifest.id, "rows": rows}
    print_facts(
        [
            ("snapshot", taken.folder),
            ("size", bytes_text(manifest.bytes)),
            ("rows", f"{rows:,} in {counted(len(manifest.application_tables), 'table')}"),
            ("integrity", manifest.integrity_check),
            ("rows that break their table", "; ".join(f"{n:,} times {what}" for what, n in manifest.faults.items())),
            ("not checked", "; ".join(f"{name}: {why}" for name, why in manifest.unchecked.items())),
            ("SHA-256", manifest.sha256),
            ("removed", ", ".join(removed)),
            ("next", f"`cdc schema`; the way back is `cdc restore {taken.folder} --to FILE`"),
        ]
    )


async def _snapshot(config: Config, progress: Progress) -> "tuple[Snapshot, list[str]]":
    from cdc import bootstrap

    taken = await bootstrap.take_snapshot(config, progress)
    return taken, await bootstrap.remove_older_snapshots(config)


@click.command(
    cls=Command,
    examples=(
        ("cdc schema --print", "Read the SQL first."),
        ("cdc schema", "Create what is missing."),
        ("cdc schema --apply-pending --print", "See what the application dropped and Postgres still has."),
        ("cdc schema --apply-pending", "Save that to files, then drop it in Postgres too."),
    ),
)
@click.option("--print", "only_print", is_flag=True, help="Print the SQL and change nothing.")
@click.option("--apply-pending", is_flag=True, help="Drop what the application has dropped, after saving it.")
@pass_session
def schema(session: Session, only_print: bool, apply_pending: bool) -> None:
    """Create the tables in Postgres.

    What is there already is left as it is, so the command can be given again. After the first copy it also makes the
    views that the application has got since, if both databases answer them alike. What is gone of the schema `cdc` is
    made again; the daemon then compares what is not known any more.

    Columns and tables that the application dropped or renamed stay in Postgres until --apply-pending: then their values
    are saved to files in the state folder and they are dropped, all or none. The daemon must be stopped or paused.
    """
    from cdc import bootstrap

    session.start_log()
    config = session.config()
    if apply_pending:
        _apply_pending(config, only_print=only_print)
        return
    if only_print:
        click.echo(run_async(bootstrap.render_schema(config)).rstrip("\n"))
        return
    with audited(config, "schema") as told:
        done = run_async(_schema(config))
        told["statements"] = len(done)
    say(f"the schema is in place ({counted(len(done), 'statement')})")


async def _schema(config: Config) -> list[str]:
    from cdc import bootstrap, healing

    await healing.heal_now(config)
    return await bootstrap.create_schema(config)


async def _heal_accepted(config: Config) -> None:
    from cdc import healing

    await healing.heal_now(config, accepted=True)


def _apply_pending(config: Config, *, only_print: bool) -> None:
    from cdc import leftovers

    if only_print:
        click.echo(run_async(leftovers.render(config)), nl=False)
        return
    with audited(config, "apply pending") as told:
        dropped = run_async(leftovers.drop(config))
        told["dropped"] = [left.what for left in dropped]
    for left in dropped:
        say(f"dropped {left.what}; {counted(left.rows, 'row')} saved in {left.file}")
    if not dropped:
        say("nothing is left over")


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
def load(session: Session, resync: bool, yes: bool) -> None:
    """Load the snapshot into the new tables.

    A load that was cut short goes on with the tables it lacks. --resync is for a file that was restored, replaced or
    overwritten on purpose. It says first what would become of the rows in Postgres, and asks when more than 100
    rows and 1 % of a table would be deleted or changed. These are saved to files in the state folder.
    """
    from cdc import loading

    session.start_log()
    config = session.config()
    if resync:
        with audited(config, "resync") as told:
            run_async(_heal_accepted(config))
            tables = accept_file(config, session.progress(), told, yes=yes)
        say(f"the daemon will compare every row of {counted(len(tables), 'table')}; next: `cdc run`")
        return
    with audited(config, "load") as told:
        report = run_async(loading.load(config, session.progress()))
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
