"""`cdc flag`: what tells the application where to read and write, and moving its reads by hand."""

from typing import TYPE_CHECKING, Final

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, pass_session, run_async
from cdc.cli.output import print_json, print_table, say
from cdc.config import Config
from cdc.errors import ExitCode, UsageError
from cdc.facts.side import Side

if TYPE_CHECKING:
    from cdc.cutover.flag.checks import CheckResult
    from cdc.cutover.flag.flags import FlagStanding

RULE: Final = "writes never go to Postgres before reads do; writes move with a cutover only, which takes the rows along"


@click.command(
    cls=Command,
    examples=(
        ("cdc flag", "Where reads and writes go, by each flag."),
        ("cdc flag reads postgres", "Have the application read from Postgres; writes stay where they are."),
        ("cdc flag reads sqlite", "And back."),
    ),
)
@click.argument("switch", required=False, type=click.Choice(["reads", "writes"]))
@click.argument("side", required=False, type=click.Choice([side.value for side in Side]))
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def flag(session: Options, switch: str | None, side: str | None, as_json: bool) -> int:
    """Show where the application reads and writes, or move its reads.

    The flags are those of `[[cutover.flags]]`, and are set in that order, all or none. The exit code is 1 when they do
    not agree, when a change of them has not ended, or when a check says that the application does otherwise.
    """
    from cdc.cutover.flag.flags import Flags

    session.start_log()
    config = session.config()
    checked: list[CheckResult] = []
    if switch is not None:
        checked = _move(config, switch, side)
    standing = Flags(config).now()
    if as_json:
        print_json(_as_json(standing, checked))
    else:
        _print(standing, checked)
    fine = standing.agree and all(result.met for result in checked)
    return int(ExitCode.OK if fine else ExitCode.DIFFERENCE)


def _move(config: Config, switch: str, side: str | None) -> "list[CheckResult]":
    from cdc.cutover.flag.checks import Checks
    from cdc.cutover.flag.flags import Flags

    if side is None:
        raise UsageError(
            f"`cdc flag {switch}` does not say where they shall go", remedy="add `sqlite` or `postgres` to the call"
        )
    if switch == "writes":
        raise UsageError(
            "writes are not moved by hand: rows that one database has and the other lacks would be left behind",
            remedy="`cdc cutover` moves them, `cdc rollback` takes them back: both move the rows first",
        )
    Flags(config).move_reads(Side(side))
    return run_async(Checks(config).ask(Side(side), "reads"))


def _as_json(standing: "FlagStanding", checked: "list[CheckResult]") -> dict[str, object]:
    unfinished = standing.unfinished
    return {
        "reads": standing.reads,
        "writes": standing.writes,
        "agree": standing.agree,
        "unfinished": unfinished.to_json() if unfinished else None,
        "drifted": standing.drifted,
        "flags": [flag.to_json() for flag in standing.said],
        "checks": [result.to_json() for result in checked],
        "rule": RULE,
    }


def _print(standing: "FlagStanding", checked: "list[CheckResult]") -> None:
    if not standing.said:
        say("no flag is configured: nothing tells the application where to read and write, see [[cutover.flags]]")
        return
    rows = [(flag.label, flag.saying.reads, flag.saying.writes, flag.saying.problem) for flag in standing.said]
    print_table(("flag", "reads", "writes", "problem"), rows)
    say()
    if checked:
        print_table(("check", "met", "found"), [(result.name, result.met, result.words) for result in checked])
        say()
    if standing.unfinished is not None:
        say(f"! a change began and has not ended: {standing.unfinished}")
    elif standing.drifted:
        say(f"! somebody changed them: they were told {standing.remembered}")
    say(f"reads: {standing.reads or 'the flags do not agree'}; writes: {standing.writes or 'the flags do not agree'}")
    say(f"rule: {RULE}")
