"""Signals of a process that runs an event loop."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def answering(handlers: Mapping[signal.Signals, Callable[[], object]]) -> Iterator[None]:
    """Call these on the loop when their signals come, for the time of a block; what answered before is not put back."""
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
