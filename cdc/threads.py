"""Work in a thread that is not left behind: whoever is cancelled meanwhile waits for its end first."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_its_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`, done in a thread; for work after which the world is another one.

    A thread goes on when its task is cancelled, and would do its work after that had been undone. So what was done is
    returned all the same, and the next thing that is waited for is what is cancelled.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        task = asyncio.current_task()
        if running.exception() is not None or task is None:
            raise
        task.cancel()
        return running.result()
