"""Variables in a file of an environment, as shells, systemd and libraries read such files; the rest stays as it is.

The last assignment of a variable counts. Where it stands in quotes, the new value does too; a comment behind it stays.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_ASSIGNMENT: Final = re.compile(
    rb"(?P<head>[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_]\w*)[ \t]*=)(?P<rest>.*)", re.DOTALL
)
_VALUE: Final = re.compile(
    rb"(?P<lead>[ \t]*)"
    rb"(?:(?P<quote>[\"'])(?P<quoted>[^\"'\\]*)(?P=quote)|(?P<plain>(?:[^\"'\\#\s][^\"'\\]*?)?))"
    rb"(?P<tail>(?:[ \t]+#[^\r]*|[ \t]*)\r?)"
)
_ESCAPED: Final = re.compile(rb"\\.")
_SAFE_WITHOUT_QUOTES: Final = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


class UnreadableLine(Exception):
    """An assignment that cannot be read for certain, and so not be changed; never leaves this room."""


@dataclass(frozen=True, slots=True)
class _Line:
    """An assignment: the number of its line, and the line in two parts."""

    number: int
    name: str
    head: bytes
    rest: bytes


def values(content: bytes, names: Mapping[str, str]) -> dict[str, str | None]:
    """What these variables are, None for one that is not set; raises `UnreadableLine`."""
    last = {line.name: line for line in _assignments(content.split(b"\n"))}
    return {name: _value_of(last[name]) if name in last else None for name in names}


def with_values(content: bytes, wanted: Mapping[str, str]) -> bytes:
    """The content with other values; a variable that is not set comes at the end. Raises `UnreadableLine`."""
    lines = content.split(b"\n")
    last = {line.name: line for line in _assignments(lines)}
    for name, value in wanted.items():
        if name in last:
            lines[last[name].number] = _written(last[name], value)
    end = b"\r\n" if b"\r\n" in content else b"\n"
    added = b"".join(f"{name}={_quoted(value)}".encode() + end for name, value in wanted.items() if name not in last)
    whole = b"\n".join(lines)
    return whole + (end if added and whole and not whole.endswith(b"\n") else b"") + added


def _assignments(lines: list[bytes]) -> Iterator[_Line]:
    """The lines that begin an assignment; those within a value of several lines do not."""
    quote, goes_on = (
        b"",
        False,
    )  # what would close the value that is open, and whether the next line belongs to this one
    for number, line in enumerate(lines):
        found = None if quote or goes_on else _ASSIGNMENT.fullmatch(line)
        if found is not None:
            yield _Line(number, found["name"].decode(), found["head"], found["rest"])
            first = found["rest"].lstrip(b" \t")[:1]
            quote = _open_after(line, first) if first in (b'"', b"'") else b""
        elif quote:
            quote = b"" if _open_after(line, quote) else quote  # one more closes it
        goes_on = (found is not None or goes_on) and line.rstrip(b"\r").endswith(b"\\")


def _open_after(line: bytes, quote: bytes) -> bytes:
    """The quote, where a line has an odd number of it; nothing else."""
    return quote if _ESCAPED.sub(b"", line).count(quote) % 2 else b""


def _value_of(line: _Line) -> str:
    found = _parts(line)
    return (found["plain"] if found["quote"] is None else found["quoted"]).decode("utf-8", "surrogateescape")


def _written(line: _Line, value: str) -> bytes:
    found = _parts(line)
    quote = found["quote"]
    text = _quoted(value).encode() if quote is None else quote + value.encode() + quote
    return line.head + found["lead"] + text + found["tail"]


def _parts(line: _Line) -> re.Match[bytes]:
    found = _VALUE.fullmatch(line.rest)
    if found is None:
        raise UnreadableLine(f"line {line.number + 1}, which sets {line.name}, is not one plain or quoted value")
    return found


def _quoted(value: str) -> str:
    return value if _SAFE_WITHOUT_QUOTES.fullmatch(value) else f'"{value}"'
