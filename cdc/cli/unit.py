"""`cdc unit`: the systemd unit of this installation."""

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, pass_session
from cdc.cli.output import say


@click.command(
    cls=Command,
    examples=(
        ("cdc unit | sudo tee /etc/systemd/system/cdc.service", "As a service, with the user who owns the file."),
        ("cdc -c /etc/cdc/bot.toml unit --name bot --user bot", "One application of several."),
        ("cdc unit --proxy | sudo tee /etc/systemd/system/cdc-proxy.service", "The proxy before the application."),
    ),
)
@click.option("--user", metavar="USER", help="Who runs the daemon: a name or a number. Default: the file's owner.")
@click.option(
    "--name", metavar="NAME", help="The name of the unit. Default: cdc, or cdc- and the configuration's name."
)
@click.option("--proxy", is_flag=True, help="The unit of `cdc shadow proxy` instead, whose name ends with -proxy.")
@pass_session
def unit(session: Options, user: str | None, name: str | None, proxy: bool) -> None:
    """Print a systemd unit for this installation.

    It starts `cdc up` with this configuration, or with `--proxy` the proxy before the application. It may write the
    folder of the SQLite file and the state folder, and nothing else. What has to be done before it can run is told on
    stderr.
    """
    from cdc.daemon.unit import DAEMON, PROXY, installation, obstacles, render

    made = installation(session.config(), session.config_path, user, name, PROXY if proxy else DAEMON)
    say(render(made).rstrip())
    for words in obstacles(made):
        click.echo(f"note: {words}", err=True)
