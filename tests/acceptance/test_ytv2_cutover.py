"""The sample's dashboard moves to Postgres while its users read and write, and comes back.

Every client looks at what it wrote all the time, and the 67 videos that somebody categorised by hand are the same
documents at every stage. What is deleted, on whichever side, stays so.
"""

import asyncio
import json
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import apsw
import msgspec
from dashboard import configured
from harness import Daemon, execute, up, value, wait_for, wait_until_follows, write_config

from cdc.config import (
    CheckSection,
    CommandFlag,
    Config,
    CutoverSection,
    EnvFlag,
    FlagSection,
    VerifySection,
    load_config,
)
from cdc.resources import folder

CATEGORISED: Final = "SELECT id FROM content WHERE subcategories_json IS NOT NULL ORDER BY id"
OTHERS: Final = "SELECT id FROM content WHERE subcategories_json IS NULL ORDER BY id"
CDC: Final = str(Path(sys.executable).with_name("cdc"))


class Traffic:
    """Readers and writers, until they are told to end."""

    def __init__(self, url: str, log: Path) -> None:
        self._command = [sys.executable, "-m", "app.traffic", url, "--log", str(log)]

    async def __aenter__(self) -> Self:
        self._process = await self._run("--seconds", "600", "--rate", "40")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def end(self) -> dict[str, int]:
        """How often each thing had each outcome; fails when a client saw what nobody wrote."""
        self._process.send_signal(signal.SIGTERM)
        return dict(await _told(self._process))

    async def contradictions(self) -> Any:
        """What the log says and the dashboard does not show, at the end."""
        return await _told(await self._run("--check"))

    async def _run(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *self._command,
            *arguments,
            cwd=folder("ytv2"),
            env={"PYTHONDONTWRITEBYTECODE": "1"},
            stdout=pipe,
            stderr=pipe,
        )


async def _told(process: asyncio.subprocess.Process) -> Any:
    told, errors = await process.communicate()
    assert process.returncode == 0, (told, errors)
    return json.loads(told)


@dataclass
class Move:
    """What is moved, and what must be there at every stage."""

    config: Config
    daemon: Daemon
    users: aiohttp.ClientSession
    shown: dict[str, bytes]
    others: list[str]
    deleted: list[str]

    async def cdc(self, *arguments: str) -> Any:
        """What a command answers, which has to end well."""
        process = await asyncio.create_subprocess_exec(
            *(CDC, "-q", "-c", str(self.daemon.file), *arguments, "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        told, errors = await process.communicate()
        assert process.returncode == 0, (arguments, told, errors, self.daemon.words())
        return json.loads(told)

    async def switch(self, command: str, backend: str) -> None:
        """There or back, after a deletion at the last moment; then everything is as it was."""
        await self._delete()
        if command == "cutover":
            await self.cdc("cutover", "--prepare")
            assert (await self.cdc("cutover", "--dry-run"))["verdict"] == "READY"
        done = await self.cdc(command)
        assert done["afterwards"] is None
        assert done["refused_seconds"] < self.config.cutover.max_refused_seconds
        assert json.loads(await self._get("/health/backend")) == {"backend": backend}
        await self.holds()

    async def holds(self) -> None:
        """Every categorised video is the document that it was, and none that was deleted came back."""
        assert {video: await self._get(f"/api/reports/{video}") for video in self.shown} == self.shown
        for video in self.deleted:
            await self._get(f"/api/reports/{video}", 404)

    async def _delete(self) -> None:
        video = self.others.pop()
        async with self.users.delete(f"/api/delete/{video}") as answer:
            assert answer.status == 200
        self.deleted.append(video)

    async def _get(self, path: str, status: int = 200) -> bytes:
        async with self.users.get(path) as answer:
            assert answer.status == status
            return await answer.read()


@asynccontextmanager
async def moving(config: Config, url: str) -> AsyncIterator[Move]:
    """The daemon follows, and users are there."""
    app = apsw.Connection(str(config.source.path), flags=apsw.SQLITE_OPEN_READONLY)
    categorised, others = ([str(row[0]) for row in app.execute(sql)] for sql in (CATEGORISED, OTHERS))
    app.close()
    assert len(categorised) == 67
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        async with aiohttp.ClientSession(url) as users:
            move = Move(config, daemon, users, {}, others, [])
            move.shown = {video: await move._get(f"/api/reports/{video}") for video in categorised}
            yield move


def told(config: Config, url: str, flags: Sequence[FlagSection]) -> Config:
    """With flags, and checks whether the application did as it was told."""
    backend = CheckSection(
        name="the backend it really uses",
        url=f"{url}/health/backend",
        sqlite={"backend": "sqlite"},
        postgres={"backend": "postgres"},
    )
    write = CheckSection(
        name="a video and its row",
        after="writes",
        method="POST",
        url=f"{url}/api/content",
        body='{"video_id": "Check{probe}", "title": "Check {probe}", "summary": {"text": "{probe}"}}',
        sql="SELECT count(*) FROM content_summaries WHERE content_id = 'yt:Check{probe}' AND summary_text = '{probe}'",
        undo_url=f"{url}/api/delete/Check{{probe}}",
    )
    section = CutoverSection(flags=list(flags), checks=[backend, write], max_refused_seconds=20.0)
    return msgspec.structs.replace(config, cutover=section)


async def settled(move: Move) -> None:
    """All that was written in Postgres is in SQLite, and both are alike."""

    async def carried() -> bool:
        return not await value(move.config.target.dsn, "SELECT count(*) FROM cdc.outbox")

    await wait_for(carried, "everything to be carried back", daemon=move.daemon)
    assert (await move.cdc("verify"))["result"] == "equal"
    left = "SELECT count(*) FROM content WHERE video_id LIKE 'Check%' OR id = ANY($1)"
    assert await value(move.config.target.dsn, left, move.deleted) == 0


# As systemd does it: SIGHUP restarts the service, with the environment that its file has by then.
SUPERVISOR: Final = """
import os, signal, subprocess, sys

SIGNALS = {signal.SIGHUP, signal.SIGTERM}
file, *command = sys.argv[1:]


def started():
    variables = dict(line.split("=", 1) for line in open(file).read().splitlines())
    unblock = lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return subprocess.Popen(command, env={**os.environ, **variables}, preexec_fn=unblock)


def end(process):
    process.terminate()
    process.wait()


signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
process = started()
while signal.sigwait(SIGNALS) == signal.SIGHUP:
    end(process)
    process = started()
end(process)
"""


@asynccontextmanager
async def supervised(environment: Path, log: Path) -> AsyncIterator[tuple[str, int]]:
    """The dashboard on a port of its own, restarted by a signal; yields its address, and whom to send that."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = (sys.executable, "-c", SUPERVISOR, environment, sys.executable, "-m", "app", "--port", str(port))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, cwd=folder("ytv2"), stdout=output, stderr=output)

    async def answers() -> bool:
        with suppress(aiohttp.ClientConnectionError):
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as asking, asking.get("/health") as answer:
                return answer.status == 200
        return False

    try:
        await wait_for(answers, "the dashboard to answer")
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        await process.wait()


async def test_restarted_with_another_environment_it_answers_nothing_wrong_there_and_back(
    tmp_path: Path, database: str
) -> None:
    config = configured(tmp_path / "ytv2", database)
    await up(config)
    environment = tmp_path / "dashboard.env"
    environment.write_text(f"YTV2_DB={config.source.path}\nDATABASE_URL={database}\nREAD_FROM_POSTGRES=false\n")
    async with supervised(environment, tmp_path / "dashboard.log") as (url, supervisor):
        sides = {"sqlite": {"READ_FROM_POSTGRES": "false"}, "postgres": {"READ_FROM_POSTGRES": "true"}}
        restart = ["kill", "-HUP", str(supervisor)]
        variables = EnvFlag(kind="env", path=environment, switch="both", **sides)
        config = told(config, url, [variables, CommandFlag("command", "both", sqlite=restart, postgres=restart)])
        async with moving(config, url) as move, Traffic(url, tmp_path / "writes.jsonl") as traffic:
            await move.switch("cutover", "postgres")
            await move.switch("rollback", "sqlite")
            await traffic.end()
            assert await traffic.contradictions() == []
            await settled(move)


async def test_tables_of_the_applications_own_making_cannot_come_back_and_the_plan_says_why(
    tmp_path: Path, database: str
) -> None:
    place = tmp_path / "ytv2"
    shutil.copytree(folder("ytv2"), place)
    loaded = load_config(place / "adopted.toml")
    target = msgspec.structs.replace(loaded.target, dsn=database)
    config = msgspec.structs.replace(loaded, target=target, verify=VerifySection())
    await execute(database, (place / "adopted.sql").read_text(encoding="utf-8"))
    await up(config)
    process = await asyncio.create_subprocess_exec(
        *(CDC, "-c", str(write_config(place / "cdc.toml", config)), "cutover", "--dry-run", "--json"),
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate()
    plan = json.loads(answer)
    assert (process.returncode, plan["verdict"]) == (2, "IMPOSSIBLE")
    (gate,) = (gate for gate in plan["gates"] if gate["name"] == "way back")
    assert "content_summaries: its key in Postgres does not say which row of SQLite a new one is" in gate["now"]
