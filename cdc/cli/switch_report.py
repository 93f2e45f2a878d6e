"""The plan of a cutover or a rollback for people: the verdict first, then what is in the way, then the steps."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from rich.text import Text

from cdc.cli.output import print_json, print_table, say, seconds_text, show
from cdc.cutover.flag.checks import CheckResult
from cdc.cutover.plan import Gate, Readiness, SwitchPlan
from cdc.cutover.run import Switched
from cdc.errors import ExitCode
from cdc.facts.side import Side

NAMES: Final = {Side.SQLITE: "SQLite", Side.POSTGRES: "Postgres"}
_STYLES: Final = {Readiness.READY: "bold green", Readiness.NOT_YET: "bold yellow", Readiness.IMPOSSIBLE: "bold red"}


def tell_plan(plan: SwitchPlan, *, as_json: bool) -> int:
    """Show the plan; returns its exit code."""
    if as_json:
        print_json(plan.to_json())
    else:
        print_switch_plan(plan)
    return int(plan.exit_code)


def showing(*, as_json: bool) -> Callable[[str], None]:
    """Who shows each step as it begins; a program gets one object at the end."""
    return (lambda _: None) if as_json else (lambda words: say(f"  {words}"))


def tell_switched(done: Switched, words: str, *, as_json: bool) -> int:
    """Show what a switch came to; returns its exit code."""
    if as_json:
        print_json(_switched_json(done))
    else:
        say(f"{words}; writes were refused for {done.refused_seconds:.2f} s")
        if done.afterwards:
            say(f"it is done, but: {done.afterwards}")
    return ExitCode.DIFFERENCE if done.afterwards else ExitCode.OK


def tell_reads(results: Sequence[CheckResult], side: Side, *, as_json: bool) -> int:
    """Show where reads go now."""
    if as_json:
        print_json({"reads": side, "checks": [result.to_json() for result in results]})
    else:
        say(f"the application reads from {NAMES[side]}")
        for result in results:
            say(f"  {result.name}: {result.words}")
    return ExitCode.OK


def _switched_json(done: Switched) -> dict[str, Any]:
    return {
        "to": done.to,
        "run": done.run,
        "refused_seconds": round(done.refused_seconds, 3),
        "tries": done.tries,
        "afterwards": done.afterwards or None,
    }


def print_switch_plan(plan: SwitchPlan) -> None:
    """Print the whole plan."""
    show(Text(plan.verdict, style=_STYLES[plan.readiness]))
    if plan.would_lose:
        say(f"would lose: {plan.would_lose}")
    say()
    print_table(("gate", "", "now", "limit", "since"), map(_row, plan.gates))
    closed = [gate for gate in plan.gates if not gate.passed]
    for gate in closed:
        say(f"  {gate.name}: {gate.remedy}")
    if plan.steps:
        _print_steps(plan)
    say()
    say(f"plan {plan.plan_id}; next: {'; '.join(plan.next_steps)}")


def _print_steps(plan: SwitchPlan) -> None:
    say()
    rows = [(n, step.name, step.side, _usual(plan, step.name), step.undo) for n, step in enumerate(plan.steps, 1)]
    usually = "in rehearsals" if plan.usual_in == "rehearsals" else "usually"
    print_table(("", "step", "where", usually, "undone by"), rows, numbers=("",))
    if plan.unchecked:
        say()
        say("not checked:")
        for what in plan.unchecked:
            say(f"  {what}")


def _row(gate: Gate) -> tuple[object, ...]:
    mark = Text("ok", style="green") if gate.passed else Text("closed", style="red" if gate.fatal else "yellow")
    return gate.name, mark, gate.now, gate.limit, f"{gate.since:%Y-%m-%d %H:%M}" if gate.since else ""


def _usual(plan: SwitchPlan, step: str) -> str:
    milliseconds = plan.usual_milliseconds.get(step)
    if milliseconds is None:
        return ""
    return f"{milliseconds:.0f} ms" if milliseconds < 1_000 else seconds_text(milliseconds / 1000)
