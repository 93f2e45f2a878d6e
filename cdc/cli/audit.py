"""`cdc audit`: who did what, when, with what result, and whether the record of it is whole."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import click

from cdc.audit.actions import ACTIONS
from cdc.audit.chain import Head, Sealed, entry
from cdc.audit.check import ACCEPT, ChainCheck, ChainVerdict, Witness
from cdc.audit.details_text import details_text
from cdc.audit.trail import AuditEntry, Detail, look, opened
from cdc.cli.completion import complete_table
from cdc.cli.help import Command
from cdc.cli.options import Options, pass_session, run_async, span
from cdc.cli.output import print_json, print_table, say, time_text
from cdc.cli.target import desk
from cdc.config import Config
from cdc.errors import ExitCode, TargetError, UsageError
from cdc.facts.counted import counted
from cdc.notes import final_note


class MomentParameter(click.ParamType[datetime]):
    """A date, a time, or how long ago: `2026-11-24`, `2026-11-24T07:30`, `90m`."""

    name = "WHEN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment; one without a zone is in UTC."""
        if (ago := span(str(value))) is not None:
            return datetime.now(UTC) - ago
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value} is no moment: write 2026-11-24, 2026-11-24T07:30 (UTC), or 90m, 12h, 7d", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are shown, as the options of those names say. All are checked."""

    actions: tuple[str, ...] = ()
    since: datetime | None = None
    table: str | None = None
    batches: bool = False

    def takes(self, entry: AuditEntry) -> bool:
        """Whether an entry is to be shown."""
        if entry.action == "batch" and not self.batches and "batch" not in self.actions:
            return False
        if self.actions and entry.action not in self.actions:
            return False
        if self.table is not None and self.table not in _tables_of(entry.details):
            return False
        return self.since is None or _at(entry) >= self.since


@dataclass
class Shown:
    """The newest entries that are wanted, while all are checked."""

    check: ChainCheck
    wanted: Wanted
    limit: int
    entries: deque[AuditEntry] = field(init=False)

    def __post_init__(self) -> None:
        self.entries = deque(maxlen=self.limit)

    def see(self, stored: Sealed) -> None:
        """Check an entry, and keep it if it is wanted."""
        found = self.check.see(stored)
        if found is not None and self.wanted.takes(found):
            self.entries.append(found)


@click.command(
    cls=Command,
    examples=(
        ("cdc audit", "The newest steps, and whether the trail is whole."),
        ("cdc audit --batches --table content --since 2h", "What happened to a table in the last two hours."),
        ("cdc audit --action quarantine --action release --json", "Rows that came and went, for a program."),
        ("cdc audit --postgres", "The trail in Postgres, which is checked by itself."),
    ),
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many of the newest.")
@click.option(
    "--action", "actions", metavar="NAME", multiple=True, type=click.Choice(list(ACTIONS)), help="Only this action."
)
@click.option("--since", type=MomentParameter(), help="Only what was done since: a date, a time, or 90m, 12h, 7d.")
@click.option("--table", metavar="NAME", shell_complete=complete_table, help="Only what names this table.")
@click.option("--batches", is_flag=True, help="Show batches of changes too, which else are only checked.")
@click.option("--postgres", is_flag=True, help="Read the trail in Postgres instead of the file in the state folder.")
@click.option(
    "--accept", is_flag=True, help="Record that you know why the trail is broken; it is whole then but for that."
)
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def audit(session: Options, /, *, limit: int, postgres: bool, accept: bool, as_json: bool, **wanted: Any) -> int:
    """Show who did what, when, with what result.

    Every entry of the trail is checked, whether it is shown or not: one that was changed, removed, inserted or moved is
    named, and the exit code is 2 then.
    """
    session.start_log()
    config = session.config()
    shown, note = (_postgres if postgres else _file)(config, Wanted(**wanted), limit)
    verdict = shown.check.verdict()
    if accept and not verdict.whole:
        verdict = _accept(config, shown.check, verdict, postgres=postgres)
    if as_json:
        told = {**verdict.to_json(), "not_compared": note}
        print_json({"entries": [e.to_json() for e in shown.entries], "verdict": told})
    else:
        _print(list(shown.entries), verdict, note)
    return int(ExitCode.OK if verdict.whole else ExitCode.CRITICAL)


def _file(config: Config, wanted: Wanted, limit: int) -> tuple[Shown, str | None]:
    """The file, compared with what Postgres remembers of it; the second is why that could not be asked."""
    witness, note = run_async(_postgres_remembers(config))
    with look(config.state.dir) as found:
        shown = Shown(found.examine(*witness), wanted, limit)
        for stored in found.lines:
            shown.see(stored)
    return shown, note


async def _postgres_remembers(config: Config) -> tuple[list[Witness], str | None]:
    from cdc.postgres.record.status import never_started

    if never_started(config):
        return [], None
    if gone := _taken_away(config):
        return [], gone
    try:
        async with desk(config, "audit") as record:
            known = (await record.audit.ends()).file if record else Head()
    except TargetError as error:
        return [], error.message
    return [Witness("Postgres", known)], None


def _taken_away(config: Config) -> str | None:
    """Why Postgres remembers nothing any more, None where it does."""
    note = final_note.read(config)
    return f"`cdc cleanup` took it away at {time_text(note.cleaned)}" if note and note.cleaned else None


def _postgres(config: Config, wanted: Wanted, limit: int) -> tuple[Shown, str | None]:
    """The trail in Postgres, compared with what was noted of it beside the file."""
    if gone := _taken_away(config):
        return Shown(ChainCheck("entry"), wanted, limit), f"{gone}, and the file has all of it"
    with look(config.state.dir) as found:
        noted = found.postgres
    return run_async(_stored(config, noted, wanted, limit)), None


async def _stored(config: Config, noted: Head, wanted: Wanted, limit: int) -> Shown:
    from cdc.postgres.record.audit import beside_file
    from cdc.postgres.record.status import never_started

    nothing = Shown(ChainCheck("entry", [beside_file(noted)]), wanted, limit)
    if never_started(config):
        return nothing
    async with desk(config, "audit") as record:
        if record is None:
            return nothing
        shown = Shown(await record.audit.examination(noted), wanted, limit)
        async for one in record.audit.stored():
            shown.see(one)
    return shown


def _accept(config: Config, check: ChainCheck, verdict: ChainVerdict, *, postgres: bool) -> ChainVerdict:
    """Record the breaks as known; returns the verdict with that."""
    if verdict.more_breaks:
        raise UsageError(
            f"the audit trail has more than {len(verdict.breaks):,} breaks, which nobody can know each by itself",
            remedy="find out who wrote to it; then move its files out of the state folder, and a new one begins",
        )
    made = entry(ACCEPT, "done", {"breaks": [found.words for found in verdict.breaks]})
    beyond = max((witness.head for witness in check.witnesses), key=lambda head: head.n)
    if postgres:
        run_async(_accept_in_postgres(config, made, beyond))
    else:
        with opened(config.state.dir) as file:
            file.go_on_after(beyond)
            file.append([made])
    return replace(verdict, breaks=(), accepted=(*verdict.accepted, *verdict.breaks))


async def _accept_in_postgres(config: Config, made: AuditEntry, beyond: Head) -> None:
    async with desk(config, "audit") as record:
        if record is not None:
            await record.audit.append([made], beyond)


def _print(entries: Sequence[AuditEntry], verdict: ChainVerdict, note: str | None) -> None:
    if entries:
        rows = [(time_text(e.at), e.actor, e.action, e.result, details_text(e.details)) for e in entries]
        print_table(("at", "who", "what", "result", "details"), rows)
        say()
    for found in verdict.accepted:
        say(f"known: {found}")
    for found in verdict.breaks:
        say(f"! {found}")
    if verdict.more_breaks:
        say(f"! and {counted(verdict.more_breaks, 'more break')}")
    say(_words(verdict))
    if note is not None:
        say(f"it could not be compared with what Postgres remembers: {note}")


def _words(verdict: ChainVerdict) -> str:
    if not verdict.whole:
        return "the trail is broken: somebody changed it, or a disk lost a part of it"
    if not verdict.entries:
        return "nothing was done yet"
    older = f"; {counted(verdict.unchained, 'entry', 'entries')} of an earlier version cannot be checked"
    checked = f"{verdict.noun} {verdict.first:,} to {verdict.last.n:,}" if verdict.first else "nothing to check"
    but = " but for what is known" if verdict.accepted else ""
    return f"the trail is whole{but}: {checked}{older if verdict.unchained else ''}"


def _tables_of(details: Mapping[str, Detail]) -> set[str]:
    """The tables that an entry names, alone, in a list or each with its counts."""
    named = details.get("tables")
    several = named.split(", ") if isinstance(named, str) else named if isinstance(named, Mapping) else ()
    return {str(details.get("table")), *several}


def _at(entry: AuditEntry) -> datetime:
    try:
        found = datetime.fromisoformat(entry.at)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)  # shown rather than hidden: it was tampered with
    return found if found.tzinfo else found.replace(tzinfo=UTC)
