"""`cdc shadow`: reads put to both databases, and their answers compared."""

import click

from cdc.cli.help import Group
from cdc.cli.shadow_http import http


@click.group(cls=Group)
def shadow() -> None:
    """Put reads to both databases at one position, and compare the answers."""


shadow.add_command(http)
