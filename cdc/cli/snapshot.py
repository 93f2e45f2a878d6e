"""`cdc snapshot`: a checked copy of the application's file, taken while it is written."""

from typing import TYPE_CHECKING

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import bytes_text, print_facts
from cdc.config import Config
from cdc.facts.counted import counted
from cdc.facts.progress import Progress

if TYPE_CHECKING:
    from cdc.sqlite.snapshot.snapshot import Snapshot


@click.command(cls=Command, examples=(("cdc snapshot", "Take one; its folder is the way back for `cdc restore`."),))
@pass_session
def snapshot(session: Options) -> None:
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
    from cdc.first_copy import snapshots

    taken = await snapshots.take_snapshot(config, progress)
    return taken, await snapshots.remove_older_snapshots(config)
