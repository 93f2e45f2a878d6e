"""`cdc pause` and `cdc resume`: the daemon stands still while the application is upgraded."""

import time
from typing import Final

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session
from cdc.cli.output import say
from cdc.config import Config
from cdc.errors import StillWorking
from cdc.facts.counted import counted

WAIT_SECONDS: Final = 60.0  # longer than a daemon waits between two attempts
LOOK_SECONDS: Final = 0.05
PAUSED: Final = "paused"


@click.command(
    cls=Command,
    examples=(
        ("cdc pause", "Nothing is read or applied; nothing is lost: the triggers go on logging."),
        ("cdc pause --release-triggers", "Before an upgrade whose ALTER TABLE a trigger would refuse."),
    ),
)
@click.option("--release-triggers", is_flag=True, help="Take the triggers out of the SQLite file until `cdc resume`.")
@pass_session
def pause(session: Options, release_triggers: bool) -> None:
    """Hold the daemon, for an upgrade of the application.

    It finishes what it is applying, lets go of both databases, and stays so, also over a restart, until `cdc resume`.
    The command returns when the daemon stands still. With --release-triggers, `cdc resume` has every table compared.
    """
    from cdc.identity.active_side import refuse_after_cutover
    from cdc.notes import pause_note
    from cdc.sqlite.changelog import source_file
    from cdc.sqlite.fence import fence

    session.start_log()
    config = session.config()
    with audited(config, "pause", release_triggers=release_triggers) as told:
        source_file.require_capture(config)
        if release_triggers:
            refuse_after_cutover(config.source.path, None, fence.look(config))
        pause_note.hold(config, released=release_triggers)
        runs = _wait(config, paused=True)
        triggers = source_file.release_triggers(config) if release_triggers else 0
        told["triggers"] = triggers
    say("the daemon is paused" if runs else "no daemon runs here; one that starts will be paused")
    if release_triggers:
        say(f"{counted(triggers, 'trigger')} taken out of the SQLite file; `cdc resume` has it compared")
    say("next: `cdc resume`, when the upgrade is done")


@click.command(cls=Command, examples=(("cdc resume", "The upgrade is done: go on where it stood."),))
@pass_session
def resume(session: Options) -> None:
    """Let the daemon go on after `cdc pause`.

    Changes of the schema are followed first. Where the triggers were taken out, they are put in again, and every table
    is compared as a whole: nothing that was written meanwhile is lost.
    """
    from cdc.notes import pause_note

    session.start_log()
    config = session.config()
    with audited(config, "resume"):
        note = pause_note.let_go(config)
        runs = _wait(config, paused=False)
    if note is None:
        say("nothing was paused")
    else:
        say("the daemon goes on" if runs else "nothing is paused any more; start the daemon: `cdc run`")


def _wait(config: Config, *, paused: bool) -> bool:
    """Wait until the daemon stands still, or until it does no longer; returns whether there is one."""
    from cdc.observe import daemon_file

    until = time.monotonic() + WAIT_SECONDS
    while (found := daemon_file.look(config)) and (found.doing == PAUSED) is not paused:
        if time.monotonic() > until:
            raise StillWorking(
                f"the daemon (process {found.pid}) has not come to rest within {WAIT_SECONDS:g} seconds: {found.doing}",
                remedy="it stops as soon as what it does is done: give the command again; `cdc resume` takes it back",
            )
        time.sleep(LOOK_SECONDS)
    return found is not None
