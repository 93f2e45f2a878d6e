"""The commands of a rehearsal, as an operator would give them: each a process of its own, which can be killed."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

COMMAND_SECONDS: Final = 900.0  # a switch that takes longer is ended
END_SECONDS: Final = 20.0

# Theirs would be the manager of whoever rehearses, and its faults.
_NOT_HANDED_ON: Final = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "CDC_CRASH_AT",
    "CDC_FREEZE_AT",
    "CDC_CONFIG",
)


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How a command ended: its exit code, negative for a signal, and its answer."""

    code: int
    answer: dict[str, Any]

    @property
    def killed(self) -> bool:
        """Whether it was killed, as a rehearsal has it."""
        return self.code == -signal.SIGKILL

    @property
    def words(self) -> str:
        """Why it did not do what it was told to: what it says, or the gates that are closed."""
        closed = [f"{g['name']}: {g['now']}" for g in self.answer.get("gates", ()) if not g["passed"]]
        told = self.answer.get("error") or "; ".join(closed) or self.answer.get("afterwards")
        return str(told or f"it ended with {self.code}")


class Commands:
    """Calls `cdc` with one configuration file; all that is logged goes to files beside it."""

    def __init__(self, config_file: Path) -> None:
        self._file = config_file

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[Process]:
        """`cdc up` for the time of a block, which ends as systemd would end it."""
        process = await self._started("up", log="daemon.log", stdout=DEVNULL)
        try:
            yield process
        finally:
            await _end(process)

    async def run(self, *arguments: str, crash_at: str = "") -> CommandEnd:
        """Give a command and wait for its end; with `crash_at` it is killed at that point."""
        environment = {"CDC_CRASH_AT": crash_at} if crash_at else {}
        process = await self._started(*arguments, "--json", log="commands.log", stdout=PIPE, **environment)
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                told, _ = await process.communicate()
        except TimeoutError:
            return CommandEnd(await _end(process), {"error": f"it did not end within {COMMAND_SECONDS:.0f} s"})
        finally:
            await _end(process)
        assert process.returncode is not None
        return CommandEnd(process.returncode, _answer(told))

    async def _started(self, *arguments: str, log: str, stdout: int, **environment: str) -> Process:
        command = (sys.executable, "-m", "cdc", "-q", "-c", str(self._file), *arguments)
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
        with (self._file.parent / log).open("ab") as told:
            # In a session of its own: Ctrl-C is for whoever rehearses, and that one ends them in good order.
            return await asyncio.create_subprocess_exec(
                *command,
                env={**kept, **environment},
                stdin=DEVNULL,
                stdout=stdout,
                stderr=told,
                start_new_session=True,
            )


def _answer(told: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        answer = json.loads(told)
        if isinstance(answer, dict):
            return answer
    return {}


async def _end(process: Process) -> int:
    """Ask a process to end, and kill it when it does not; its exit code."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
    return await process.wait()
