"""Which SQL expressions can fail for a row, and by what it can be known beforehand that they do not.

Capture computes an index's expressions for a row that is about to be written. SQLite may never come to compute them for
that row (a predicate leaves it out, `OR IGNORE` skips it), so where one fails, a write that SQLite takes would be lost.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from cdc.sqlite.schema.create_text import Token, closing, split, tokens

# Longer inputs may grow beyond what an application lets a value be (SQLite's advice for the careful is a million).
_LONGEST_INPUT: Final = 4_000
_LONGEST_PATTERN: Final = 40  # of LIKE and GLOB; the careful allow 50
_LONGEST_REPLACEMENT: Final = 10

_GROUPS: Final = frozenset(
    (
        *("ALL", "AND", "AS", "BETWEEN", "CASE", "COLLATE", "ELSE", "END", "ESCAPE", "FILTER", "IN", "IS"),
        *("ISNULL", "NOT", "NOTNULL", "NULL", "OR", "THEN", "WHEN"),
    )
)
_NEVER: Final = frozenset(
    (
        *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "ceiling", "coalesce", "cos"),
        *("cosh", "degrees", "exp", "floor", "ifnull", "iif", "instr", "json_valid", "length", "likelihood"),
        *("likely", "ln", "log", "log10", "log2", "lower", "ltrim", "max", "min", "mod", "nullif"),
        *("octet_length", "pi", "pow", "power", "radians", "round", "rtrim", "sign", "sin", "sinh", "soundex"),
        *("sqrt", "substr", "substring", "tan", "tanh", "trim", "trunc", "typeof", "unhex", "unicode"),
        *("unlikely", "upper"),
    )
)
_GROWING: Final = frozenset(["concat", "concat_ws", "hex", "quote"])
_JSON: Final = frozenset(["json", "json_array_length", "json_extract", "json_type"])
_DATES: Final = frozenset(["date", "datetime", "julianday", "time", "unixepoch"])
_LOCAL: Final = ("localtime", "utc")
_PATH: Final = re.compile(r"""'\$(?:\.\w+|\."[^"\\']*"|\[\d{1,9}\])*'""")
_LABEL: Final = re.compile(r"'\w*'|\d{1,9}")
_FORMAT: Final = re.compile(r"'(?:[^%']|%[-+ 0,#]*\d{0,2}(?:\.\d{1,2})?[a-zA-Z%])*'")
_COMPARING: Final = frozenset(["=", "<", ">", "BETWEEN", "CASE", "IN", "IS"])


def conditions(expression: str, columns: Sequence[str]) -> tuple[str, ...] | None:
    """What must hold, one after the other, for the expression to be computable; empty when it always is.

    None where it cannot be known: functions of the application, and those that fail for reasons of many kinds. Each
    condition can be computed where those before it hold. `columns` are the columns that the expression uses, as SQL.
    """
    try:
        needs = _Reading(expression, columns).conditions()
    except _Unknown:
        return None
    return tuple(dict.fromkeys(needs))


def compared(expression: str) -> frozenset[str]:
    """The names, in lower case, of what the expression may compare: there the affinity of a column matters."""
    every = tokens(expression)
    comparing = [token for at, token in enumerate(every) if not _asks_for_null(every, at)]
    if not any(token.word in _COMPARING for token in comparing):
        return frozenset()
    return frozenset(t.name.lower() for t in comparing if t.kind in {"word", "quoted"} and t.name is not None)


def _asks_for_null(part: Sequence[Token], at: int) -> bool:
    """Whether here begins, or goes on, `name IS [NOT] NULL`, which compares nothing."""
    begin = at if _word(part, at) == "IS" else at + 1
    return _word(part, begin) == "IS" and _word(part, begin + 1 + (_word(part, begin + 1) == "NOT")) == "NULL"


class _Unknown(Exception):
    """The expression may fail for reasons that cannot be known beforehand."""


class _Reading:
    """One expression, read from left to right; what a call needs stands behind what its arguments need."""

    def __init__(self, sql: str, columns: Sequence[str]) -> None:
        self._sql = sql
        self._columns = columns
        self._needs: list[str] = []

    def conditions(self) -> list[str]:
        """What must hold, in order."""
        self._read(tokens(self._sql))
        return self._needs

    def _read(self, part: Sequence[Token]) -> None:
        at = 0
        while at < len(part):
            token = part[at]
            if _is_call(part, at):
                end = closing(part, at + 1)
                self._call((token.name or "").lower(), split(part[at + 2 : end]))
                at = end
            elif token.word in {"REGEXP", "MATCH", "ESCAPE", "RAISE", "SELECT", "OVER"}:
                raise _Unknown
            elif token.word in {"LIKE", "GLOB"}:
                self._pattern(part, at)
            elif _joined(part, at, "||"):
                self._short()
                at += 1
            elif _joined(part, at, "->"):
                self._arrow(part, at)
            at += 1

    def _call(self, name: str, arguments: Sequence[Sequence[Token]]) -> None:
        for argument in arguments:
            self._read(argument)
        texts = [self._text(argument) for argument in arguments if argument]
        if name in _GROWING:
            self._short()
        elif name in _CALLS:
            _CALLS[name](self, texts)
        elif name in _JSON:
            self._json(texts[0])
            _require(all(_PATH.fullmatch(path) for path in texts[1:]))
        elif name in _DATES:
            _require(_literal(texts[1:]))
        elif name not in _NEVER and name != "cast":
            raise _Unknown

    def _text(self, part: Sequence[Token]) -> str:
        return self._sql[part[0].start : part[-1].end]

    def _short(self) -> None:
        total = " + ".join(f"ifnull(length(CAST({column} AS BLOB)), 0)" for column in self._columns) or "0"
        self._needs.append(f"{total} <= {_LONGEST_INPUT}")

    def _json(self, document: str) -> None:
        # As a blob it may be SQLite's own binary form, of which old versions know nothing.
        self._needs.append(f"typeof({document}) <> 'blob' AND ifnull(json_valid({document}), 1)")

    def _absolute(self, texts: Sequence[str]) -> None:
        self._needs.append(f"({texts[0]}) IS NOT -9223372036854775808")

    def _replace(self, texts: Sequence[str]) -> None:
        _require(_literal(texts[2:]) and len(texts[2]) <= _LONGEST_REPLACEMENT)
        self._short()

    def _format(self, texts: Sequence[str]) -> None:
        _require(bool(texts) and _FORMAT.fullmatch(texts[0]) is not None)
        self._short()

    def _strftime(self, texts: Sequence[str]) -> None:
        _require(_literal(texts[:1]) and _literal(texts[2:]))

    def _pattern(self, part: Sequence[Token], at: int) -> None:
        pattern = part[at + 1]
        _require(pattern.kind == "text" and len(pattern.text) <= _LONGEST_PATTERN)
        _require(not (_joined(part, at + 2, "||") or _joined(part, at + 2, "->")))

    def _arrow(self, part: Sequence[Token], at: int) -> None:
        """`document -> label`: only where the document is one name or one call, or itself taken from a document."""
        label = at + (3 if _joined(part, at, "->>") else 2)
        _require(label < len(part) and (_LABEL.fullmatch(part[label].text) or _PATH.fullmatch(part[label].text)))
        begin = at - 1
        if begin >= 0 and part[begin].text == ")":
            begin = next(n for n in range(begin) if part[n].text == "(" and closing(part, n) == begin)
            begin -= begin > 0 and _is_call(part, begin - 1)
        _require(begin >= 0)
        before = part[begin - 1].text if begin else ""
        if before == ">":
            return  # what an arrow gives is a document, or NULL
        _require(before not in {"|", "-", "+", "~", "."} and part[at - 1].kind not in {"text", "blob", "number"})
        self._json(self._text(part[begin:at]))


_CALLS: Final[dict[str, Callable[[_Reading, Sequence[str]], None]]] = {
    "abs": _Reading._absolute,
    "format": _Reading._format,
    "printf": _Reading._format,
    "replace": _Reading._replace,
    "strftime": _Reading._strftime,
}


def _require(condition: object) -> None:
    if not condition:
        raise _Unknown


def _literal(texts: Sequence[str]) -> bool:
    """Whether all are texts written out that do not ask for the local time, which a system may not know."""
    return all(text.startswith("'") and text[1:-1].strip().lower() not in _LOCAL for text in texts)


def _is_call(part: Sequence[Token], at: int) -> bool:
    opens = at + 1 < len(part) and part[at + 1].text == "("
    return opens and part[at].kind in {"word", "quoted"} and part[at].word not in _GROUPS | {"LIKE", "GLOB"}


def _joined(part: Sequence[Token], at: int, sign: str) -> bool:
    """Whether the sign, whose characters are tokens of their own, stands here."""
    signs = part[at : at + len(sign)]
    adjacent = all(a.end == b.start for a, b in pairwise(signs))
    return [t.text for t in signs] == list(sign) and adjacent


def _word(part: Sequence[Token], at: int) -> str:
    return part[at].word if at < len(part) else ""
