"""Why two answers may differ: what each cause means, what helps, and which one two values point to."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

# What is seen, and what helps; the page docs/shadow.md is made from this.
CAUSES: Final[Mapping[str, tuple[str, str]]] = {
    "order of NULL": (
        "SQLite sorts NULL before everything, Postgres after it",
        "write `ORDER BY x NULLS FIRST`, and `NULLS LAST` where it descends",
    ),
    "collation": (
        "SQLite sorts texts by their bytes, Postgres by the rules of a language",
        'write `ORDER BY x COLLATE "C"`, or give the column that collation',
    ),
    "order without case": (
        "the order is without letter case on one side",
        "write `ORDER BY lower(x)` on both sides, or sort in the application",
    ),
    "ties": (
        "rows that are equal in ORDER BY come in any order, on both sides",
        "add the key at the end of ORDER BY",
    ),
    "no ORDER BY": ("rows without ORDER BY come in any order", "add ORDER BY, or compare the answer as a set"),
    "LIKE and letter case": ("LIKE has no letter case in SQLite (for ASCII) and has it in Postgres", "write ILIKE"),
    "integer division": (
        "7 / 2 is 3 where both are whole numbers, and whether they are depends on the type",
        "write `trunc(a / b)`, or divide by a fraction",
    ),
    "inner join": ("a join leaves rows out that the other side shows", "write LEFT JOIN"),
    "letter case": ("the same letters in another case", "compare by `lower(x)` on both sides"),
    "time zone": (
        "the same moment in another zone, or taken for one of another zone",
        "say the zone when it is stored",
    ),
    "time format": ("the same moment, written in another way", 'a rule `read = "instant"`, or one format for both'),
    "float text": ("the same number with other digits", 'a rule `read = "number"` with a tolerance, or round it'),
    "number as text": ("a number on one side, a text of its digits on the other", "convert it where it is read"),
    "boolean": (
        "0 and 1 on one side, false and true on the other",
        "convert it where it is written or read; in conditions write `x` and `NOT x`, or `x::int`",
    ),
    "JSON as text": ("a document on one side, its text on the other", "parse it where it is read"),
    "JSON key order": ("jsonb keeps keys by length and then alphabet", "compare the document, not its text"),
    "empty and NULL": ("an empty text on one side, nothing on the other", 'a rule `read = "empty is null"`'),
    "absent and NULL": ("a member is missing on one side, null on the other", 'a rule `read = "absent is null"`'),
    "blanks": ("the same text but for blanks", 'trim it where it is written, or a rule `read = "text"`'),
    "Unicode form": ("the same characters, composed in another way", "normalise them where they are written"),
    "refused": (
        "Postgres does not take the query: a function or an operator is not there for these types",
        "write it in Postgres' words, as `target_sql`",
    ),
    "missing row": ("a row that SQLite has is not there", "look with `cdc verify`, then at joins and conditions"),
    "extra row": ("a row is there that SQLite has not", "look with `cdc verify`, then at joins and conditions"),
    "changed value": ("the values differ", "look with `cdc verify` whether the data differ, then at the query"),
}

_DIGITS: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?")
_LARGEST_ZONE: Final = timedelta(hours=14)
_CLOSE: Final = 1e-9


def explain(baseline: Any, candidate: Any) -> str:
    """The likely cause of a difference between two values of JSON or of a query: one of `CAUSES`."""
    for cause, applies in _SIGNS:
        if applies(baseline, candidate) or applies(candidate, baseline):
            return cause
    return "changed value"


def _boolean(a: Any, b: Any) -> bool:
    return isinstance(a, bool) and not isinstance(b, bool) and b in (int(a), str(int(a)), str(a).lower())


def _float_text(a: Any, b: Any) -> bool:
    return _is_number(a) and _is_number(b) and abs(a - b) <= _CLOSE * max(abs(a), abs(b))


def _number_as_text(a: Any, b: Any) -> bool:
    return _is_number(a) and isinstance(b, str) and bool(_DIGITS.fullmatch(b)) and float(b) == float(a)


def _integer_division(a: Any, b: Any) -> bool:
    return isinstance(a, int) and isinstance(b, float) and not b.is_integer() and a == int(b)


def _empty(a: Any, b: Any) -> bool:
    return a == "" and b is None


def _blanks(a: Any, b: Any) -> bool:
    return _texts(a, b) and "".join(a.split()) == "".join(b.split())


def _letter_case(a: Any, b: Any) -> bool:
    return _texts(a, b) and a.casefold() == b.casefold()


def _unicode_form(a: Any, b: Any) -> bool:
    return _texts(a, b) and unicodedata.normalize("NFC", a) == unicodedata.normalize("NFC", b)


def _json_as_text(a: Any, b: Any) -> bool:
    return isinstance(a, dict | list) and isinstance(b, str) and _document(b) == a


def _json_order(a: Any, b: Any) -> bool:
    return _texts(a, b) and a[:1] in "{[" and _document(a) is not None and _document(a) == _document(b)


def _time_format(a: Any, b: Any) -> bool:
    return _texts(a, b) and (moment := moment_of(a)) is not None and moment == moment_of(b)


def _time_zone(a: Any, b: Any) -> bool:
    if not _texts(a, b) or (first := moment_of(a)) is None or (second := moment_of(b)) is None:
        return False
    apart = abs(first - second)
    return apart <= _LARGEST_ZONE and apart % timedelta(minutes=15) == timedelta(0)


_SIGNS: Final = (
    ("boolean", _boolean),
    ("float text", _float_text),
    ("number as text", _number_as_text),
    ("integer division", _integer_division),
    ("empty and NULL", _empty),
    ("JSON as text", _json_as_text),
    ("JSON key order", _json_order),
    ("time format", _time_format),
    ("time zone", _time_zone),
    ("blanks", _blanks),
    ("letter case", _letter_case),
    ("Unicode form", _unicode_form),
)


def _texts(a: Any, b: Any) -> bool:
    return isinstance(a, str) and isinstance(b, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _document(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def moment_of(text: str) -> datetime | None:
    """The moment that a text names, without a zone in UTC."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text[:11] + text[11:].replace(" ", ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
