"""Logging, set up once: lines for people on a terminal, one JSON object a line for machines.

A line is a short constant sentence plus fields. Passwords inside connection strings are cut out of whatever is logged,
and tracebacks never show the values of variables: those may be rows of the application.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TextIO

from loguru import logger

if TYPE_CHECKING:
    from loguru import Record

REPEAT_SECONDS: Final = 30.0  # an identical warning is logged at most this often
REMEMBERED: Final = 200  # kinds of warnings remembered at a time

_PASSWORD_IN_URL: Final = re.compile(r"(?<=://)(?P<user>[^:/@\s]*):[^/\s]*@")
_PASSWORD_FIELD: Final = re.compile(r"(?P<key>\bpassword\s*=\s*)('[^']*'|[^\s&]+)", re.IGNORECASE)
_LEVEL_STYLE: Final = "<level>{level: <7}</level>"


def setup(*, level: str = "INFO", as_json: bool = False, stream: TextIO | None = None) -> None:
    """Send log lines of `level` and above to `stream` (stderr); JSON when asked, or when systemd's journal reads."""
    sink = stream or sys.stderr
    json_lines = as_json or _journal_reads(sink)
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


class Repeats:
    """Lets a warning through and holds back identical ones for `REPEAT_SECONDS`; the next one tells how many.

    Identical are a warning's place in the code, its sentence and its `error`; other fields (attempts, waits) differ.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[tuple[object, ...], tuple[float, int]] = {}

    def __call__(self, record: "Record") -> bool:
        """Whether this record is to be written; adds the field `repeated` when others were held back."""
        if record["level"].no < logger.level("WARNING").no:
            return True
        key = (record["name"], record["line"], record["message"], str(record["extra"].get("error")))
        since, held = self._seen.get(key, (None, 0))
        now = self._clock()
        if since is not None and now - since < REPEAT_SECONDS:
            self._seen[key] = (since, held + 1)
            return False
        if len(self._seen) >= REMEMBERED:
            self._seen.clear()
        self._seen[key] = (now, 0)
        if held:
            record["extra"]["repeated"] = held
        return True


def _journal_reads(stream: TextIO) -> bool:
    # The variable alone proves nothing: every process of a desktop session inherits it. It names the journal's stream.
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{found.st_dev}:{found.st_ino}"


def _human_format(record: "Record") -> str:
    fields = " ".join(f"{name}={_shown(value)}" for name, value in record["extra"].items())
    # loguru formats the returned text again, so what is data goes in by name and not by value.
    record["extra"]["_line"] = redact(f"{record['message']}  {fields}".rstrip())
    return f"<dim>{{time:HH:mm:ss}}</dim> {_LEVEL_STYLE} {{extra[_line]}}\n" + _trace(record)


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


def _trace(record: "Record") -> str:
    return "{exception}\n" if record["exception"] else ""


def _shown(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or "\n" in text or not text else text
