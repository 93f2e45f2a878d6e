"""`cdc quarantine`: the rows that Postgres could not hold, and what to do about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from cdc.audit import trail
from cdc.cli.completion import complete_table
from cdc.cli.help import Group
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import print_json, say
from cdc.cli.target import desk
from cdc.config import Config
from cdc.errors import ExitCode, UsageError, did_you_mean
from cdc.facts.counted import counted
from cdc.facts.row_key import show_key

if TYPE_CHECKING:
    from cdc.postgres.record.quarantine import QuarantinedRow
    from cdc.stream.quarantine_causes import FedTable


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
    """List what holds rows back, with the remedies, and the rows with it.

    Rows that only wait for others which wait are counted under these. Lines for the configuration are what suits the
    type of a column; `cdc plan` says which of them holds all values. The exit code is 1 when some are not acknowledged.

    Of long keys the beginning is shown, and `***` for texts that their column or table calls a secret, such as
    `session_token`. --json has every key whole.
    """
    from cdc.cli import quarantine_report

    session.start_log()
    held = run_async(_held(session.config(), table))
    if as_json:
        print_json(quarantine_report.as_json(held.rows, held.fed))
    else:
        quarantine_report.print_causes(held.rows, held.fed)
    return int(ExitCode.DIFFERENCE if any(row.acknowledged_at is None for row in held.rows) else ExitCode.OK)


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
        run_async(_held(config, table))
        logged = told["rows"] = run_async(retry_quarantined.retry_quarantined(config, table))
    say(f"{counted(logged, 'row')} will be tried again by the daemon; see `cdc quarantine list` then")


@quarantine.command(
    examples=(
        ("cdc quarantine acknowledge --table content --key \"'yt:video-c'\"", "One row that may stay behind."),
        ("cdc quarantine acknowledge", "All that there are now."),
    ),
)
@click.option("--table", metavar="NAME", shell_complete=complete_table, help="Only the rows of this source table.")
@click.option("--key", metavar="KEY", help="Only this row, by its whole key: see `cdc quarantine list --json`.")
@pass_session
def acknowledge(session: Options, table: str | None, key: str | None) -> None:
    """Mark rows as known.

    They stay in quarantine, but no longer warn and no longer refuse the cutover.
    """
    session.start_log()
    config = session.config()
    with audited(config, "quarantine acknowledge", table=table) as told:
        run_async(_held(config, table))
        marked = told["rows"] = run_async(_acknowledge(config, table, key))
    say(f"{counted(marked, 'row')} acknowledged")


@dataclass(frozen=True, slots=True)
class _Held:
    """What waits in quarantine, and the tables that are fed."""

    rows: "Sequence[QuarantinedRow]" = ()
    fed: "Mapping[str, FedTable]" = field(default_factory=dict)


async def _held(config: Config, table: str | None) -> _Held:
    """The rows in quarantine, of one table or of all; raises `UsageError` for a table that there is not."""
    from cdc.postgres.record.status import never_started
    from cdc.stream import quarantine_causes

    if never_started(config):
        return _Held()
    async with desk(config, "quarantine") as record:
        if record is None:
            return _Held()
        rows = await record.quarantine.list_rows()
        known, fed = await quarantine_causes.fed_tables(record, config)
        if table is not None and table not in (names := {*known, *(row.source_table for row in rows)}):
            raise UsageError(
                f"there is no table {table}, and no row of such a table in quarantine",
                remedy=f"{did_you_mean(table, names)}see the tables with `cdc plan --all`",
            )
        return _Held([row for row in rows if table is None or row.source_table == table], fed)


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
            raise UsageError(
                "no row in quarantine has that key", remedy="see whole keys with `cdc quarantine list --json`"
            )
        return sum([await record.quarantine.acknowledge(r.source_table, r.key, by) for r in chosen])
