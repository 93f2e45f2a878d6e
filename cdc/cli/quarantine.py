"""`cdc quarantine`: the rows that Postgres could not hold, and what to do about them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from cdc.audit import trail
from cdc.cli.completion import complete_table
from cdc.cli.help import Group
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import counted, indented, print_json, say, show
from cdc.cli.target import desk
from cdc.config import Config
from cdc.errors import ExitCode, UsageError
from cdc.facts.row_key import show_key

if TYPE_CHECKING:
    from cdc.postgres.record.quarantine import QuarantinedRow


MOST_KEYS: Final = 10  # of one cause; --json names them all


@click.group(cls=Group)
def quarantine() -> None:
    """Show and treat the rows that Postgres could not hold."""


@quarantine.command(
    "list",
    examples=(
        ("cdc quarantine list", "Every cause, its remedy, and its first keys."),
        ("cdc quarantine list --table content --json", "Every key of one table, for a program."),
    ),
)
@click.option("--table", metavar="NAME", shell_complete=complete_table, help="Only the rows of this source table.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def list_(session: Options, table: str | None, as_json: bool) -> int:
    """List the rows with key, reason and remedy.

    The exit code is 1 when some are not acknowledged.
    """
    session.start_log()
    rows = [row for row in run_async(_rows(session.config())) if table is None or row.source_table == table]
    if as_json:
        print_json({"rows": [{**asdict(row), "shown_key": show_key(row.key)} for row in rows]})
    elif rows:
        _print_rows(rows)
    else:
        say("the quarantine is empty")
    return int(ExitCode.DIFFERENCE if any(row.acknowledged_at is None for row in rows) else ExitCode.OK)


@quarantine.command(
    examples=(
        ("cdc quarantine retry", "Try every row again."),
        ("cdc quarantine retry --table content", "Only those of a table whose column has another type now."),
    ),
)
@click.option("--table", metavar="NAME", shell_complete=complete_table, help="Only the rows of this source table.")
@pass_session
def retry(session: Options, table: str | None) -> None:
    """Have the rows read and applied again.

    For when their cause was removed. Their keys are logged again, so that the daemon treats them as if they had
    just changed.
    """
    from cdc.stream import retry_quarantined

    session.start_log()
    config = session.config()
    with audited(config, "quarantine retry", table=table) as told:
        logged = told["rows"] = run_async(retry_quarantined.retry_quarantined(config, table))
    say(f"{counted(logged, 'row')} will be tried again by the daemon; see `cdc quarantine list` then")


@quarantine.command(
    examples=(
        ("cdc quarantine acknowledge --table content --key \"'yt:video-c'\"", "One row that may stay behind."),
        ("cdc quarantine acknowledge", "All that there are now."),
    ),
)
@click.option("--table", metavar="NAME", shell_complete=complete_table, help="Only the rows of this source table.")
@click.option("--key", metavar="KEY", help="Only this row, by the key that `cdc quarantine list` shows.")
@pass_session
def acknowledge(session: Options, table: str | None, key: str | None) -> None:
    """Mark rows as known.

    They stay in quarantine, but no longer warn and no longer refuse the cutover.
    """
    session.start_log()
    config = session.config()
    with audited(config, "quarantine acknowledge", table=table) as told:
        marked = told["rows"] = run_async(_acknowledge(config, table, key))
    say(f"{counted(marked, 'row')} acknowledged")


async def _rows(config: Config) -> "list[QuarantinedRow]":
    from cdc.postgres.record.status import never_started

    if never_started(config):
        return []
    async with desk(config, "quarantine") as record:
        return await record.quarantine.list_rows() if record else []


async def _acknowledge(config: Config, table: str | None, key: str | None) -> int:
    from cdc.postgres.record.status import never_started

    if never_started(config):
        return 0
    by = trail.actor()
    async with desk(config, "quarantine") as record:
        if record is None:
            return 0
        if key is None:
            return await record.quarantine.acknowledge(table, None, by)
        rows = await record.quarantine.list_rows()
        chosen = [r for r in rows if key in {r.key, show_key(r.key)} and table in {None, r.source_table}]
        if not chosen:
            raise UsageError("no row in quarantine has that key", remedy="see the keys with `cdc quarantine list`")
        return sum([await record.quarantine.acknowledge(r.source_table, r.key, by) for r in chosen])


def _print_rows(rows: Sequence["QuarantinedRow"]) -> None:
    """Rows with one cause together: an operator corrects causes, not rows."""
    causes: dict[tuple[str, str, str], list[QuarantinedRow]] = {}
    for row in rows:
        causes.setdefault((row.source_table, row.detail, row.remedy), []).append(row)
    for (table, detail, remedy), held in causes.items():
        show(indented(f"{table}: {detail}", 0))
        show(indented(f"remedy: {remedy}", 2))
        show(indented(f"{counted(len(held), 'row')} since {min(r.first_seen for r in held):%Y-%m-%d %H:%M} UTC", 2))
        shown = ", ".join(show_key(r.key) + (" (acknowledged)" if r.acknowledged_at else "") for r in held[:MOST_KEYS])
        more = f" and {len(held) - MOST_KEYS:,} more, see --json" if len(held) > MOST_KEYS else ""
        show(indented(f"keys: {shown}{more}", 2))
