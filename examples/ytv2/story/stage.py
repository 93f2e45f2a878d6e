"""What the story plays on: a folder, a Postgres, the dashboard on each database, the proxy, the daemon, and users.

Each is a process of its own, started as an operator would. The tool is only ever asked by its command line.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import aiohttp

from cdc.postgres.server import embedded

HERE: Final = Path(__file__).parents[1]
COPIED: Final = ("cdc.toml", "ytv2_migration_day.db", "queries.toml")
COPIED_FOLDERS: Final = ("schemas", "legacy")
GOOD: Final = {"200", "acknowledged", "as logged"}  # what may become of a request of users
START_SECONDS: Final = 30.0
END_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.05

# What the operator adds to the configuration once there is something to switch.
SWITCH: Final = """
[legacy]
flags = ["READ_FROM_POSTGRES"]

[shadow]
baseline = "{sqlite}"
candidate = "{postgres}"
deny = ["/api/reset", "/health*"]

[shadow.proxy]
listen = "{listen}"

[cutover]
shadow_clean_hours = 0.001  # hours, where an operator waits for days
finalize_after_hours = 0.0

[[cutover.flags]]
kind = "proxy"

[[cutover.checks]]
name = "the back end it really uses"
url = "http://{listen}/health/backend"
sqlite = {{ backend = "sqlite" }}
postgres = {{ backend = "postgres" }}

[[cutover.checks]]
name = "a video and its row"
after = "writes"
method = "POST"
url = "http://{listen}/api/content"
body = '{{"video_id": "Check{{probe}}", "title": "Check {{probe}}", "summary": {{"text": "{{probe}}"}}}}'
sql = "SELECT count(*) FROM content_summaries WHERE content_id = 'yt:Check{{probe}}' AND summary_text = '{{probe}}'"
undo_url = "http://{listen}/api/delete/Check{{probe}}"
"""


class StoryError(Exception):
    """Something did not come to pass as it is told."""


class Stage:
    """One story in one folder; `port` takes the dashboard's users."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.file = self.folder / "ytv2_migration_day.db"
        self.on_sqlite, self.on_postgres, self.listen = (f"127.0.0.1:{port}" for port in _free_ports(3))
        self._processes: dict[str, Process] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The application runs on its file, and Postgres is there; nothing is left running at the end of the block."""
        for name in COPIED:
            shutil.copyfile(HERE / name, self.folder / name)
        for name in COPIED_FOLDERS:
            shutil.copytree(HERE / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        server = await asyncio.to_thread(embedded.start, self.folder / "postgres")
        self.dsn = server.dsn
        try:
            self._configure()
            yield
        finally:
            for name in reversed(list(self._processes)):
                await self.end(name)
            await asyncio.to_thread(server.shut_down)

    def _configure(self) -> None:
        """The sample's configuration, with a server that runs by itself, and all that a switch needs."""
        file = self.folder / "cdc.toml"
        text = file.read_text(encoding="utf-8").replace('dsn = "embedded"', f'dsn = "{self.dsn}"')
        addresses = {"sqlite": f"http://{self.on_sqlite}", "postgres": f"http://{self.on_postgres}"}
        file.write_text(text + SWITCH.format(**addresses, listen=self.listen), encoding="utf-8")

    async def start_dashboard(self, name: str, address: str, environment: Mapping[str, str]) -> None:
        """One instance of the application, which answers when this returns."""
        variables = {**environment, "YTV2_RECENT": str(self.folder / f"{name}.recent.json")}
        log = ("--access-log", str(self.folder / f"{name}.access.log"))
        await self._start(name, "app", "--port", address.rpartition(":")[2], *log, environment=variables)
        await self._answers(name, f"http://{address}/health")

    async def start_daemon(self) -> None:
        """`cdc run`, as systemd would."""
        await self._start("daemon", "cdc", "-c", str(self.folder / "cdc.toml"), "run")

    async def start_proxy(self) -> None:
        """`cdc shadow proxy`, which users meet from now on."""
        await self._start("proxy", "cdc", "-c", str(self.folder / "cdc.toml"), "shadow", "proxy")
        await self._answers("proxy", f"http://{self.listen}/health")

    async def start_users(self, address: str, rate: int) -> None:
        """Readers and writers, who look at what they wrote all the time, until they are told to leave."""
        log = str(self.folder / "writes.jsonl")
        command = ("app.traffic", f"http://{address}", "--log", log, "--seconds", "900", "--rate", str(rate))
        await self._start("users", *command)

    async def users_leave(self) -> str:
        """What users got, in words; raises `StoryError` when one of them saw what nobody wrote, or was refused."""
        code = await self.end("users")
        counts = dict(json.loads((self.folder / "users.log").read_text(encoding="utf-8").splitlines()[-1]))
        failed = {what: n for what, n in counts.items() if what.partition(" ")[2] not in GOOD}
        if code or failed:
            raise StoryError(f"users were not served as they should be: {failed or counts}")
        return f"{sum(counts.values()):,} requests of users, reads and writes: none failed, none was answered wrongly"

    async def users_agree(self, address: str) -> bool:
        """Whether the dashboard there shows every write that it ever acknowledged."""
        log = str(self.folder / "writes.jsonl")
        await self._start("look", "app.traffic", f"http://{address}", "--log", log, "--check")
        return await self._processes.pop("look").wait() == 0

    async def end(self, name: str) -> int:
        """End a process as systemd would; its exit code."""
        process = self._processes.pop(name)
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), END_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode

    async def ended(self, name: str) -> int:
        """The exit code of a process that ends by itself."""
        return await self._processes.pop(name).wait()

    async def call(self, *arguments: str) -> int:
        """A command of the tool in the story's folder, which prints what an operator sees; its exit code."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cdc", *arguments, stdin=DEVNULL, cwd=self.folder
        )
        return await process.wait()

    async def answer(self, *arguments: str) -> str:
        """What a command answers, without showing it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cdc", "-q", *arguments, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, cwd=self.folder
        )
        told, _ = await process.communicate()
        return told.decode()

    async def _start(self, name: str, module: str, *arguments: str, environment: Mapping[str, str] = {}) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, *arguments),
                cwd=HERE,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
            )

    async def _answers(self, name: str, url: str) -> None:
        until = asyncio.get_running_loop().time() + START_SECONDS
        async with aiohttp.ClientSession() as asking:
            while True:
                with suppress(aiohttp.ClientConnectionError):
                    async with asking.get(url) as answer:
                        if answer.status == 200:
                            return
                if asyncio.get_running_loop().time() > until or self._processes[name].returncode is not None:
                    raise StoryError(f"{name} does not answer: see {self.folder}/{name}.log")
                await asyncio.sleep(LOOK_SECONDS)


def _free_ports(count: int) -> list[int]:
    """Ports that nobody uses; taken together, so that they differ."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [listening.getsockname()[1] for listening in taken]
    finally:
        for listening in taken:
            listening.close()
