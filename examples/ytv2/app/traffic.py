"""Readers and writers of a dashboard, for a bounded time, and a log of the writes that it acknowledged.

`python -m app.traffic http://127.0.0.1:8080 --seconds 30 --rate 20 --log writes.jsonl`

Each writer has videos of its own and waits for every answer, so that the last acknowledged write of a video is what the
dashboard has to show from then on. The log has one JSON object a line, written when the answer is there:

    {"at": "2026-11-26T20:00:00.123456+00:00", "writer": 0, "kind": "ingest", "video_id": "Traffic7-0-3",
     "title": "Traffic7-0-3, take 2", "outcome": "acknowledged", "status": 200, "said": ""}

`outcome` is `acknowledged`, `refused` (by a 4xx: nothing was written), or `unknown` (a 5xx, or no answer: it may have
been written or not). Each client also looks at what it wrote, and whatever contradicts the log ends in exit code 1.
SIGTERM and SIGINT end it early, between two requests. With `--check` it makes no traffic, and compares what a dashboard
shows with the log.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import aiohttp

PATIENCE_SECONDS = 30.0  # longer than the dashboard tries, so that nothing unanswered is written later
VIDEOS = 6  # of each writer
READS = ("/", "/api/reports", "/api/filters", "/api/reports?sort=published", "/api/reports?q=the", "/health")
STEPS = {"read": 4, "look": 2, "ingest": 3, "delete": 1}
CONTRADICTED = "look contradicts the log"


@dataclass(frozen=True)
class Write:
    """One line of the log."""

    writer: int
    kind: str
    video_id: str
    title: str
    outcome: str
    status: int
    said: str
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


@dataclass(frozen=True)
class Expectation:
    """What the dashboard must show of a video: one of these titles, None for a video that is not there."""

    titles: frozenset[str | None] = frozenset({None})

    def met_by(self, title: str | None) -> bool:
        """Whether that is what it shows."""
        return title in self.titles

    def after(self, kind: str, title: str, outcome: str) -> "Expectation":
        """What it must show after a write with that outcome."""
        written = title if kind == "ingest" else None
        match outcome:
            case "acknowledged":
                return Expectation(frozenset({written}))
            case "unknown":
                return Expectation(self.titles | {written})
            case _:
                return self


def expectations(lines: Iterable[str]) -> dict[str, Expectation]:
    """What a log says of each video in it: the last acknowledged write, or one of unknown outcome after that."""
    expected: dict[str, Expectation] = {}
    for line in lines:
        write: Mapping[str, Any] = json.loads(line)
        before = expected.get(write["video_id"], Expectation())
        expected[write["video_id"]] = before.after(write["kind"], write["title"], write["outcome"])
    return expected


class Client:
    """One reader and writer, which does one thing after the other."""

    def __init__(
        self, number: int, seed: int, session: aiohttp.ClientSession, log: TextIO, expected: dict[str, Expectation]
    ) -> None:
        self._number, self._session, self._log, self._expected = number, session, log, expected
        self._random = random.Random(f"{seed} {number}")
        self._videos = [f"Traffic{seed}-{number}-{video}" for video in range(VIDEOS)]
        self._there = {video for video in self._videos if expected.get(video, Expectation()) != Expectation()}
        self._takes = 0
        self.done: Counter[str] = Counter()

    async def work(self, rate: float, until: float, ends: asyncio.Event) -> None:
        """Do `rate` things a second until that time of the monotonic clock, or until it is to end."""
        due = time.monotonic() + self._random.random() / rate
        while due < until:
            with suppress(TimeoutError):
                await asyncio.wait_for(ends.wait(), max(0.0, due - time.monotonic()))
            if ends.is_set():
                return
            await self._step()
            due = max(due + 1 / rate, time.monotonic())  # what is late is not made up for

    async def _step(self) -> None:
        (step,) = self._random.choices(list(STEPS), list(STEPS.values()))
        if step == "read":
            await self._read(self._random.choice(READS))
        elif step == "look" and (known := [video for video in self._videos if video in self._expected]):
            await self._look(self._random.choice(known))
        elif step == "delete" and self._there:
            await self._delete(self._random.choice(sorted(self._there)))
        else:
            await self._ingest(self._random.choice(self._videos))

    async def _read(self, path: str) -> None:
        status, _ = await self._ask("GET", path)
        self.done[f"read {status or 'unanswered'}"] += 1

    async def _look(self, video: str) -> None:
        """See whether it is as this client wrote it: nobody else writes it, and nothing is under way."""
        status, said = await self._ask("GET", f"/api/reports/{video}")
        if status not in (200, 404):
            self.done[f"look {status or 'unanswered'}"] += 1
            return
        shown = json.loads(said)["title"] if status == 200 else None
        if self._expected[video].met_by(shown):
            self.done["look as logged"] += 1
        else:
            self.done[CONTRADICTED] += 1
            sys.stderr.write(f"{video} is {shown}, and not {self._expected[video]}\n")

    async def _ingest(self, video: str) -> None:
        self._takes += 1
        title = f"{video}, take {self._takes}"
        body = {
            "video_id": video,
            "title": title,
            "channel": f"Traffic {self._number}",
            "duration_seconds": self._random.randint(30, 7200),
            "has_audio": self._random.random() < 0.5,
            "categories": [{"category": "Technology", "subcategories": [self._random.choice(("AI", "Web"))]}],
            "summary": {"text": f"What take {self._takes} is about.\n\n" * self._random.randint(1, 8)},
        }
        outcome = await self._write("ingest", video, title, "POST", "/api/content", body)
        if outcome != "refused":
            self._there.add(video)

    async def _delete(self, video: str) -> None:
        outcome = await self._write("delete", video, "", "DELETE", f"/api/delete/{video}")
        if outcome == "acknowledged":
            self._there.discard(video)

    async def _write(
        self, kind: str, video: str, title: str, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> str:
        status, said = await self._ask(method, path, body)
        outcome = _outcome(status)
        write = Write(self._number, kind, video, title, outcome, status, "" if status == 200 else said)
        self._log.write(json.dumps(asdict(write)) + "\n")
        self._log.flush()
        self._expected[video] = self._expected.get(video, Expectation()).after(kind, title, outcome)
        self.done[f"{kind} {outcome}"] += 1
        return outcome

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Status and text of the answer, status 0 when there is none."""
        try:
            async with self._session.request(method, path, json=body) as response:
                return response.status, await response.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return 0, str(error) or type(error).__name__


def _outcome(status: int) -> str:
    if status == 200:
        return "acknowledged"
    return "refused" if 400 <= status < 500 else "unknown"


async def contradictions(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The videos that the dashboard does not show as the log says, with what each of them says."""
    found = []
    async with aiohttp.ClientSession(options.url) as session:
        for video, expectation in sorted(logged(options.log).items()):
            async with session.get(f"/api/reports/{video}") as response:
                shown = (await response.json())["title"] if response.status != 404 else None
            if not expectation.met_by(shown):
                titles = sorted(map(str, expectation.titles))
                found.append({"video_id": video, "shown": shown, "logged": titles})
    return found


def logged(log: Path) -> dict[str, Expectation]:
    """What a log that may not be there yet says of each video."""
    return expectations(log.read_text(encoding="utf-8").splitlines()) if log.exists() else {}


async def traffic(options: argparse.Namespace) -> dict[str, int]:
    """Work as the options say; returns how often each thing had each outcome."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    ends = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ends.set)
    expected = logged(options.log)
    with options.log.open("a", encoding="utf-8") as log:
        async with aiohttp.ClientSession(options.url, timeout=timeout) as session:
            clients = [Client(number, options.seed, session, log, expected) for number in range(options.clients)]
            until = time.monotonic() + options.seconds
            await asyncio.gather(*(client.work(options.rate / len(clients), until, ends) for client in clients))
    return dict(sorted(sum((client.done for client in clients), Counter()).items()))


def main() -> int:
    """Make traffic and print what came of it, or check what is shown; 1 when something contradicts the log."""
    parser = argparse.ArgumentParser(prog="app.traffic", description="Readers and writers of a dashboard.")
    parser.add_argument("url", help="where the dashboard is, as http://127.0.0.1:8080")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=10.0, help="requests a second in all (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=4, help="how many at the same time (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="another one writes other videos (default: %(default)s)")
    parser.add_argument("--log", type=Path, default=Path("writes.jsonl"), help="of writes (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="compare what is shown with the log")
    options = parser.parse_args()
    told = asyncio.run(contradictions(options) if options.check else traffic(options))
    sys.stdout.write(json.dumps(told) + "\n")
    return int(bool(told) if options.check else CONTRADICTED in told)


if __name__ == "__main__":
    sys.exit(main())
