"""`cdc restore`: the application's file as it was in a snapshot."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from cdc.audit.trail import Detail
from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import say
from cdc.errors import ConfigError
from cdc.facts.counted import counted


@click.command(
    cls=Command,
    examples=(
        ("cdc restore .cdc/snapshots/20261123T074617.781783Z-b313a9 --to restored.db", "A snapshot as a SQLite file."),
        (
            "cdc restore .cdc/snapshots/20261123T074617.781783Z-b313a9 --to newest.db --with-changes",
            "The same, with all that was replicated since: the file itself may be gone.",
        ),
    ),
)
@click.argument("snapshot", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", "to", required=True, type=click.Path(path_type=Path), help="The SQLite file to write.")
@click.option("--with-changes", is_flag=True, help="Bring it forward to what Postgres has now.")
@pass_session
def restore(session: Options, snapshot: Path, to: Path, with_changes: bool) -> None:
    """Write a verified SNAPSHOT folder back as a SQLite file.

    The copy is checked against its manifest first; an existing file is not replaced. With --with-changes every row is
    then made as Postgres has it, and it says which state of the application that is, and what is not known.
    """
    from cdc.sqlite.snapshot.restore import restore as restore_file
    from cdc.sqlite.snapshot.snapshot import open_snapshot

    session.start_log()
    if with_changes:
        _restore_with_changes(session, snapshot, to)
        return
    with _audited_where_possible(session, "restore", snapshot=str(snapshot), to=str(to)):
        restore_file(open_snapshot(snapshot), to)
    say(f"restored {to}")


def _restore_with_changes(session: Options, snapshot: Path, to: Path) -> None:
    from cdc.reverse.bring_forward import restore_with_changes
    from cdc.sqlite.snapshot import snapshot as snapshots

    config = session.config()
    with audited(config, "restore", snapshot=str(snapshot), to=str(to), with_changes=True) as told:
        done = run_async(restore_with_changes(config, snapshots.open_snapshot(snapshot), to))
        told |= {"rows": done.changed}
    say(f"restored {to}, {done.state}: {counted(done.changed, 'row')} other than in the snapshot")
    for words in done.unknown:
        say(f"  not known: {words}")


def _audited_where_possible(session: Options, action: str, **details: Detail) -> AbstractContextManager[object]:
    """An audited step; on a machine without a configuration, where a snapshot may well be restored, just the step."""
    try:
        config = session.config()
    except ConfigError:
        return nullcontext()
    return audited(config, action, **details)
