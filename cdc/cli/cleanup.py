"""`cdc cleanup`: replication ends, and nothing of it stays in the application's file."""

import click

from cdc.cli.cleanup_legacy import with_legacy
from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import say
from cdc.errors import UsageError


@click.command(
    cls=Command,
    examples=(
        ("cdc cleanup --capture-only", "Take triggers and changelog out of the SQLite file."),
        ("cdc cleanup --release /srv/old/app.db", "Free the tables in Postgres that another file feeds."),
        ("cdc cleanup --legacy /srv/app /etc/cron.d", "What is left of old sync scripts and of SQLite in a code base."),
        ("cdc cleanup --legacy /srv/app --apply", "Remove the named scripts, with a backup."),
    ),
)
@click.option("--capture-only", is_flag=True, help="Remove this tool's triggers and tables from the SQLite file.")
@click.option("--release", metavar="PATH", help="Free the tables of the file that is, or was, at PATH.")
@pass_session
@with_legacy
def cleanup(session: Options, capture_only: bool, release: str | None) -> None:
    """End the replication of a file on purpose.

    --capture-only removes what this tool left in the SQLite file. The application's own data stays as it is, and so do
    the tables in Postgres: they may be fed from another file from then on. --release does that much for a file that is
    gone, or that another configuration names, and touches no SQLite file. The daemon must be stopped.

    --legacy opens no database: it searches code, schedules and settings for scripts that copied the SQLite file, for
    what calls them, and for what still uses SQLite, and exits with 1 while anything is left. --apply removes the
    scripts alone, and --undo puts them back.
    """
    if capture_only == (release is not None):
        raise UsageError(
            "say what is to be removed", remedy="`cdc cleanup --capture-only` removes triggers and changelog"
        )
    from cdc.stream import end

    session.start_log()
    config = session.config()
    if release is not None:
        with audited(config, "free tables", source=release):
            run_async(end.release(config, release))
        say(f"the tables that {release} fed are free; what they hold stays as it is")
        return
    with audited(config, "cleanup") as told:
        done = run_async(end.end(config))
        told["removed"] = done.removed
    say("capture is removed" if done.removed else "there was no capture to remove")
    if done.untold:
        say(f"Postgres could not be told that its tables are free: {done.untold}")
        say("give the command again when it can be reached")
