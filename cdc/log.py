"""Logging, set up once: lines for people on a terminal, one JSON object a line for machines.

A line is a short constant sentence plus fields. Passwords inside connection strings are cut out of whatever is logged,
and tracebacks never show the values of variables: those may be rows of the application.
"""

import json
import os
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TextIO

from loguru import logger

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from loguru import Record

WINDOW_SECONDS: Final = 30.0  # in this time, what says the same is written once,
PLACE_LINES: Final = 10  # one place in the code writes so many lines at most, whatever they say,
ALL_LINES: Final = 100  # and all of them together so many
REMEMBERED: Final = 500  # kinds of lines, and places, remembered at a time

_PASSWORD_IN_URL: Final = re.compile(r"(?<=://)(?P<user>[^:/@\s]*):[^/\s]*@")
_PASSWORD_FIELD: Final = re.compile(r"(?P<key>\bpassword\s*=\s*)('[^']*'|[^\s&]+)", re.IGNORECASE)
_COUNTERS: Final = frozenset({"attempt", "wait_seconds"})
_LEVEL_STYLE: Final = "<level>{level: <7}</level>"


def setup(*, level: str = "INFO", as_json: bool = False, stream: TextIO | None = None) -> None:
    """Send log lines of `level` and above to `stream` (stderr); JSON when asked, or when systemd's journal reads."""
    sink = stream or sys.stderr
    json_lines = as_json or journal_reads(sink)
    logger.remove()
    logger.add(
        sink,
        level=level,
        format=_json_format if json_lines else _human_format,
        colorize=not json_lines and sink.isatty(),
        filter=Repeats(time.monotonic),
        backtrace=False,
        diagnose=False,
    )


def redact(text: str) -> str:
    """The text without the passwords of connection strings in it."""
    hidden = _PASSWORD_IN_URL.sub(r"\g<user>:***@", text)
    return _PASSWORD_FIELD.sub(r"\g<key>***", hidden)


def left_behind(_loop: "AbstractEventLoop", context: dict[str, Any]) -> None:
    """Tell of an error that nobody waited for in a line of ours: asyncio would print its trace, values and all."""
    kind = type(context.get("exception")).__name__
    logger.bind(kind=kind, words=context["message"]).warning("an error was left behind")


class Repeats:
    """Bounds the volume of the log whatever repeats, alternates or comes and goes; a person reads the rest sooner.

    The same is a line's place in the code, its sentence and its fields, but for those that count attempts. A line that
    is written tells how many of its kind were held back before it (`repeated`), and how many others of its place
    (`held_back`).
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: OrderedDict[object, _Window] = OrderedDict()
        self._all = _Window(ALL_LINES)

    def __call__(self, record: "Record") -> bool:
        """Whether this record is to be written; adds the counts of those that were not."""
        now = self._clock()
        place = (record["name"], record["line"])
        fields = sorted((name, str(value)) for name, value in record["extra"].items() if name not in _COUNTERS)
        kind = self._window((place, record["message"], *fields), 1)
        windows = (kind, self._window(place, PLACE_LINES), self._all)
        if not all(window.has_room(now) for window in windows):
            for window in windows:
                window.held += 1
            return False
        repeated, held, _ = [window.take(now) for window in windows]
        counts = {"repeated": repeated, "held_back": held - repeated}
        record["extra"].update({name: count for name, count in counts.items() if count > 0})
        return True

    def _window(self, key: object, most: int) -> "_Window":
        window = self._windows.setdefault(key, _Window(most))
        self._windows.move_to_end(key)
        if len(self._windows) > REMEMBERED:
            self._windows.popitem(last=False)
        return window


class _Window:
    """Room for so many lines in `WINDOW_SECONDS`, counted from the first of them."""

    __slots__ = ("_began", "_most", "_written", "held")

    def __init__(self, most: int) -> None:
        self._most = most
        self._began = 0.0
        self._written = 0
        self.held = 0

    def has_room(self, now: float) -> bool:
        if now - self._began >= WINDOW_SECONDS:
            self._written = 0
        return self._written < self._most

    def take(self, now: float) -> int:
        """Note a written line; returns how many were held back before it."""
        if self._written == 0:
            self._began = now
        self._written += 1
        held, self.held = self.held, 0
        return held


def journal_reads(stream: TextIO) -> bool:
    """Whether what is written there goes to systemd's journal."""
    # The variable alone proves nothing: every process of a desktop session inherits it. It names the journal's stream.
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        file = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{file.st_dev}:{file.st_ino}"


def _human_format(record: "Record") -> str:
    fields = " ".join(f"{name}={_shown(value)}" for name, value in record["extra"].items())
    # loguru formats the returned text again, so what is data goes in by name and not by value.
    record["extra"]["_line"] = redact(f"{record['message']}  {fields}".rstrip())
    trace = "{exception}\n" if record["exception"] else ""
    return f"<dim>{{time:HH:mm:ss}}</dim> {_LEVEL_STYLE} {{extra[_line]}}\n{trace}"


def _json_format(record: "Record") -> str:
    line: dict[str, Any] = {
        "at": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name.lower(),
        "message": redact(record["message"]),
    }
    line.update({name: redact(v) if isinstance(v, str) else v for name, v in record["extra"].items()})
    if error := record["exception"]:
        line["exception"] = redact(f"{error.type.__name__ if error.type else 'error'}: {error.value}")
    record["extra"]["_line"] = json.dumps(line, default=lambda v: redact(str(v)), ensure_ascii=False)
    return "{extra[_line]}\n"


def _shown(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or "\n" in text or not text else text
