"""`cdc restore` and `cdc cleanup`: the way back."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from cdc.audit import Detail
from cdc.cli.command import Command
from cdc.cli.output import say
from cdc.cli.session import Session, audited, pass_session, run_async
from cdc.errors import ConfigError, UsageError


@click.command(
    cls=Command,
    examples=(
        ("cdc restore .cdc/snapshots/20261123T074617.781783Z-b313a9 --to restored.db", "A snapshot as a SQLite file."),
    ),
)
@click.argument("snapshot", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", "to", required=True, type=click.Path(path_type=Path), help="The SQLite file to write.")
@pass_session
def restore(session: Session, snapshot: Path, to: Path) -> None:
    """Write a verified SNAPSHOT folder back as a SQLite file.

    The copy is checked against its manifest first; an existing file is not replaced.
    """
    from cdc.sqlite import snapshot as snapshots

    session.start_log()
    with _audited_where_possible(session, "restore", snapshot=str(snapshot), to=str(to)):
        snapshots.restore(snapshots.open_snapshot(snapshot), to)
    say(f"restored {to}")


@click.command(
    cls=Command,
    examples=(
        ("cdc cleanup --capture-only", "Take triggers and changelog out of the SQLite file."),
        ("cdc cleanup --release /srv/old/app.db", "Free the tables in Postgres that another file feeds."),
    ),
)
@click.option("--capture-only", is_flag=True, help="Remove this tool's triggers and tables from the SQLite file.")
@click.option("--release", metavar="PATH", help="Free the tables of the file that is, or was, at PATH.")
@pass_session
def cleanup(session: Session, capture_only: bool, release: str | None) -> None:
    """End the replication of a file on purpose.

    --capture-only removes what this tool left in the SQLite file. The application's own data stays as it is, and so do
    the tables in Postgres: they may be fed from another file from then on. --release does that much for a file that is
    gone, or that another configuration names, and touches no SQLite file. The daemon must be stopped.
    """
    if capture_only == (release is not None):
        raise UsageError(
            "say what is to be removed", remedy="`cdc cleanup --capture-only` removes triggers and changelog"
        )
    from cdc import ending

    session.start_log()
    config = session.config()
    if release is not None:
        with audited(config, "free tables", source=release):
            run_async(ending.release(config, release))
        say(f"the tables that {release} fed are free; what they hold stays as it is")
        return
    with audited(config, "cleanup") as told:
        done = run_async(ending.end(config))
        told["removed"] = done.removed
    say("capture is removed" if done.removed else "there was no capture to remove")
    if done.untold:
        say(f"Postgres could not be told that its tables are free: {done.untold}")
        say("give the command again when it can be reached")


def _audited_where_possible(session: Session, action: str, **details: Detail) -> AbstractContextManager[object]:
    """An audited step; on a machine without a configuration, where a snapshot may well be restored, just the step."""
    try:
        config = session.config()
    except ConfigError:
        return nullcontext()
    return audited(config, action, **details)
