"""What every command shares: the options given before it, the configuration, the audit trail, the event loop."""

import asyncio
import re
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

import click

from cdc import log
from cdc.audit import trail
from cdc.cli.progress import chosen_progress
from cdc.config import Config, config_path, load_config
from cdc.errors import CdcError
from cdc.facts.progress import Progress

T = TypeVar("T")


class Terminated(BaseException):
    """SIGTERM arrived: end at once, but close what is open. No `Exception`, so that nothing swallows it."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that stand before the command."""

    config_file: Path | None = None
    verbose: bool = False
    quiet: bool = False
    log_json: bool = False

    @property
    def config_path(self) -> Path:
        """The configuration file that this call uses, whether or not it exists."""
        return config_path(self.config_file)

    def config(self) -> Config:
        """The configuration; raises `ConfigError`."""
        return load_config(self.config_path)

    def start_log(self, *, daemon: bool = False) -> None:
        """Set logging up: a daemon tells what it does, a command tells only what is wrong."""
        level = "DEBUG" if self.verbose else "INFO" if daemon and not self.quiet else "WARNING"
        log.setup(level=level, as_json=self.log_json)

    @property
    def for_program(self) -> bool:
        """Whether nobody looks: a log is all that is wanted, or less."""
        return self.quiet or self.log_json or log.journal_reads(sys.stderr)

    def progress(self) -> Progress:
        """Where long work shows how far it is."""
        return chosen_progress(quiet=self.for_program)


pass_session = click.make_pass_decorator(Options)


@contextmanager
def audited(config: Config, action: str, **details: trail.Detail) -> Iterator[dict[str, trail.Detail]]:
    """Record how the step inside ended; what it adds to the yielded details is recorded with it."""
    told: dict[str, trail.Detail] = dict(details)
    try:
        yield told
    except CdcError as error:
        trail.record(config.state.dir, action, "failed", {**told, "reason": log.redact(error.message)})
        raise
    except (KeyboardInterrupt, click.Abort, Terminated):
        trail.record(config.state.dir, action, "interrupted", told)
        raise
    except BaseException as error:
        # The message of an error that nobody foresaw may hold row values; its kind cannot.
        trail.record(config.state.dir, action, "failed", {**told, "reason": type(error).__name__})
        raise
    trail.record(config.state.dir, action, "done", told)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; Ctrl-C and SIGTERM cancel it, so that it closes what it opened."""
    import uvloop

    return uvloop.run(_until_terminated(work))


async def _until_terminated(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    asked = asyncio.Event()

    def end() -> None:
        asked.set()
        if task is not None:
            task.cancel()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log.left_behind)
    if _hears_signals():
        loop.add_signal_handler(signal.SIGTERM, end)
    try:
        return await work
    except asyncio.CancelledError:
        if asked.is_set():
            raise Terminated from None
        raise


@contextmanager
def terminable() -> Iterator[None]:
    """While inside, SIGTERM raises `Terminated`, so that work outside an event loop also ends cleanly."""
    if not _hears_signals():
        yield
        return
    before = [(number, signal.signal(number, act)) for number, act in _ACTS.items()]
    try:
        yield
    finally:
        for number, act in before:
            signal.signal(number, act)


def _hears_signals() -> bool:
    return threading.current_thread() is threading.main_thread()


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _suspend(_number: int, _frame: FrameType | None) -> None:
    """Stop as Ctrl-Z has it, but say first why it may end; nothing could be said then."""
    click.echo(
        "suspended: if it has the SQLite file locked now, it is killed within seconds, because the application could "
        "not write; nothing is lost, give the command again",
        err=True,
    )
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, _suspend)


_SPAN: Final = re.compile(r"(\d+) *([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ACTS: Final = {signal.SIGTERM: _terminate, signal.SIGTSTP: _suspend}


def span(text: str) -> timedelta | None:
    """A span of time as people write it, such as `30s`, `10m`, `12h` or `7d`; None when it is none."""
    found = _SPAN.fullmatch(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


class SpanParameter(click.ParamType[timedelta]):
    """A span of time."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """See `span`."""
        found = span(str(value))
        return found if found is not None else self.fail(f"{value} is no time: write 30s, 10m, 12h or 7d", param, ctx)
