"""Text of which no more is known than its lines: other languages, and Python that does not parse."""

import re
from collections.abc import Iterator
from typing import Final

from cdc.legacy.names import SQLITE_ADDRESS, LegacyNames
from cdc.legacy.remains import RemainKind, Trace
from cdc.legacy.vocabulary import PYTHON_DRIVERS

_COMMENT: Final = re.compile(r"\s*(?:#|//|--|;|::|/\*|\*|<!--|%|rem\b|@rem\b)", re.IGNORECASE)
_QUOTED: Final = r"""[^#/"']|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|["'/#]"""
_BEFORE_COMMENT: Final = re.compile(rf"(?:(?!\s(?:#|//)(?:\s|$))(?:{_QUOTED}))*")
_USES: Final = re.compile(
    rf"^\s*(?:import|from)\s+(?P<python>{'|'.join(sorted(PYTHON_DRIVERS))})\b"
    r"|(?P<other>django\.db\.backends\.sqlite3|"
    r"new SQLite3\b|SQLite3::|go-sqlite3|modernc\.org/sqlite|rusqlite|org\.sqlite\.|\bsqlite3_open\w*"
    r"|require ['\"]sqlite3['\"]|sql\.Open\(\s*[\"'`]sqlite3?[\"'`]|Microsoft\.Data\.Sqlite|System\.Data\.SQLite)"
)
_IMPORTS: Final = re.compile(r"^\s*(?:import|from)\s+([\w.]+)(?:\s+import\s+([\w, ]+))?")


def in_lines(text: str, wanted: LegacyNames) -> Iterator[Trace]:
    """Traces in lines, but for comments: a line that begins as one in most languages, and what stands behind ` #`."""
    for number, line in enumerate(text.split("\n"), 1):
        if not _COMMENT.match(line) and wanted.may_be_in(line):
            yield from _in_line(without_comment(line), number, wanted)


def without_comment(line: str) -> str:
    """The line as far as no comment begins, which a blank stands before; quotes are heeded."""
    code = _BEFORE_COMMENT.match(line)
    return code[0] if code else line


def _in_line(line: str, number: int, wanted: LegacyNames) -> Iterator[Trace]:
    if script := wanted.script_in(line) or _imported(line, wanted):
        yield Trace(number, RemainKind.CALL, script)
    if address := SQLITE_ADDRESS.search(line):
        yield Trace(number, RemainKind.ADDRESS, address[0])
    if use := _USES.search(line):
        yield Trace(number, RemainKind.CODE, use["python"] or use["other"])
    if database := wanted.database_named(line):
        yield Trace(number, RemainKind.DATABASE_NAME, database)
    if flag := wanted.flag_in(line):
        yield Trace(number, RemainKind.FLAG, flag)


def _imported(line: str, wanted: LegacyNames) -> str:
    found = _IMPORTS.match(line)
    names = [found[1], *re.split(r"[,\s]+", found[2] or "")] if found else []
    return next((script for name in names if (script := wanted.script_of_module(name))), "")
