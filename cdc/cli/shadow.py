"""`cdc shadow`: reads put to both sides, and what came of them."""

import click

from cdc.cli.help import Group
from cdc.cli.shadow_proxy import proxy


@click.group(cls=Group)
def shadow() -> None:
    """Put reads to both sides and compare the answers."""


shadow.add_command(proxy)
