"""`cdc psql`: a look at the data with Postgres' own client, in the embedded server as well."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, pass_session, run_async
from cdc.cli.output import say
from cdc.config import Config
from cdc.errors import TargetUnavailable


@click.command(
    cls=Command,
    examples=(
        ("cdc psql", "Look at the data."),
        ('cdc psql -- -c "SELECT count(*) FROM content"', "One statement, with psql's own options after --."),
        ("cdc psql --print", "The address for any other client."),
    ),
)
@click.option("--print", "only_print", is_flag=True, help="Only print the address, without the password.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_session
def psql(session: Options, only_print: bool, arguments: tuple[str, ...]) -> int:
    """Open the target with psql, and pass it ARGUMENTS.

    The embedded server is started for it where it does not run. The exit code is psql's own.
    """
    from cdc.postgres.connection.dsn import require_clear, without_password
    from cdc.postgres.server.endpoint import running_dsn

    session.start_log()
    config = session.config()
    if not only_print:
        return run_async(_with_server(config, arguments))
    dsn = running_dsn(config)
    if dsn is None:
        raise TargetUnavailable(
            "the embedded Postgres does not run, and has no address until it does",
            remedy="start the daemon with `cdc up`, or look with `cdc psql`, which starts the server for itself",
        )
    require_clear(dsn)
    say(without_password(dsn)[0])
    return 0


async def _with_server(config: Config, arguments: Sequence[str]) -> int:
    from cdc.postgres.connection.dsn import require_clear
    from cdc.postgres.connection.open import password_for
    from cdc.postgres.record.status import never_started
    from cdc.postgres.server.endpoint import reached

    program = shutil.which("psql")
    if program is None:
        raise TargetUnavailable(
            "psql is not installed here",
            remedy="install it (on Debian: `apt install postgresql-client`), or give another client the address of "
            "`cdc psql --print`",
        )
    if never_started(config):
        raise TargetUnavailable("there is no embedded Postgres yet", remedy="let `cdc up` make it")
    async with reached(config) as target:
        dsn = await target.dsn()
        require_clear(dsn)
        return _run(program, dsn, password_for(config.target), arguments)


def _run(program: str, dsn: str, password: str | None, arguments: Sequence[str]) -> int:
    from cdc.postgres.connection.dsn import without_password

    address, inside = without_password(dsn)
    secret = password or inside
    environment = {**os.environ, **({"PGPASSWORD": secret} if secret else {})}
    # Ctrl-C is for psql, which gives up a statement then; a handler, unlike what is ignored, is none of a new program.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run([program, address, *arguments], env=environment, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
