"""`cdc status`: where the replication stands, once or again and again."""

import time
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from cdc.cli.command import Command
from cdc.cli.output import console, counted, facts_of, print_json, seconds_text, show, time_text
from cdc.cli.session import Session, pass_session, run_async
from cdc.config import Config
from cdc.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from cdc.observe.status import Limits, Status

REFRESH_SECONDS: Final = 1.0

_STYLES: Final = {ExitCode.OK: "green", ExitCode.DIFFERENCE: "yellow"}


@click.command(
    cls=Command,
    examples=(
        ("cdc status", "Where it stands, and what to do next."),
        ("cdc status --watch", "Keep looking."),
        ("cdc --quiet status --max-lag-seconds 60", "For a monitor: exit code 1 beyond a minute, 2 when it stopped."),
        ("cdc status --json", "The same for a program."),
    ),
)
@click.option("--watch", is_flag=True, help="Refresh until Ctrl-C.")
@click.option("--max-lag-seconds", type=click.FloatRange(min=0), help="Warn (exit code 1) beyond this lag.")
@click.option("--max-lag-changes", type=click.IntRange(min=0), help="Warn (exit code 1) beyond this lag.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def status(
    session: Session, watch: bool, max_lag_seconds: float | None, max_lag_changes: int | None, as_json: bool
) -> int:
    """Show phase, lag, last apply, quarantine and the next step.

    Works while the daemon is down and while a database cannot be reached; then it tells what it can.
    """
    from cdc.observe.status import Limits, gather

    if watch and as_json:
        raise UsageError("--watch and --json contradict each other", remedy="call `cdc status --json` again and again")
    session.start_log()
    config = session.config()
    limits = Limits(max_lag_seconds, max_lag_changes)
    if watch:
        return _watch(config, limits)
    found = run_async(gather(config, limits))
    if as_json:
        print_json(found.to_json())
    else:
        show(_picture(found))
    return int(found.exit_code)


def _watch(config: Config, limits: "Limits") -> int:
    from cdc.observe.status import gather

    screen = console()
    if not screen.is_terminal:
        raise UsageError("--watch needs a terminal", remedy="call `cdc status --json` again and again")
    found = run_async(gather(config, limits))
    try:
        with Live(_picture(found), console=screen, auto_refresh=False) as live:
            while True:
                time.sleep(REFRESH_SECONDS)
                found = run_async(gather(config, limits))
                live.update(_picture(found), refresh=True)
    except KeyboardInterrupt:
        return int(found.exit_code)


def _picture(found: "Status") -> RenderableType:
    from cdc.observe.status import NEW

    told, new = found.to_json(), found.phase == NEW
    style = _STYLES.get(found.exit_code, "red")
    troubles = [Text(f"! {what}", style=style) for what in told["warnings"]]
    facts = facts_of(
        [
            ("phase", Text().append(told["phase"], style=style)),
            ("lag", None if new else _lag(told["lag"])),
            ("last apply", time_text(told["last_apply"])),
            ("daemon", None if new else _daemon(told)),
            ("quarantine", None if new else _quarantine(told["quarantine"])),
            ("verified", None if new else _verification(told["verification"])),
            ("snapshot", time_text(told["snapshot"]["taken_at"])),
            ("source", told["source"]["path"]),
            ("target", told["target"]["where"]),
            ("next step", told["next_step"]),
        ]
    )
    return Group(*troubles, facts)


def _lag(lag: dict[str, Any]) -> str:
    changes, seconds = lag["changes"], lag["seconds"]
    if changes is None:
        return "unknown"
    return "none" if changes == 0 else f"{counted(changes, 'change')}, the oldest {seconds_text(seconds)} old"


def _daemon(told: dict[str, Any]) -> str:
    daemon, heartbeat = told["daemon"], told["heartbeat_age_seconds"]
    if daemon["running"] is None:
        return "unknown"
    if not daemon["running"]:
        return "not running"
    seen = f", last heartbeat {seconds_text(heartbeat)} ago" if heartbeat is not None else ""
    return f"running ({daemon['owner']}){seen}"


def _verification(verification: dict[str, Any]) -> str:
    if verification["result"] is None:
        return "never; `cdc verify` compares every row"
    return f"{verification['result']}, {seconds_text(max(0.0, verification['age_seconds']))} ago"


def _quarantine(quarantine: dict[str, Any]) -> str:
    total = quarantine["total"]
    if total is None:
        return "unknown"
    if total == 0:
        return "empty"
    reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in quarantine["by_reason"].items())
    return f"{counted(total, 'row')} ({reasons}), {quarantine['acknowledged']:,} acknowledged"
