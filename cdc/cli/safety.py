"""`cdc restore` and `cdc cleanup`: the way back."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from cdc.audit import Detail
from cdc.cli.command import Command
from cdc.cli.output import say
from cdc.cli.session import Session, audited, pass_session
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
    examples=(("cdc cleanup --capture-only", "Take triggers and changelog out of the SQLite file."),),
)
@click.option("--capture-only", is_flag=True, help="Remove this tool's triggers and tables from the SQLite file.")
@pass_session
def cleanup(session: Session, capture_only: bool) -> None:
    """Remove what this tool left in the SQLite file.

    The application's own data stays as it is.
    """
    if not capture_only:
        raise UsageError(
            "say what is to be removed", remedy="`cdc cleanup --capture-only` removes triggers and changelog"
        )
    from cdc import bootstrap

    session.start_log()
    config = session.config()
    with audited(config, "cleanup") as told:
        removed = told["removed"] = bootstrap.remove_capture(config)
    say("capture is removed" if removed else "there was no capture to remove")


def _audited_where_possible(session: Session, action: str, **details: Detail) -> AbstractContextManager[object]:
    """An audited step; on a machine without a configuration, where a snapshot may well be restored, just the step."""
    try:
        config = session.config()
    except ConfigError:
        return nullcontext()
    return audited(config, action, **details)
