"""Plays the whole move on the sample: `make story`, or `python examples/ytv2/story` where the extra `shadow` is there.

    python examples/ytv2/story [--keep FOLDER] [--brisk]

Exit code 0 means that everything came to pass as it is told; 1 that it did not, and then the last lines say what.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from promises import Promises
from repaired import REPAIRED
from rich.console import Console
from stage import Stage, StoryError

BUSY_SECONDS: Final = 8.0  # for which users are watched at a stage
RATE: Final = 40  # requests of users a second
MOST_LOOKS: Final = 20  # at the gates of a cutover, before somebody has to look into it
LOOK_SECONDS: Final = 4.0  # between two: as long as the story wants answers to have been alike
REQUESTS: Final = (
    *("/", "/api/reports", "/api/filters", "/api/reports?sort=published", "/api/reports?sort=title&size=50&page=2"),
    *("/api/reports?category=Technology", "/api/reports?q=the&size=50", "/api/reports?has_audio=true", "/?q=qwen"),
)
ONE_VIDEO: Final = "/api/reports/{id}=SELECT id FROM content"


class Story:
    """The phases in order; each says what it does before it does it, and what must hold afterwards."""

    def __init__(self, stage: Stage, *, brisk: bool) -> None:
        self._stage = stage
        self._promises: Promises
        self._busy_seconds = 1.0 if brisk else BUSY_SECONDS
        self._rehearsals = 1 if brisk else 3
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._began = time.monotonic()
        self._at = stage.on_sqlite  # where users are

    async def tell(self) -> None:
        """From the first look at the file to the end; raises `StoryError` when something does not hold."""
        async with self._stage.open():
            self._promises = Promises(self._stage.file)
            for phase in (
                self._application,
                self._snapshot,
                self._load,
                self._follow,
                self._prove,
                self._rehearse,
                self._cut_over,
                self._go_back,
                self._cut_over_again,
                self._finish,
                self._clean,
                self._clean_legacy,
                self._report,
            ):
                await phase()
        self._say(f"\n{time.monotonic() - self._began:.0f} seconds in all", "dim")

    # --- the phases -----------------------------------------------------------------------------------------------

    async def _application(self) -> None:
        self._chapter("The application", "A dashboard with its users, on a SQLite file. It knows nothing of all this.")
        await self._stage.start_dashboard(
            "on sqlite", self._stage.on_sqlite, {"YTV2_DB": str(self._stage.file), "READ_FROM_POSTGRES": "false"}
        )
        await self._promises.remember(self._at)
        await self._holds()

    async def _snapshot(self) -> None:
        self._chapter("Phase 0: snapshot", "A copy that is proven to be whole, before anything is done.")
        await self._cdc("plan")
        await self._cdc("snapshot")

    async def _load(self) -> None:
        self._chapter("Phase 1: schema and load", "Tables, keys and types in Postgres, and every row.")
        await self._cdc("schema")
        await self._cdc("load")

    async def _follow(self) -> None:
        self._chapter(
            "Phase 2: dual write", "The daemon follows every write, while users go on; a proxy stands before."
        )
        await self._stage.start_daemon()
        await self._stage.start_dashboard(
            "on postgres",
            self._stage.on_postgres,
            {"READ_FROM_POSTGRES": "true", "DATABASE_URL": self._stage.dsn, "YTV2_DB": "none"},
        )
        await self._stage.start_proxy()
        await self._move_users(self._stage.listen)
        await self._busy()
        await self._holds()
        await self._cdc("status", good=(0, 1))

    async def _prove(self) -> None:
        self._chapter("Parity", "Every row of both databases, and every answer of both instances.")
        await self._cdc("verify")
        await self._cdc("shadow", "sql", "queries.toml")
        requests = self._stage.folder / "requests.txt"
        requests.write_text("\n".join(REQUESTS) + "\n", encoding="utf-8")
        await self._cdc("shadow", "http", "--requests", "requests.txt", "--from-data", ONE_VIDEO, "--sample", "60")
        await self._cdc("shadow", "report", good=(0, 1))  # 1 where this machine has other work, and answers are late

    async def _rehearse(self) -> None:
        self._chapter("Phase 3: rehearsal", "There and back on a copy, beside everything that runs.")
        await self._cdc("rehearse", "--times", str(self._rehearsals))

    async def _cut_over(self) -> None:
        self._chapter("Cutover", "Postgres takes the writes, under the eyes of users.")
        await self._cdc("cutover", "--dry-run", good=(1,))
        await self._cdc("cutover", "--prepare")
        await self._gates_open()
        await self._switch("cutover")

    async def _go_back(self) -> None:
        self._chapter("And back", "Nothing is lost, neither what was written there nor what was deleted there.")
        await self._cdc("rollback", "--dry-run")
        await self._switch("rollback")

    async def _cut_over_again(self) -> None:
        self._chapter("And there again", "No new copy is taken: both never ceased to be alike.")
        await self._cdc("cutover", "--prepare")
        await self._gates_open()
        await self._switch("cutover")
        await self._cdc("verify")

    async def _finish(self) -> None:
        self._chapter("Phase 4: the end on purpose", "A last proven copy of both; from here on there is no way back.")
        await self._cdc("finalize", "--dry-run")
        await self._cdc("finalize", "--yes")
        await self._stage.ended("daemon")
        await self._cdc("report", "--out", "report.html")
        await self._move_users(self._stage.on_postgres)
        await self._stage.end("proxy")
        await self._stage.end("on sqlite")
        await self._holds()

    async def _clean(self) -> None:
        self._chapter("A clean house", "Both schemas become what they would have been.")
        await self._cdc("cleanup", "--dry-run")
        await self._cdc("cleanup", "--yes")
        if not self._promises.schema_is_as_it_was:
            raise StoryError("the schema of the SQLite file is not what it was")
        self._say("the SQLite file has the schema that it had before anything began, to the byte", "green")
        await self._holds()
        await self._cdc("status")

    async def _clean_legacy(self) -> None:
        self._chapter("Legacy", "The scripts that copied whole files over each other, and everything that calls them.")
        await self._cdc("cleanup", "--legacy", "legacy", good=(1,))
        self._say(
            "somebody takes the calls out by hand, as the list says; then whole files go, each saved before", "dim"
        )
        for name, text in REPAIRED.items():
            (self._stage.folder / "legacy" / name).write_text(text, encoding="utf-8")
        await self._cdc("cleanup", "--legacy", "legacy", "--apply")
        await self._cdc("cleanup", "--legacy", "legacy")

    async def _report(self) -> None:
        self._chapter("The paper to sign", "What was done, measured and proven, under a seal.")
        await self._cdc("report", "--verify", "report.html")
        await self._holds()
        self._say(await self._stage.users_leave(), "green")
        if not await self._stage.users_agree(self._at):
            raise StoryError(f"the dashboard does not show what users wrote: see {self._stage.folder}/look.log")
        self._say("every write that was ever acknowledged to a user is there, and none that was refused", "green")

    # --- what they are made of ------------------------------------------------------------------------------------

    async def _gates_open(self) -> None:
        """As an operator waits: an answer that was late, or refused in a switch, closes the gate of shadow reads."""
        for _ in range(MOST_LOOKS):
            self._say("\n$ cdc cutover --dry-run", "bold")
            if await self._stage.call("cutover", "--dry-run") == 0:
                return
            await asyncio.sleep(LOOK_SECONDS)
        await self._cdc("shadow", "report", good=(0, 1))  # which of the answers are not alike
        raise StoryError("the gates of the cutover did not open")

    async def _switch(self, command: str) -> None:
        """There or back, right after a user deleted something."""
        video = await self._promises.delete_one(self._at)
        with (self._stage.folder / "deleted").open("a", encoding="utf-8") as deleted:
            deleted.write(f"{video}\n")
        await self._cdc(command)
        await self._holds()
        await self._busy()

    async def _move_users(self, address: str) -> None:
        """They come by another address from now on."""
        if self._at != self._stage.on_sqlite:
            self._say(await self._stage.users_leave(), "green")
        self._at = address
        (self._stage.folder / "address").write_text(address, encoding="ascii")
        await self._stage.start_users(address, RATE)

    async def _busy(self) -> None:
        await asyncio.sleep(self._busy_seconds)

    async def _holds(self) -> None:
        self._say(await self._promises.kept(self._at), "green")

    async def _cdc(self, *arguments: str, good: tuple[int, ...] = (0,)) -> None:
        self._say(f"\n$ cdc {' '.join(arguments)}", "bold")
        if (code := await self._stage.call(*arguments)) not in good:
            raise StoryError(f"`cdc {' '.join(arguments)}` ended with {code}")

    def _chapter(self, title: str, line: str) -> None:
        self._say(f"\n\n── {title} " + "─" * max(0, 90 - len(title)), "bold cyan")
        self._say(line, "dim")

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, soft_wrap=True)


async def _told(folder: Path, *, brisk: bool) -> int:
    telling = asyncio.current_task()
    assert telling is not None
    # Whoever ends it ends all that it started.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, telling.cancel)
    try:
        await Story(Stage(folder), brisk=brisk).tell()
    except StoryError as error:
        sys.stderr.write(f"\nthis must not happen: {error}\n")
        return 1
    except asyncio.CancelledError:
        sys.stderr.write("\nended before the story was told\n")
        return 1
    return 0


def main() -> int:
    """Tell it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="story", description="The whole move, played on the sample.")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="an empty folder, in which everything stays")
    parser.add_argument("--brisk", action="store_true", help="without the pauses for who watches")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    place = nullcontext(str(options.keep)) if options.keep else tempfile.TemporaryDirectory(prefix="cdc-story-")
    with place as folder:
        return asyncio.run(_told(Path(folder), brisk=options.brisk))


if __name__ == "__main__":
    sys.exit(main())
