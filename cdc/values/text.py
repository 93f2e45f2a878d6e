"""Texts that stand for something else: dates, times, JSON, UUIDs and SQL literals, read strictly or refused.

Each reader returns what Postgres stores, or raises `ValueError` with the reason in words, which
never hold the text itself. The patterns let a whole column be checked at once: see `all_match`.
"""

import datetime
import itertools
import json
import operator
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal, DecimalException
from typing import Final, NoReturn

from cdc.facts.values import Failed, InvalidText, NullKey, Value
from cdc.sql_names import quote_literal

# Deeper documents meet the recursion limits of Python here, and of Postgres at a depth that depends on its settings.
DEEPEST_JSON: Final = 500
# Bytes; jsonb keeps lengths in 28 bits.
LONGEST_JSONB: Final = 0x0FFFFFFF
# What Postgres' numeric can hold: digits before and after the decimal point.
NUMERIC_DIGITS_BEFORE: Final = 131_072
NUMERIC_DIGITS_AFTER: Final = 16_383

_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
# Hours stop at 23: newer Pythons read 24:00 as the next day. Digits beyond microseconds must be zeros.
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6}0*+)?)?"
# Minutes beyond 59 would be carried into the hours by Python, and are no offset.
_OFFSET: Final = r"(?:Z|[+-][0-9]{2}(?::?[0-5][0-9])?)"

_EPOCH: Final = datetime.datetime(2000, 1, 1)  # naive, as a timestamp without time zone is
_EPOCH_UTC: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_MOMENT: Final = datetime.datetime.fromisoformat
_EPOCH_DAY: Final = datetime.date(2000, 1, 1).toordinal()


def _lines(form: str) -> re.Pattern[str]:
    return re.compile(f"(?:{form}\n)*+")


DATES: Final = _lines(_DATE)
TIMES: Final = _lines(_TIME)
TIMESTAMPS: Final = _lines(f"{_DATE}[ T]{_TIME}")
INSTANTS: Final = _lines(f"{_DATE}[ T]{_TIME} ?{_OFFSET}")
# With or without a time of day, with or without an offset.
MOMENTS: Final = _lines(f"{_DATE}(?:[ T]{_TIME}(?: ?{_OFFSET})?)?")
UUIDS: Final = _lines("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def all_match(pattern: re.Pattern[str], texts: Sequence[str]) -> bool:
    """Whether every text has the pattern's form; one pass over all of them in C."""
    joined = "\n".join(texts) + "\n" if texts else ""
    # A line end inside a text could make two lines of one value.
    return pattern.fullmatch(joined) is not None and joined.count("\n") == len(texts)


# --- SQL literals -----------------------------------------------------------------------------------------------------


def read_literal(text: str) -> Value:
    """The value that `literal` wrote this text from."""
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if text.startswith("x'"):
        return bytes.fromhex(text[2:-1])
    if text.startswith("CAST"):
        data = bytes.fromhex(text.split("'")[1])
        try:
            return data.decode()
        except UnicodeDecodeError:
            return InvalidText(data)
    return int(text) if re.fullmatch("-?[0-9]+", text) else float(text)


# --- dates and times --------------------------------------------------------------------------------------------------


def days(texts: Iterable[str]) -> list[int]:
    """Each `YYYY-MM-DD` as days since 2000-01-01, the number that Postgres stores."""
    return [date.toordinal() - _EPOCH_DAY for date in map(datetime.date.fromisoformat, texts)]


def microseconds(texts: Iterable[str]) -> list[int]:
    """Each timestamp without offset as microseconds since 2000-01-01 00:00:00, the number that Postgres stores."""
    return _since(_EPOCH, map(datetime.datetime.fromisoformat, texts))


def instants(texts: Iterable[str]) -> list[int]:
    """Each timestamp with offset as microseconds since 2000-01-01 00:00:00 UTC; the offset itself is not kept."""
    # Some writers put a blank before the offset, which Python does not read.
    plain = (text[:11] + text[11:].replace(" ", "") for text in texts)
    return _since(_EPOCH_UTC, map(datetime.datetime.fromisoformat, plain))


def moments(texts: Iterable[str]) -> list[int]:
    """Each date or timestamp as microseconds since 2000-01-01 00:00:00 UTC; one without an offset is taken as UTC."""
    plain = (text[:11] + text[11:].replace(" ", "") for text in texts)
    found = (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC) for moment in map(_MOMENT, plain))
    return _since(_EPOCH_UTC, found)


def _since(epoch: datetime.datetime, moments: Iterable[datetime.datetime]) -> list[int]:
    spans = map(operator.sub, moments, itertools.repeat(epoch))
    return [(span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds for span in spans]


def times_of_day(texts: Iterable[str]) -> list[datetime.time]:
    """Each time of day without offset."""
    return list(map(datetime.time.fromisoformat, texts))


# --- JSON -------------------------------------------------------------------------------------------------------------

_DEPTH_TOKENS: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)
# Escapes that jsonb can hold: neither NUL nor half of a surrogate pair.
_FIT_ESCAPES: Final = re.compile(
    r"(?:[^\\]++|\\[^u]|\\u(?!0000|[dD][89a-fA-F])[0-9a-fA-F]{4}"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
)
_LARGE_NUMBER: Final = re.compile(r"[eE][+-]?[0-9]{4}|[0-9]{4000}")


def json_text(text: str) -> str:
    """The same text, proven to be JSON as type json takes it: the server keeps every character of it."""
    _check_depth(text)
    _parse(_SYNTAX, text)
    return text


def jsonb_text(text: str) -> str:
    """The same text, proven to hold only what jsonb keeps: unique keys, storable characters, numbers in range."""
    if len(text) > LONGEST_JSONB // 4 and len(text.encode()) > LONGEST_JSONB:
        raise ValueError("is a JSON document that is too large for jsonb")
    _check_depth(text)
    _parse(_RANGES if _LARGE_NUMBER.search(text) else _UNIQUE, text)
    if "\\u" in text and _FIT_ESCAPES.fullmatch(text) is None:
        raise ValueError("is JSON with an escaped NUL or half of a surrogate pair, which jsonb cannot hold")
    return text


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") > DEEPEST_JSON and _depth(text) > DEEPEST_JSON:
        raise ValueError(f"is JSON nested deeper than {DEEPEST_JSON} levels")


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in _DEPTH_TOKENS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        deepest = max(deepest, depth)
    return deepest


def _parse(decoder: json.JSONDecoder, text: str) -> None:
    try:
        decoder.decode(text)
    except json.JSONDecodeError:
        raise ValueError("is not valid JSON") from None


def _no_constant(_: str) -> NoReturn:
    raise ValueError("is not valid JSON: NaN and Infinity are none")


def _unique_keys(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("is JSON with a key that an object has twice, of which jsonb keeps one")


def _number_in_range(text: str) -> None:
    try:
        _, _, exponent = number = Decimal(text).as_tuple()
    except DecimalException:
        raise ValueError("is JSON with a number out of Postgres' range") from None
    before = len(number.digits) + int(exponent)
    if before > NUMERIC_DIGITS_BEFORE or -int(exponent) > NUMERIC_DIGITS_AFTER:
        raise ValueError("is JSON with a number out of Postgres' range")


# Numbers stay text: Python refuses to make an int of more than 4300 digits, and nobody looks at them here.
_SYNTAX: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_constant)
_UNIQUE: Final = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=_no_constant, object_pairs_hook=_unique_keys
)
_RANGES: Final = json.JSONDecoder(
    parse_int=_number_in_range,
    parse_float=_number_in_range,
    parse_constant=_no_constant,
    object_pairs_hook=_unique_keys,
)


# --- SQL literals -----------------------------------------------------------------------------------------------------


def literal(value: Value) -> str | None:
    """Any SQLite value as the SQL literal that SQLite reads back as the same value of the same type; NULL is None."""
    match value:
        case None:
            return None
        case int():
            return str(value)
        case float():
            # SQLite has no word for infinity and reads what is out of range as it.
            return {float("inf"): "9.0e+999", float("-inf"): "-9.0e+999"}.get(value) or repr(value)
        case str():
            return quote_literal(value) if "\x00" not in value else f"CAST(x'{value.encode().hex()}' AS TEXT)"
        case bytes():
            return f"x'{value.hex()}'"
        case InvalidText(data):
            return f"CAST(x'{data.hex()}' AS TEXT)"
        case Failed() | NullKey():
            raise ValueError("what is no value has no literal")
