"""How the daemon ends when it is told to: by itself, within seconds, and never in the middle of something.

What is under way may finish for a while. After that, or when told again, it is given up: its connections to Postgres
are cut, which undoes its transaction there, and SQLite is interrupted. Data and position move in one transaction, so
either both moved or neither.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from loguru import logger

from cdc.errors import CdcError
from cdc.postgres.connection.open import hang_up_all
from cdc.sqlite.connection.open import interrupt_all

FINISH_SECONDS: Final = 6.0
GIVE_UP_SECONDS: Final = 1.0  # for what was cut off to notice; then it is left behind


class Stop:
    """A request to end. `on_asked` is called at once when it comes, and says whether the work may finish first."""

    def __init__(self, on_asked: Callable[[], bool]) -> None:
        self.asked = asyncio.Event()
        self._insisted = asyncio.Event()
        self._on_asked = on_asked
        self._may_finish = True

    def ask(self) -> None:
        """The first time: end soon. Again: give up at once what is under way."""
        if self.asked.is_set():
            self._insisted.set()
            return
        self._may_finish = self._on_asked()
        self.asked.set()

    async def bound(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work until it ends, or until it was finished or given up because a stop was asked for."""
        task = asyncio.create_task(work)
        asked = asyncio.create_task(self.asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            if self.asked.is_set():
                await self._end(task)
            else:
                await task
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        finally:
            asked.cancel()

    async def _end(self, task: "asyncio.Task[None]") -> None:
        if self._may_finish:
            await self._finished(task)
        given_up = not task.done()
        if given_up:
            await _give_up(task)
        error = task.exception() if task.done() and not task.cancelled() else None
        if error is None:
            return
        if not given_up and not isinstance(error, CdcError):
            raise error
        # Cut off, or ended by itself while it waited for a database: the next start finds out what it was.
        logger.bind(kind=type(error).__name__).debug("the work under way ended with an error")

    async def _finished(self, task: "asyncio.Task[None]") -> None:
        insisted = asyncio.create_task(self._insisted.wait())
        await asyncio.wait({task, insisted}, timeout=FINISH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        insisted.cancel()


async def _give_up(task: "asyncio.Task[None]") -> None:
    logger.warning("what is under way is given up: it did not end in time")
    for cut in (_cut_off, task.cancel):
        cut()
        await asyncio.wait({task}, timeout=GIVE_UP_SECONDS)
        if task.done():
            return
    logger.error("something hangs and is left behind")


def _cut_off() -> None:
    hang_up_all()
    interrupt_all()
