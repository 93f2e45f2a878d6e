"""`cdc shadow`: reads put to both sides at one position, and what they came to."""

import click

from cdc.cli.help import Command, Group
from cdc.cli.output import say
from cdc.cli.shadow_http import http
from cdc.cli.shadow_proxy import proxy
from cdc.cli.shadow_report import report
from cdc.cli.shadow_sql import sql


@click.group(cls=Group)
def shadow() -> None:
    """Show that Postgres answers reads as SQLite does, and as fast.

    Each question is put to both while neither moves, so that a write in between never looks like a difference.
    """


@click.command(
    cls=Command,
    examples=(
        (
            "cdc shadow ignore 'GET /api/reports' --path '$.generated_at'",
            "The rule to paste, for a place that may differ.",
        ),
    ),
)
@click.argument("endpoint")
@click.option("--path", required=True, help="The place in the answer, as the report shows it.")
@click.option("--read", default="ignored", show_default=True, help="How it is to be compared there.")
@click.option("--reason", help="Why it may differ.")
def ignore(endpoint: str, path: str, read: str, reason: str | None) -> None:
    """Print the rule that has a place compared in another way, to paste into the configuration."""
    from cdc.shadow.rules_text import rule_text

    say(rule_text(endpoint, path, read, reason))


for command in (sql, report, ignore, http, proxy):
    shadow.add_command(command)
