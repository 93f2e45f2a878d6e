"""`cdc demo`: the whole story on sample data and a Postgres of its own, told step by step."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from cdc.cli.help import Command
from cdc.cli.options import Options, pass_session, run_async
from cdc.cli.output import bytes_text, console, show, table_of
from cdc.errors import ExitCode
from cdc.facts.progress import Progress

if TYPE_CHECKING:
    from cdc.demo.stage import BothSides, Stage

LIVE_SECONDS: Final = 12
REFRESH_SECONDS: Final = 0.25
A, B, C = "yt:video-a", "yt:video-b", "yt:video-c"


@click.command(
    cls=Command,
    examples=(
        ("cdc demo", "Watch it, and leave nothing behind."),
        ("cdc demo --keep /tmp/story", "Keep both databases to look at them."),
    ),
)
@click.option("--keep", metavar="FOLDER", type=click.Path(path_type=Path), help="Keep databases and logs there.")
@pass_session
def demo(session: Options, keep: Path | None) -> int:
    """Play the whole story on sample data.

    A YouTube summariser's database goes to a Postgres that cdc brings, while the application keeps writing. Takes less
    than a minute, and leaves nothing running and no files behind. The exit code is 1 when the databases differ in the
    end, or answer differently.
    """
    from cdc.demo.stage import Stage, stage_folder

    session.start_log()
    with stage_folder(keep) as place:
        story = _Story(Stage(place), session.progress(), keep)
        return run_async(story.tell())


class _Story:
    """The steps in order; each says what it does in a line before it does it."""

    def __init__(self, stage: "Stage", progress: Progress, keep: Path | None) -> None:
        self._stage = stage
        self._progress = progress
        self._keep = keep
        self._steps = 0
        self._began = time.monotonic()
        self._work: dict[str, int] = {}
        self._latencies: list[float] = []

    async def tell(self) -> int:
        """The whole story; its exit code."""
        self._step("The application", "A YouTube summariser writes a SQLite file. It is not changed and not stopped.")
        self._say(f"{self._stage.config.source.path.name}: {bytes_text(self._stage.config.source.path.stat().st_size)}")
        async with self._stage.open():
            await self._plan()
            await self._copy()
            await self._stage.start_daemon()
            await self._live()
            await self._race()
            await self._quarantine()
            self._step("Status", "What an operator sees at any time, here while the daemon runs.")
            await self._call("status")
            self._step("Comparison", "Every row of both databases, by code that shares nothing with the daemon's.")
            right = await self._call("verify") == ExitCode.OK
            right &= await self._answers()
            code = await self._end(right)
        self._farewell(code)
        return code

    # --- the steps ---

    async def _plan(self) -> None:
        from cdc.first_copy import preflight

        self._step("Plan", "What is odd about the data, before anything is touched.")
        bare = msgspec.structs.replace(self._stage.config, tables={})
        for risk in (await preflight.build_plan(bare)).risks:
            place = f"{risk.table}.{risk.column}" if risk.column else risk.table
            self._say(f"{place}: {risk.text}", "yellow" if risk.level == "quarantine" else "")
        self._say("cdc.toml answers: numeric for the 12.5 seconds, jsonb for the JSON. With that:")
        await self._call("plan")

    async def _copy(self) -> None:
        from cdc.demo.stage import TABLES
        from cdc.first_copy import create_schema, loader, snapshots

        config = self._stage.config
        self._step("Snapshot", "Triggers are put in, then a consistent copy is taken, checked and rehearsed.")
        taken = (await snapshots.take_snapshot(config, self._progress)).manifest
        rows = sum(count for table, count in taken.tables.items() if table in TABLES)
        self._say(f"{rows:,} rows, {bytes_text(taken.bytes)}, integrity {taken.integrity_check}")
        self._say(f"SHA-256 {taken.sha256}")
        self._step("Schema", "Tables, keys and types; JSON texts become jsonb, as configured.")
        made = await create_schema.create_schema(config)
        self._say(f"created: {', '.join(m for m in made if not m.startswith('comment'))}")
        self._step("Load", "The snapshot goes in by binary COPY; indexes and foreign keys follow.")
        loaded = await loader.load(config, self._progress)
        self._say(f"{loaded.rows:,} rows in {len(loaded.tables)} tables, {loaded.quarantined} in quarantine")

    async def _live(self) -> None:
        self._step(
            "Live", f"`cdc run` follows while the application is busy for {LIVE_SECONDS} s in a process of its own."
        )
        work = asyncio.create_task(self._stage.ask("work", LIVE_SECONDS))
        screen = console()
        try:
            if screen.is_terminal:
                with Live(console=screen, auto_refresh=False, transient=True) as live:
                    await self._watch(work, live)
            else:
                await self._watch(work, None)
            self._work = await work
        finally:
            work.cancel()
        await self._stage.settled()
        last = await self._stage.moment()
        show(_picture(last))
        self._say("done by the application: " + ", ".join(f"{n} {what}" for what, n in sorted(self._work.items())))
        self._say(f"from its commit to Postgres: {self._latency()}")

    async def _watch(self, work: "asyncio.Task[Any]", live: Live | None) -> None:
        seen = 0
        while not work.done():
            now = await self._stage.moment()
            if seen not in {0, now.headway.changes} and now.headway.lag_seconds is not None:
                self._latencies.append(now.headway.lag_seconds)
            seen = now.headway.changes
            if live:
                live.update(_picture(now), refresh=True)
            await asyncio.wait({work}, timeout=REFRESH_SECONDS)

    async def _race(self) -> None:
        self._step("Delete against ingest", "B is deleted while A is being processed; finishing A must not revive B.")
        await self._stage.ask("finish", B)
        await self._stage.ask("start", A)
        await self._show_contents("A is being processed, B is there")
        await self._stage.ask("delete", B)
        await self._show_contents("B is deleted")
        await self._stage.ask("finish", A)
        await self._show_contents("A is finished")

    async def _quarantine(self) -> None:
        self._step("Quarantine", "A text for a view count fits no bigint column: the row waits, and says why.")
        await self._stage.ask("spoil", C)
        await self._show_contents("C arrives with a text for its view count")
        await self._call("quarantine", "list")
        await self._stage.ask("correct", C)
        await self._show_contents("the application corrects C, which releases it and its summary")

    async def _answers(self) -> bool:
        """Whether shadow reads find what there is to be found, and nothing else."""
        self._step("Shadow reads", "Rows are half of it: does Postgres answer the application's queries alike?")
        alike = await self._call("shadow", "sql", "queries.toml")
        self._say("And one as a port may have it, which forgets where NULL goes:")
        mistaken = await self._call("shadow", "sql", "port.toml")
        return (alike, mistaken) == (ExitCode.OK, ExitCode.DIFFERENCE)

    async def _end(self, right: bool) -> int:
        last = await self._stage.moment()
        stopped = await self._stage.stop_daemon()
        self._step("In numbers", "What happened.")
        self._say(f"{last.headway.changes:,} changes applied, {sum(self._work.values()):,} calls of the application")
        for table, rows in last.sqlite.items():
            self._say(f"{table}: {rows:,} rows in SQLite, {last.postgres[table]:,} in Postgres")
        self._say(f"{time.monotonic() - self._began:.0f} seconds in all")
        right = right and stopped == ExitCode.OK and await self._as_told(last)
        return int(ExitCode.OK if right else ExitCode.DIFFERENCE)

    async def _as_told(self, last: "BothSides") -> bool:
        shown = [await self._stage.shows(content) for content in (A, B, C)]
        return shown == [True, False, True] and last.sqlite == last.postgres

    def _farewell(self, code: int) -> None:
        self._say()
        if code == ExitCode.OK:
            self._say("both databases hold the same, and answer alike")
        else:
            self._say("the databases differ: this must not happen; please report it with the output above", "bold red")
        if self._keep:
            self._say(f"kept: {self._keep}; `cdc -c {self._keep}/cdc.toml run` goes on")
        self._say("for a file of your own: `cdc init app.db`, then `cdc plan`, then `cdc up`", "bold")

    # --- how it looks ---

    def _step(self, title: str, line: str) -> None:
        self._steps += 1
        self._say()
        self._say(f"{self._steps}. {title}", "bold cyan")
        self._say(line, "dim")

    def _say(self, text: str = "", style: str = "") -> None:
        show(Text(text, style=style)) if text else click.echo()

    async def _call(self, *arguments: str) -> int:
        self._say(f"$ cdc {' '.join(arguments)}", "green")
        return await self._stage.call(*arguments)

    async def _show_contents(self, what: str) -> None:
        await self._stage.settled()
        names = {"A": A, "B": B, "C": C}
        shown = [f"{name} {'is there' if await self._stage.shows(key) else 'is not'}" for name, key in names.items()]
        self._say(f"{what}; in Postgres: {', '.join(shown)}")

    def _latency(self) -> str:
        found = sorted(self._latencies)
        if not found:
            return "not measured"
        return (
            f"{found[len(found) // 2] * 1000:.0f} ms in the middle, {found[-1] * 1000:.0f} ms at most, of {len(found)}"
        )


def _picture(now: "BothSides") -> RenderableType:
    columns = ("table", "in SQLite", "in Postgres")
    rows = [(table, count, now.postgres[table]) for table, count in now.sqlite.items()]
    lag = now.headway.lag_seconds
    told = f"{now.headway.changes:,} changes applied, the last ones {(lag or 0) * 1000:.0f} ms after their commit"
    return Group(table_of(columns, rows, numbers=columns[1:]), Text(told))
