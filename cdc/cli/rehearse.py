"""`cdc rehearse`: a cutover and a rollback on a copy, before the real ones."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from rich.text import Text

from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import print_json, print_table, say, seconds_text, show
from cdc.facts.counted import counted
from cdc.facts.side import Side

if TYPE_CHECKING:
    from cdc.rehearsal.report import RehearsalReport

_STYLES = {"passed": "bold green", "refused": "bold yellow", "failed": "bold red"}
_NAMES = {Side.POSTGRES: "cutover", Side.SQLITE: "rollback"}


@click.command(
    cls=Command,
    examples=(
        ("cdc rehearse", "See how long each step takes here, and that nothing is lost."),
        ("cdc rehearse --times 10", "The same with figures to rely on."),
        ("cdc rehearse --kill", "Have each step die once, too; it takes some minutes."),
    ),
)
@click.option("--times", type=click.IntRange(1, 100), default=3, show_default=True, help="How often there and back.")
@click.option("--kill", is_flag=True, help="Then kill a switch at each step, as it begins and when it is done.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def rehearse(session: Options, times: int, kill: bool, as_json: bool) -> int:
    """Make a cutover and a rollback of a copy, from end to end.

    The copy is made of the SQLite file as it is now, in a schema and a folder of its own, and is written to as the
    application wrote lately. Nothing of production is touched, and nothing of the copy is left. Exit code 1 says that a
    switch was refused, 2 that something was lost. `cdc cutover` asks for the newest rehearsal.
    """
    from cdc.rehearsal.kills import EACH_STEP
    from cdc.rehearsal.run import rehearse as rehearsed

    session.start_log()
    config = session.config()
    kills = EACH_STEP if kill else ()
    with audited(config, "rehearse", times=times, kills=len(kills)) as told:
        report = run_async(rehearsed(config, times, session.progress(), kills))
        refused = report.to_json()["refused_seconds"]["cutover"]
        told |= {"result": report.result, "refused_seconds": refused["median"] if refused else None}
    if as_json:
        print_json(report.to_json())
    else:
        print_rehearsal(report)
    return int(report.exit_code)


def print_rehearsal(report: "RehearsalReport") -> None:
    """The verdict, what is wrong, then the times, and what nobody knows after it."""
    told = report.to_json()
    show(Text(report.result, style=_STYLES[report.result]))
    for words in (*report.problems, *report.refusals):
        say(f"  {words}")
    for name, refused in told["refused_seconds"].items():
        if refused:
            say(f"{name}: writes refused for {refused['median']:.2f} s, at most {refused['max']:.2f} s")
    say()
    if report.steps:
        print_table(("", "step", "times", "min", "median", "p95", "max ms"), _steps(report), numbers=_NUMBERS)
        say()
    say(_compared(report))
    if report.kills:
        say(_killed(report))
    say(f"load: {report.load}")
    say(_written(report))
    say()
    say("not rehearsed:")
    for words in report.not_rehearsed:
        say(f"  {words}")
    say()
    say(f"rehearsal {report.id}, {seconds_text(report.seconds)}; next: {_next(report)}")


_NUMBERS = ("times", "min", "median", "p95", "max ms")


def _steps(report: "RehearsalReport") -> Iterable[tuple[object, ...]]:
    before: Side | None = None
    for step in report.steps:
        spread = step.to_json()["milliseconds"]
        times = [f"{spread[name]:,.0f}" for name in ("min", "median", "p95", "max")]
        yield (_NAMES[step.to] if step.to is not before else "", step.name, len(step.taken), *times)
        before = step.to


def _compared(report: "RehearsalReport") -> str:
    rows, times = counted(report.compared, "row"), counted(report.comparisons, "time")
    return f"compared: {times}, every row and every write that was committed; {rows} in all were alike"


def _killed(report: "RehearsalReport") -> str:
    sides = [f"{words} after {sum(kill.side is side for kill in report.kills)}" for side, words in _SIDES.items()]
    return f"killed: {counted(len(report.kills), 'switch', 'switches')}; who accepted writes then: {', '.join(sides)}"


_SIDES = {Side.SQLITE: "SQLite", Side.POSTGRES: "Postgres"}


def _written(report: "RehearsalReport") -> str:
    account = report.account
    rows = ", ".join(f"{account.rows[side]:,} rows to {words}" for side, words in _SIDES.items())
    met = f"{account.refused:,} of {counted(account.transactions, 'transaction')} met a refusal"
    return f"written: {rows}; {met}, the longest wait was {account.longest_wait_seconds:.2f} s"


def _next(report: "RehearsalReport") -> str:
    if report.result == "passed":
        return "`cdc cutover --dry-run`"
    return (
        "see what was refused, then `cdc rehearse` again" if report.result == "refused" else "do not switch like this"
    )
