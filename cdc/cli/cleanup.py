"""`cdc cleanup`: what is left at both ends is taken away; or replication ends, and nothing of it stays in the file."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cdc.cli.cleanup_legacy import with_legacy
from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import print_json, say
from cdc.cli.remains import Everything, clean_up, everything_options
from cdc.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from cdc.stream.end import GivenBack


@click.command(
    cls=Command,
    examples=(
        ("cdc cleanup --dry-run", "After the end: see what is left at both ends, and what stays."),
        ("cdc cleanup", "Check the backups, list it, ask, and take it away."),
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
@everything_options
def cleanup(session: Options, capture_only: bool, release: str | None, everything: Everything) -> int:
    """Take away what this tool left at both ends.

    Without --capture-only and --release: after `cdc finalize`, or where replication has ended. The last snapshot and
    the dump are checked first, then all that goes is listed, and goes after a yes: triggers, tables and fence out of
    the SQLite file; triggers, comments and the schema `cdc` out of Postgres. Both are then, byte for byte, what they
    would have been. Given again it goes on.

    --capture-only removes what this tool left in the SQLite file. The application's own data stays as it is, and so do
    the tables in Postgres: their own triggers fire again, and they may be fed from another file from then on. --release
    does that much for a file that is gone, or that another configuration names, and touches no SQLite file. The daemon
    must be stopped.

    --legacy opens no database: it searches code, schedules and settings for scripts that copied the SQLite file, for
    what calls them, and for what still uses SQLite, and exits with 1 while anything is left. --apply removes the
    scripts alone, and --undo puts them back.
    """
    from cdc.stream import end

    named = capture_only + (release is not None)
    if named > 1 or (named and everything.given):
        raise UsageError(
            "--capture-only and --release each go with no other option", remedy="give one of them, and nothing else"
        )
    session.start_log()
    config = session.config()
    if not named:
        return clean_up(config, everything)
    if release is not None:
        with audited(config, "free tables", source=release) as told:
            back = run_async(end.release(config, release))
            told.update(_joined(back))
        words = f"the tables that {release} fed are free; what they hold stays as it is"
        tell({"freed": release, **asdict(back)}, words, as_json=everything.as_json)
        return ExitCode.OK
    with audited(config, "cleanup") as told:
        done = run_async(end.end(config))
        told.update(removed=done.removed, **_joined(done.given_back))
    facts = {"removed": done.removed, "untold": done.untold, **asdict(done.given_back)}
    tell(facts, "capture is removed" if done.removed else "there was no capture to remove", as_json=everything.as_json)
    if done.untold and not everything.as_json:
        say(f"Postgres could not be told that its tables are free: {done.untold}")
        say("give the command again when it can be reached")
    return ExitCode.OK


def _joined(back: "GivenBack") -> dict[str, str]:
    """For the audit trail, as far as there is anything."""
    return {name: ", ".join(places) for name, places in asdict(back).items() if places}


def tell(facts: dict[str, Any], words: str, *, as_json: bool) -> None:
    """The answer, for people or for a program."""
    if as_json:
        print_json(facts)
        return
    say(words)
    for what, name in (("triggers of Postgres that fire again", "triggers"), ("dropped in Postgres", "helper_keys")):
        if facts[name]:
            say(f"{what}: {', '.join(facts[name])}")
