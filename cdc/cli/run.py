"""`cdc run` and `cdc up`: the daemon, alone or with everything that has to be done before it."""

from collections.abc import Callable, Coroutine
from typing import Any

import click

from cdc import audit
from cdc.cli.command import Command
from cdc.cli.session import Session, Terminated, audited, pass_session, run_async
from cdc.config import Config
from cdc.errors import ExitCode

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
def run(session: Session, until_idle: bool) -> int:
    """Follow the application: this is the daemon.

    Every change that the application commits goes to Postgres, until SIGTERM or Ctrl-C.
    """
    session.start_log(daemon=True)
    config = session.config()
    from cdc import service

    return _serve(config, "run", lambda: service.run(config, until_idle=until_idle))


@click.command(
    cls=Command,
    examples=(
        ("cdc up", "From nothing to following, in one command."),
        ("cdc up --until-idle", "The same, and end when Postgres has everything."),
    ),
)
@_until_idle
@pass_session
def up(session: Session, until_idle: bool) -> int:
    """Do all that is not done yet, then follow the application.

    That is: snapshot, schema, load, then what `cdc run` does. Given again, it goes on where it ended.
    """
    session.start_log(daemon=True)
    config = session.config()
    from cdc import service

    progress = session.progress()
    return _serve(config, "up", lambda: service.up(config, until_idle=until_idle, progress=progress))


def _serve(config: Config, action: str, work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    audit.record(config.state.dir, action, "started")
    try:
        with audited(config, action):
            run_async(work())
    except Terminated:
        pass  # systemd's way to end a service is no failure
    return int(ExitCode.OK)
