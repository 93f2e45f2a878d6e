"""`cdc restore`, `cdc cleanup` and `cdc audit`: the way back, and the record of every step."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from cdc.audit import AuditEntry, Detail, read
from cdc.cli.command import Command
from cdc.cli.output import print_json, print_table, say, time_text
from cdc.cli.session import Session, audited, pass_session, run_async
from cdc.config import Config
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


@click.command(
    cls=Command,
    examples=(
        ("cdc audit", "The newest entries."),
        ("cdc audit --limit 500 --json", "More of them, for a program."),
        ("cdc audit --postgres", "The copy in Postgres, when the state folder is lost."),
    ),
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many of the newest.")
@click.option("--postgres", is_flag=True, help="Read the copy in Postgres instead of the file in the state folder.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def audit(session: Session, limit: int, postgres: bool, as_json: bool) -> None:
    """Show who did what, when, with what result."""
    session.start_log()
    config = session.config()
    entries = run_async(_recent(config, limit)) if postgres else read(config.state.dir, limit)
    if as_json:
        print_json({"entries": [e.to_json() for e in entries]})
    elif entries:
        rows = [(time_text(e.at), e.actor, e.action, e.result, _details(e.details)) for e in entries]
        print_table(("at", "who", "what", "result", "details"), rows)
    else:
        say("nothing was done yet")


def _audited_where_possible(session: Session, action: str, **details: Detail) -> AbstractContextManager[object]:
    """An audited step; on a machine without a configuration, where a snapshot may well be restored, just the step."""
    try:
        config = session.config()
    except ConfigError:
        return nullcontext()
    return audited(config, action, **details)


async def _recent(config: Config, limit: int) -> list[AuditEntry]:
    from cdc.postgres.audit import recent
    from cdc.postgres.status import never_started
    from cdc.postgres.target import connected

    if never_started(config):
        return []
    async with connected(config, "audit") as connection:
        return await recent(connection, limit)


def _details(details: Mapping[str, Detail]) -> str:
    return ", ".join(f"{name} {value}" for name, value in details.items() if value is not None)
