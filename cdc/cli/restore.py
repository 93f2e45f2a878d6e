"""`cdc restore`: the application's file as it was in a snapshot."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from cdc.audit.trail import Detail
from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session
from cdc.cli.output import say
from cdc.errors import ConfigError


@click.command(
    cls=Command,
    examples=(
        ("cdc restore .cdc/snapshots/20261123T074617.781783Z-b313a9 --to restored.db", "A snapshot as a SQLite file."),
    ),
)
@click.argument("snapshot", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", "to", required=True, type=click.Path(path_type=Path), help="The SQLite file to write.")
@pass_session
def restore(session: Options, snapshot: Path, to: Path) -> None:
    """Write a verified SNAPSHOT folder back as a SQLite file.

    The copy is checked against its manifest first; an existing file is not replaced.
    """
    from cdc.sqlite.snapshot.restore import restore as restore_file
    from cdc.sqlite.snapshot.snapshot import open_snapshot

    session.start_log()
    with _audited_where_possible(session, "restore", snapshot=str(snapshot), to=str(to)):
        restore_file(open_snapshot(snapshot), to)
    say(f"restored {to}")


def _audited_where_possible(session: Options, action: str, **details: Detail) -> AbstractContextManager[object]:
    """An audited step; on a machine without a configuration, where a snapshot may well be restored, just the step."""
    try:
        config = session.config()
    except ConfigError:
        return nullcontext()
    return audited(config, action, **details)
