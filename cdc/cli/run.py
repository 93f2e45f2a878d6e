"""`cdc run` and `cdc up`: the daemon, alone or with everything that has to be done before it."""

import os
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

import click

from cdc.audit import trail
from cdc.cli.failure import TERMINATED
from cdc.cli.help import Command
from cdc.cli.options import Options, Terminated, audited, pass_session, run_async
from cdc.cli.output import say
from cdc.cli.resync import agreed, begin_anew
from cdc.config import Config
from cdc.errors import ExitCode
from cdc.facts.counted import counted

if TYPE_CHECKING:
    from cdc.daemon.copied import FirstCopy

THREADS_SECONDS: Final = 1.0

_until_idle = click.option("--until-idle", is_flag=True, help="End when Postgres has everything, instead of following.")


@click.command(
    cls=Command,
    examples=(
        ("cdc run", "Follow until Ctrl-C."),
        ("cdc run --until-idle", "Catch up once, from a task scheduler for instance."),
        ("cdc -c /etc/cdc/bot.toml --log-json run", "With a log for programs."),
    ),
)
@_until_idle
@pass_session
def run(session: Options, until_idle: bool) -> int:
    """Follow the application: this is the daemon.

    Every change that the application commits goes to Postgres, until SIGTERM or Ctrl-C.
    """

    def work(config: Config) -> Coroutine[Any, Any, bool]:
        from cdc.daemon import service

        return service.run(config, until_idle=until_idle, reread=_reread(session))

    return _serve(session, "run", work, until_idle=until_idle)


@click.command(
    cls=Command,
    examples=(
        ("cdc up", "From nothing to following, in one command."),
        ("cdc up --until-idle", "The same, and end when Postgres has everything."),
    ),
)
@_until_idle
@agreed
@pass_session
def up(session: Options, until_idle: bool, yes: bool) -> int:
    """Do all that is not done yet, then follow the application.

    That is: snapshot, schema, load, then what `cdc run` does. Given again, it goes on where it ended. After
    `cdc cleanup` it begins anew: it says what that would replace in Postgres, and asks.
    """

    def work(config: Config) -> Coroutine[Any, Any, bool]:
        from cdc.daemon import copied, service

        return service.up(
            config,
            until_idle=until_idle,
            progress=session.progress(),
            reread=_reread(session),
            begin_anew=lambda progress: begin_anew(config, progress, yes=yes),
            on_copied=copied.log_first_copy if session.for_program else _tell_copied,
        )

    return _serve(session, "up", work, until_idle=until_idle)


def _tell_copied(copied: "FirstCopy") -> None:
    """One sentence, and how to look at the data."""
    held = f"{counted(copied.held, 'row')} held in quarantine by {counted(copied.causes, 'cause')}"
    left_out = f"{held}: `cdc quarantine list`" if copied.held else "none held back"
    filled = f"; {counted(copied.to_fill, 'table')} being filled now: `cdc status`" if copied.to_fill else ""
    say(f"the first copy is done: {counted(copied.rows, 'row')} in Postgres, {left_out}{filled}; look with `cdc psql`")


def _reread(session: Options) -> Callable[[], Config] | None:
    """How SIGHUP reads the configuration again; on a terminal it means that the terminal goes away: stop."""
    return None if os.isatty(0) else session.config


def _serve(
    session: Options, action: str, work: Callable[[Config], Coroutine[Any, Any, bool]], *, until_idle: bool
) -> int:
    # A stop is no failure of a service; but who waits until everything is there must not go on when it is not.
    stopped = TERMINATED if until_idle else int(ExitCode.OK)
    try:
        session.start_log(daemon=True)
        config = session.config()
        trail.record(config.state.dir, action, "started")
        if not run_async(_served(config, action, work(config), stopped)):
            return int(ExitCode.OK)
    except Terminated:
        pass  # before anything was under way
    return stopped


async def _served(config: Config, action: str, work: Coroutine[Any, Any, bool], exit_code: int) -> bool:
    with audited(config, action):
        told_to_stop = await work
    if told_to_stop:
        _leave_threads_behind(exit_code)
    return told_to_stop


def _leave_threads_behind(exit_code: int) -> None:
    """End the process soon although a thread hangs, in a read of SQLite that nobody waits for any more."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    undertaker = threading.Timer(THREADS_SECONDS, os._exit, (exit_code,))
    undertaker.daemon = True
    undertaker.start()
