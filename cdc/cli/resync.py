"""Accepting the file as it is now: what would become of Postgres is said first, and much of it wants a yes."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from cdc.audit.trail import Detail
from cdc.cli.options import audited, run_async
from cdc.cli.output import print_table, say
from cdc.config import Config
from cdc.errors import NotAgreed
from cdc.facts.counted import counted
from cdc.facts.progress import Progress

if TYPE_CHECKING:
    from cdc.stream.resync import ResyncForecast

_SAY_YES: Final = (
    "nothing was changed; if the file is right, give the command again with --yes: what is deleted or changed is saved "
    "to files in the state folder first"
)

agreed = click.option("--yes", is_flag=True, help="Do not ask, however many rows of Postgres would be replaced.")


def accept_file(config: Config, progress: Progress, told: dict[str, Detail], *, yes: bool) -> list[str]:
    """Say what a comparison as a whole would do, ask where that is much, and request it; returns the tables.

    Raises `NotAgreed` when nobody says yes; then both databases are as they were.
    """
    from cdc.stream import resync

    seen = run_async(resync.foresee(config, progress))
    with _undone_unless_agreed(config, seen):
        _consent(seen, told, yes=yes)
    tables = run_async(resync.request_resync(config))
    told["tables"] = len(tables)
    return tables


async def begin_anew(config: Config, progress: Progress, *, yes: bool) -> None:
    """The same for a file whose replication was ended on purpose, within the daemon."""
    from cdc.stream import resync

    with audited(config, "resync") as told:
        seen = await resync.foresee(config, progress)
        with _undone_unless_agreed(config, seen):
            await asyncio.to_thread(_consent, seen, told, yes=yes)
        told["tables"] = len(await resync.request_resync(config))


@contextmanager
def _undone_unless_agreed(config: Config, seen: "ResyncForecast") -> Iterator[None]:
    from cdc.stream import resync

    try:
        yield
    except BaseException:
        resync.withdraw(config, seen)
        raise


def _consent(seen: "ResyncForecast", told: dict[str, Detail], *, yes: bool) -> None:
    told |= seen.totals()
    asks = seen.asks and not yes
    if asks and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise _unasked(seen)
    _show(seen)
    if asks and not click.confirm("Rows that are deleted or changed are saved to files first. Go on?", default=False):
        raise NotAgreed("rows of Postgres would be replaced, and the answer was no", remedy="nothing was changed")


def _unasked(seen: "ResyncForecast") -> NotAgreed:
    words = seen.words()
    if seen.ended:
        return NotAgreed(
            f"replication was ended on purpose, and Postgres holds something else by now, which may be newer: {words}",
            remedy=_SAY_YES,
        )
    return NotAgreed(f"much of what Postgres holds would be replaced: {words}", remedy=_SAY_YES)


def _show(seen: "ResyncForecast") -> None:
    columns = ["table", "in Postgres", "to add", "to change", "to delete"]
    rows = [[t.table, t.held, t.added, t.changed, t.deleted] for t in seen.tables if t.problem is None]
    if returning := sum(t.returning for t in seen.tables):
        columns.append("of those to add, deleted before")
        rows = [[*row, t.returning] for row, t in zip(rows, (t for t in seen.tables if not t.problem), strict=True)]
    print_table(columns, rows, numbers=columns[1:])
    if returning:
        say(
            f"{counted(returning, 'row')} to add {'was' if returning == 1 else 'were'} deleted before: what came "
            "back waits in quarantine, with its children, until `cdc tombstones accept --all` or `cdc "
            "tombstones refuse --all`"
        )
    for table in seen.tables:
        if table.problem:
            say(f"! {table.table}: {table.problem}")
