"""`cdc tombstones`: which keys were deleted lately, and what is to become of rows that came back under them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from cdc.cli.completion import complete_table
from cdc.cli.confirm import require_somebody, require_yes
from cdc.cli.help import Group
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import print_json, print_table, say
from cdc.cli.target import desk
from cdc.config import Config
from cdc.errors import UsageError
from cdc.facts.counted import counted
from cdc.facts.row_key import show_key

if TYPE_CHECKING:
    from cdc.postgres.record.tombstones import Tombstone
    from cdc.tombstones.decide import Wish

MOST_SHOWN: Final = 50  # --json has them all
_table = click.option("--table", metavar="NAME", shell_complete=complete_table, help="Only keys of this source table.")
_key = click.option("--key", metavar="KEY", help="Only this key, as `cdc tombstones` shows it.")
_all = click.option("--all", "all_of_them", is_flag=True, help="Every row that waits.")


@click.group(
    cls=Group,
    invoke_without_command=True,
    examples=(
        ("cdc tombstones", "Which keys were deleted lately, which came back, and which wait."),
        ("cdc tombstones --table content --json", "Every key of one table, for a program."),
    ),
)
@_table
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@click.pass_context
def tombstones(context: click.Context, table: str | None, as_json: bool) -> None:
    """Show deleted keys, and decide about rows that came back.

    A key is remembered for the days of [tombstones]. Rows that come back with another file wait in quarantine, with
    their children, until they are accepted or refused.
    """
    if context.invoked_subcommand is not None:
        if table or as_json:
            raise UsageError("options of `cdc tombstones` stand before a command", remedy="give them after the command")
        return
    session = context.find_object(Options)
    assert session is not None
    session.start_log()
    config = session.config()
    found = run_async(read_tombstones(config, table))
    if as_json:
        print_json({"days": config.tombstones.days, "tombstones": tombstones_json(found)})
    else:
        show_tombstones(config, found)


@tombstones.command(
    examples=(
        ("cdc tombstones accept --all", "Take in again every row that waits."),
        ("cdc tombstones accept --table content --key \"'yt:video-c'\"", "Let one key be created anew, by anybody."),
    ),
)
@_table
@_key
@_all
@pass_session
def accept(session: Options, table: str | None, key: str | None, all_of_them: bool) -> None:
    """Let deleted keys live again: their tombstones end, and rows that wait are applied.

    With --key also a key under which no row waits, so that somebody can create it anew.
    """
    from cdc.tombstones import decide

    session.start_log()
    wish = _wish(table, key, all_of_them=all_of_them)
    config = session.config()
    with audited(config, "accept tombstones", table=table, key=key) as told:
        done = run_async(decide.accept(config, wish))
        told["tombstones"], told["rows"] = done.ended, done.applied
    say(
        f"{counted(done.ended, 'tombstone')} ended; {counted(done.applied, 'row')} that waited will be applied by "
        "the daemon"
    )


@tombstones.command(
    examples=(
        ("cdc tombstones refuse --all", "Delete in SQLite what came back and waits, after a question."),
        ("cdc tombstones refuse --table content --yes", "The rows of one table, from a script."),
    ),
)
@_table
@_key
@_all
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def refuse(session: Options, table: str | None, key: str | None, all_of_them: bool, yes: bool) -> None:
    """Delete rows that came back in SQLite as well, so that neither database has them.

    A snapshot of the file is taken and proven first. They are deleted as the application would do it: its triggers
    run, and children go where their foreign keys say so.
    """
    from cdc.tombstones import decide

    session.start_log()
    wish = _wish(table, key, all_of_them=all_of_them)
    config = session.config()
    waiting = run_async(decide.count_waiting(config, wish))
    if not waiting:
        say("no row waits; nothing was deleted")
        return
    what = f"the deletion of {counted(waiting, 'row')} in {config.source.path}"
    require_somebody(what, yes=yes, as_json=False, look="cdc tombstones")
    require_yes(what, yes=yes)
    with audited(config, "refuse tombstones", table=table, key=key) as told:
        done = run_async(decide.refuse(config, wish, session.progress()))
        told["deleted"], told["snapshot"] = {name: {"rows": rows} for name, rows in done.deleted.items()}, done.snapshot
    rows = ", ".join(f"{counted(n, 'row')} of {name}" for name, n in sorted(done.deleted.items()))
    say(f"deleted in SQLite: {rows or 'nothing, the rows are gone already'}")
    say(f"the file as it was is in snapshot {done.snapshot}")


def tombstones_json(found: "list[Tombstone]") -> list[dict[str, Any]]:
    """The same for programs."""
    return [{**asdict(stone), "shown_key": show_key(stone.key)} for stone in found]


def show_tombstones(config: Config, found: "list[Tombstone]") -> None:
    """Print tombstones for people, the newest first."""
    if not found:
        say(f"no key was deleted within {counted(config.tombstones.days, 'day')}")
        return
    rows = [
        (t.source_table, show_key(t.key), f"{t.deleted_at:%Y-%m-%d %H:%M:%S}", t.cause, _standing(t))
        for t in sorted(found, key=lambda t: (not t.waits, t.source_table, -t.deleted_at.timestamp()))[:MOST_SHOWN]
    ]
    print_table(("table", "key", "deleted (UTC)", "told by", "now"), rows)
    if len(found) > MOST_SHOWN:
        say(f"and {len(found) - MOST_SHOWN:,} more, see `cdc tombstones --json`")
    if waiting := sum(t.waits for t in found):
        say(
            f"{counted(waiting, 'row')} came back with another file: `cdc tombstones accept --all` takes them in "
            "again, `cdc tombstones refuse --all` deletes them in SQLite as well; --table and --key choose"
        )


def _standing(stone: "Tombstone") -> str:
    if stone.waits:
        return "came back with another file, and waits"
    return f"came back at {stone.returned_at:%Y-%m-%d %H:%M:%S}" if stone.returned_at else "deleted"


def _wish(table: str | None, key: str | None, *, all_of_them: bool) -> "Wish":
    from cdc.tombstones.decide import Wish

    if all_of_them == bool(table or key):
        raise UsageError("it is not said which rows are meant", remedy="give --all, or --table NAME, --key KEY or both")
    return Wish(table, key)


async def read_tombstones(config: Config, table: str | None = None) -> "list[Tombstone]":
    """What Postgres remembers, of one source table or of all; nothing where nothing was ever set up."""
    from cdc.postgres.record.status import never_started

    if never_started(config):
        return []
    async with desk(config, "tombstones") as record:
        return await record.tombstones.read(config.tombstones.kept_days, table) if record else []
