"""`cdc status`: where the replication stands, once or again and again."""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from cdc.cli.help import Command
from cdc.cli.options import Options, pass_session, run_async
from cdc.cli.output import bytes_text, console, facts_of, print_json, seconds_text, show, time_text
from cdc.cli.tombstones import read_tombstones, show_tombstones, tombstones_json
from cdc.config import Config
from cdc.errors import ExitCode, UsageError
from cdc.facts.counted import counted

if TYPE_CHECKING:
    from cdc.observe.picture import Limits
    from cdc.observe.status import Status

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
@click.option("--tombstones", "with_tombstones", is_flag=True, help="List the keys that were deleted lately as well.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def status(
    session: Options,
    watch: bool,
    max_lag_seconds: float | None,
    max_lag_changes: int | None,
    with_tombstones: bool,
    as_json: bool,
) -> int:
    """Show phase, lag, last apply, quarantine and the next step.

    Works while the daemon is down and while a database cannot be reached; then it tells what it can.
    """
    from cdc.observe.picture import Limits

    if watch and as_json:
        raise UsageError("--watch and --json contradict each other", remedy="call `cdc status --json` again and again")
    session.start_log()
    config = session.config()
    limits = Limits(max_lag_seconds, max_lag_changes, config.verify.stale_after_hours)
    screen = console()
    if watch and not screen.is_terminal:
        raise UsageError("--watch needs a terminal", remedy="call `cdc status --json` again and again")
    found = run_async(_watched(config, limits, screen) if watch else _once(config, limits))
    stones = run_async(read_tombstones(config)) if with_tombstones else None
    if as_json:
        print_json({**found.to_json(), **({} if stones is None else {"deleted_keys": tombstones_json(stones)})})
        return int(found.exit_code)
    if not watch:
        show(_picture(found))
    if stones is not None:
        show_tombstones(config, stones)
    return int(found.exit_code)


async def _once(config: Config, limits: "Limits") -> "Status":
    from cdc.observe.status import gather
    from cdc.postgres.record.status import ANSWER_SECONDS
    from cdc.postgres.server.endpoint import reached

    async with reached(config, ANSWER_SECONDS) as target:
        return await gather(config, target, limits)


async def _watched(config: Config, limits: "Limits", screen: Console) -> "Status":
    """Pictures until Ctrl-C; returns the last one. An embedded server that had to be started is kept meanwhile."""
    from cdc.observe.status import gather
    from cdc.postgres.record.status import ANSWER_SECONDS
    from cdc.postgres.server.endpoint import reached

    async with reached(config, ANSWER_SECONDS) as target:
        found = await gather(config, target, limits)
        with Live(_picture(found), console=screen, auto_refresh=False) as live, suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(REFRESH_SECONDS)
                found = await gather(config, target, limits)
                live.update(_picture(found), refresh=True)
    return found


def _picture(found: "Status") -> RenderableType:
    told = found.to_json()
    style = _STYLES.get(found.exit_code, "red")
    troubles = [Text(f"! {what}", style=style) for what in told["warnings"]]
    return Group(*troubles, facts_of(_facts(told, style)))


def _facts(told: dict[str, Any], style: str) -> list[tuple[str, object]]:
    new, loaded = told["phase"] == "new", told["position"]["seq"] is not None or told["phase"] == "unknown"
    if told["phase"] == "finalized":
        return _final_facts(told, style)
    return [
        ("phase", Text().append(told["phase"], style=style)),
        ("writes", _writes(told) if loaded else None),
        ("lag", _lag(told["lag"]) if loaded else None),
        ("changelog", _changelog(told["source"]["kept"])),
        ("last apply", time_text(told["last_apply"])),
        ("daemon", None if new else _daemon(told)),
        ("quarantine", _quarantine(told["quarantine"]) if loaded else None),
        ("tombstones", _tombstones(told["tombstones"])),
        ("pending", _pending(told["pending"])),
        ("waiting", ", ".join(table["name"] for table in told["waiting"])),
        ("triggers", _triggers(told["disabled_triggers"])),
        ("verified", _verification(told) if loaded else None),
        ("shadow reads", _shadow(told["shadow"], told["at"])),
        ("snapshot", time_text(told["snapshot"]["taken_at"])),
        ("state", _state(told["state"])),
        ("source", told["source"]["path"]),
        ("target", told["target"]["where"]),
        ("next step", told["next_step"]),
    ]


def _final_facts(told: dict[str, Any], style: str) -> list[tuple[str, object]]:
    """What is left to tell once nothing follows any more."""
    final = told["finalized"] or {}
    cleaned = time_text(final.get("cleaned"))
    return [
        ("phase", Text().append(told["phase"], style=style)),
        ("writes", told["writes"]),
        ("ended", f"the way back, at {time_text(final['since'])} by {final['by']}" if final else None),
        ("cleaned", f"both databases, at {cleaned}" if cleaned else None),
        ("last snapshot", final.get("snapshot")),
        ("dump", (final.get("dump") or {}).get("file")),
        ("state", f"{told['state']['dir']}: {_state(told['state'])}"),
        ("source", told["source"]["path"]),
        ("target", told["target"]["where"]),
        ("next step", told["next_step"]),
    ]


def _writes(told: dict[str, Any]) -> str:
    """Who accepts writes, and which way changes flow."""
    follows = {"SQLite": "SQLite; Postgres follows", "Postgres": "Postgres; SQLite follows"}
    return follows.get(told["writes"] or "unknown", told["writes"] or "unknown")


def _lag(lag: dict[str, Any]) -> str:
    changes, seconds = lag["changes"], lag["seconds"]
    if changes is None:
        return "unknown"
    return "none" if changes == 0 else f"{counted(changes, 'change')}, the oldest {seconds_text(seconds)} old"


def _daemon(told: dict[str, Any]) -> str:
    daemon, activity, heartbeat = told["daemon"], told["activity"], told["heartbeat_age_seconds"]
    if not daemon["running"]:
        return "unknown" if daemon["running"] is None else "not running"
    seen = f", last heartbeat {seconds_text(heartbeat)} ago" if heartbeat is not None else ""
    owner = f" ({daemon['owner']})" if daemon["owner"] else ""
    return f"{_activity(activity, told['at']) or 'running'}{owner}{seen}"


def _changelog(entries: int | None) -> str | None:
    """How much of it lies in the application's file: it grows for as long as Postgres is away."""
    return f"{counted(entries, 'entry', 'entries')} in the SQLite file" if entries else None


def _activity(activity: dict[str, Any], at: str) -> str | None:
    if activity["doing"] is None:
        return None
    lasts = datetime.fromisoformat(at) - datetime.fromisoformat(activity["since"])
    tries = f" after {counted(activity['attempts'], 'failed attempt')}" if activity["attempts"] else ""
    return f"{activity['doing']} for {seconds_text(max(0.0, lasts.total_seconds()))}{tries}"


def _pending(leftovers: list[dict[str, Any]]) -> str | None:
    """What waits for `cdc schema --apply-pending`, with the constraints that had to go at once."""
    if not leftovers:
        return None
    dropped = [words for left in leftovers for words in left["dropped"]]
    names = ", ".join(".".join(filter(None, (left["target"], left["column"]))) for left in leftovers)
    return f"{names}; dropped already: {', '.join(dropped)}" if dropped else names


def _triggers(disabled: list[str]) -> str | None:
    """What does not fire while rows are replicated, None where everything does."""
    given_back = "they fire again with the cutover, or when replication ends"
    return f"disabled for replication: {', '.join(disabled)}; {given_back}" if disabled else None


def _verification(told: dict[str, Any]) -> str:
    verification = told["verification"]
    if not told["target"]["reachable"]:
        return "unknown"
    parts = []
    if verification["result"] is not None:
        parts.append(f"{verification['result']}, {seconds_text(verification['age_seconds'])} ago")
    if verification["compared_since"] not in {None, verification["finished_at"]}:
        rests = ", which rests since the cutover" if told["phase"] == "cutover" else ""
        seconds = seconds_text(verification["compared_age_seconds"])
        parts.append(f"every row within the last {seconds}, by the daemon{rests}")
    return "; ".join(parts) or "never; `cdc verify` compares every row"


def _shadow(shadow: dict[str, Any], at: str) -> str | None:
    """One line of all endpoints, None where nothing was asked."""
    if not shadow["endpoints"]:
        return None
    if shadow["clean_since"] is None:
        asked = counted(shadow["endpoints"], "endpoint")
        return f"{shadow['differing']:,} of {asked} not shown to be alike: `cdc shadow report`"
    lasts = datetime.fromisoformat(at) - datetime.fromisoformat(shadow["clean_since"])
    return f"{counted(shadow['endpoints'], 'endpoint')} alike for {seconds_text(max(0.0, lasts.total_seconds()))}"


def _state(state: dict[str, Any]) -> str:
    parts = {name.replace("_", " "): size for name, size in state["bytes"].items() if size}
    each = ", ".join(f"{name} {bytes_text(size)}" for name, size in parts.items())
    free = state["free_bytes"].get("state")
    room = f"{bytes_text(free)} free" if free is not None else ""
    return "; ".join(filter(None, [each, room]))


def _tombstones(tombstones: dict[str, Any]) -> str | None:
    """How many keys were deleted lately, and what of it came back; None where none was."""
    if not any(tombstones.values()):
        return None
    told = [f"{counted(tombstones['standing'], 'key')} deleted lately"]
    if tombstones["waiting"]:
        told.append(f"{tombstones['waiting']:,} came back with another file and wait: `cdc tombstones`")
    if tombstones["returned"]:
        told.append(f"{tombstones['returned']:,} inserted again")
    return ", ".join(told)


def _quarantine(quarantine: dict[str, Any]) -> str:
    total = quarantine["total"]
    if total is None:
        return "unknown"
    if total == 0:
        return "empty"
    reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in quarantine["by_reason"].items())
    return f"{counted(total, 'row')} ({reasons}), {quarantine['acknowledged']:,} acknowledged"
