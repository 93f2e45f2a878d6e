"""A deadline for every lock that is taken on the application's file, kept by the kernel.

Who stands still while holding a lock (stopped by a signal, suspended with its container) would keep the application
from writing for as long as that lasts, or keep its -wal file growing. So a timer of the kernel is set before a lock is
taken and cleared after it. Its signal is SIGKILL, which also ends a process that cannot run any more. What was begun is
undone or was done, as after any crash, and who was killed is started again.

A process that only takes long, on a slow disk or over a large file, puts its deadlines off by a thread of its own.
"""

import ctypes
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import Any, Final

from loguru import logger

BLOCKING_SECONDS: Final = 2.0  # of a lock for which the application's commit waits, by default for 5 s
SNAPSHOT_SECONDS: Final = 3.0  # of a reader in WAL: nobody waits for it, but meanwhile the -wal cannot begin anew
PULSE_SECONDS: Final = 0.2  # how often a living process puts its deadlines off


class Deadline:
    """The deadline of the locks of one connection; a context, which may be entered again inside.

    Set from the first entry to the last exit. `reading_seconds` is how long a lock may be held by a process at rest.
    """

    def __init__(self, reading_seconds: float = BLOCKING_SECONDS) -> None:
        self.reading_seconds = reading_seconds
        self.pulses = 0  # how often it was put off
        self._until = _NEVER
        self._depth = 0
        # The pulse must not set what the holder clears at that moment, nor may another thread that closes it.
        self._mutex = threading.Lock()
        self._timer = _Timer.create()
        if self._timer:
            _pulse().add(self)

    @property
    def is_set(self) -> bool:
        """Whether this is inside the context."""
        return self._depth > 0

    @contextmanager
    def of_a_writer(self) -> Iterator[None]:
        """The context for a write: whatever the journal mode, the application's writes wait for it."""
        with self:
            before, self._until = self._until, _once_after(BLOCKING_SECONDS)
            self._put_off()
            try:
                yield
            finally:
                self._until = before

    def pulse(self) -> None:
        """Put it off if it is set: this process lives."""
        # Read without the lock, for most are not set; `_put_off` looks again with it: what was cleared stays cleared.
        if self._depth:
            self._put_off()
            self.pulses += 1

    def close(self) -> None:
        """Give the timer back; nothing may be locked any more."""
        with self._mutex:
            timer, self._timer = self._timer, None
        if timer:
            _pulse().remove(self)
            timer.delete()

    def _put_off(self) -> None:
        with self._mutex:
            if self._depth and self._timer:
                self._timer.set(self._until, None)

    def __enter__(self) -> None:
        with self._mutex:
            if self._depth == 0 and self._timer:
                self._until = _once_after(self.reading_seconds)
                self._timer.set(self._until, None)
            self._depth += 1

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            self._depth -= 1
            if self._depth == 0 and self._timer:
                self._timer.set(_NEVER, None)

    def __del__(self) -> None:
        if self._timer:
            self._timer.delete()


# --- the pulse --------------------------------------------------------------------------------------------------------


class _Pulse:
    """A thread that puts all deadlines off as long as there are any: if it cannot run, nothing in this process can."""

    def __init__(self) -> None:
        self._deadlines: weakref.WeakSet[Deadline] = weakref.WeakSet()
        self._changed = threading.Condition()
        threading.Thread(target=self._beat, name="deadlines", daemon=True).start()

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            self._deadlines.add(deadline)
            self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        with self._changed:
            self._deadlines.discard(deadline)

    def _beat(self) -> None:
        while True:
            for deadline in self._all():
                deadline.pulse()
            time.sleep(PULSE_SECONDS)

    def _all(self) -> list[Deadline]:
        """All there are; waits until there is one."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._deadlines))
            return list(self._deadlines)


_starting: Final = threading.Lock()


def _pulse() -> _Pulse:
    with _starting:
        return _pulse_of(os.getpid())


@cache
def _pulse_of(_process: int) -> _Pulse:
    """Of this process alone: a fork has no threads."""
    return _Pulse()


# --- the kernel's timers ----------------------------------------------------------------------------------------------


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    """Once after `after`, never when it is zero."""

    _fields_ = (("interval", _TimeSpec), ("after", _TimeSpec))


class _SignalEvent(ctypes.Structure):
    """`struct sigevent`, whose notification by a signal to the whole process is 0."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("room", ctypes.c_byte * 64),
    )


class _Timer:
    """A timer that kills this process. It stands still while the whole machine sleeps, as the application does."""

    def __init__(self, library: Any, number: ctypes.c_void_p) -> None:
        self._library = library
        self._number = number
        self.set: Callable[[Any, None], int] = partial(library.timer_settime, number, 0)

    @classmethod
    def create(cls) -> "_Timer | None":
        """A new timer, not yet set; None where the system gives none, which is told once."""
        library = _library()
        if library is None:
            return None
        number = ctypes.c_void_p()
        event = _SignalEvent(signal=signal.SIGKILL)
        if library.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(number)) != 0:
            _tell_none(os.strerror(ctypes.get_errno()))
            return None
        return cls(library, number)

    def delete(self) -> None:
        self._library.timer_delete(self._number)


@cache
def _once_after(seconds: float) -> Any:
    """What a timer is set to; 0 clears it."""
    whole = int(seconds)
    return ctypes.byref(_TimerSpec(after=_TimeSpec(whole, int((seconds - whole) * 1_000_000_000))))


_NEVER: Final = _once_after(0.0)


@cache
def _library() -> Any:
    """The C library. Its calls take less than it takes to let another thread run meanwhile, so none may."""
    if os.getpid() == 1:
        _tell_none("nothing inside a container can kill its first process: have `cdc` start it, or an init")
        return None
    for name in (None, "librt.so.1"):  # where it stood before glibc 2.34
        with suppress(OSError):
            library = ctypes.PyDLL(name, use_errno=True)
            if hasattr(library, "timer_create"):
                return library
    _tell_none("the C library has no timers")
    return None


@cache
def _tell_none(reason: str) -> None:
    logger.bind(reason=reason).warning("locks on the SQLite file have no deadline: a frozen process would keep them")
