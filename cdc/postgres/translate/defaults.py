"""Column defaults of SQLite as defaults of Postgres that give the same value."""

import json
import re
from collections.abc import Callable
from typing import Final

from cdc.facts.table_map import ColumnMap
from cdc.sql_names import quote_literal
from cdc.values.booleans import BOOLEAN
from cdc.values.documents import JSONB
from cdc.values.numbers import BIGINT, DOUBLE, INTEGER, NUMERIC
from cdc.values.texts import BYTEA, TEXT
from cdc.values.times import DATE, TIMESTAMP, TIMESTAMPTZ

_NUMBER: Final = re.compile(r"[+-]?\s*(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_INTEGER: Final = re.compile(r"[+-]?\s*\d{1,18}")
_STRING: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_BLOB: Final = re.compile(r"[xX]'((?:[0-9a-fA-F]{2})*)'")
_NOW: Final = re.compile(r"(datetime|date|time)\s*\(\s*'now'\s*\)", re.IGNORECASE)
_NOW_NAMES: Final = {"CURRENT_TIMESTAMP": "datetime", "CURRENT_DATE": "date", "CURRENT_TIME": "time"}

# SQLite's clock stands still within one statement, as statement_timestamp() does, and speaks UTC to the second.
_UTC: Final = "statement_timestamp() AT TIME ZONE 'UTC'"
_NOW_TEXT: Final = {"datetime": "YYYY-MM-DD HH24:MI:SS", "date": "YYYY-MM-DD", "time": "HH24:MI:SS"}
_NOW_TYPED: Final = {
    (TIMESTAMP.name, "datetime"): f"date_trunc('second', {_UTC})",
    (TIMESTAMPTZ.name, "datetime"): "date_trunc('second', statement_timestamp())",
    (DATE.name, "date"): f"({_UTC})::date",
}


def translate_default(sql: str, column: ColumnMap) -> str | None:
    """The DEFAULT of a column in Postgres, or None where it cannot be told to give what SQLite gives."""
    text = _bare(sql)
    if column.literal:
        return None
    if (kind := _now(text)) is not None:
        if column.type == TEXT.name:
            return f"to_char({_UTC}, '{_NOW_TEXT[kind]}')"
        return _NOW_TYPED.get((column.type, kind))
    rule = _RULES.get(column.type)
    return rule(text) if rule else None


def is_null(sql: str) -> bool:
    """Whether a default is NULL, which is Postgres' own."""
    return _bare(sql).upper() == "NULL"


def _bare(sql: str) -> str:
    text = sql.strip()
    while text.startswith("(") and text.endswith(")") and _closes_last(text):
        text = text[1:-1].strip()
    return text


def _closes_last(text: str) -> bool:
    """Whether the first parenthesis is closed by the last character; one inside a string only makes us give up."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return place == len(text) - 1
    return False


def _now(text: str) -> str | None:
    if text.upper() in _NOW_NAMES:
        return _NOW_NAMES[text.upper()]
    call = _NOW.fullmatch(text)
    return call[1].lower() if call else None


def _unquoted(text: str) -> str | None:
    """The value of a string literal; SQLite takes a double-quoted default for one too."""
    if not _STRING.fullmatch(text):
        return None
    return text[1:-1].replace(text[0] * 2, text[0])


def _truth(text: str) -> str | None:
    return {"TRUE": "1", "FALSE": "0"}.get(text.upper())


def _number(text: str) -> str | None:
    if truth := _truth(text):
        return truth
    number = _unquoted(text) or text
    return number.replace(" ", "") if _NUMBER.fullmatch(number) else None


def _whole(text: str) -> str | None:
    number = _number(text)
    return number if number and _INTEGER.fullmatch(number) else None


def _as_boolean(text: str) -> str | None:
    return {"0": "false", "1": "true"}.get(_number(text) or "")


def _as_text(text: str) -> str | None:
    value = _unquoted(text)
    if value is None and (number := _whole(text)) is not None:
        # TEXT affinity stores the number's canonical text.
        value = str(int(number))
    return None if value is None or "\x00" in value else quote_literal(value)


def _as_bytes(text: str) -> str | None:
    blob = _BLOB.fullmatch(text)
    return f"'\\x{blob[1].lower()}'::bytea" if blob else None


def _as_json(text: str) -> str | None:
    value = _unquoted(text)
    if value is None:
        return None
    try:
        # jsonb has no NUL, no lone surrogate, no infinity; any of them would make the whole CREATE TABLE fail.
        json.dumps(json.loads(value), allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return None
    return None if "\\u0000" in value else f"{quote_literal(value)}::jsonb"


_RULES: Final[dict[str, Callable[[str], str | None]]] = {
    BIGINT.name: _whole,
    INTEGER.name: _whole,
    DOUBLE.name: _number,
    NUMERIC.name: _number,
    BOOLEAN.name: _as_boolean,
    TEXT.name: _as_text,
    BYTEA.name: _as_bytes,
    JSONB.name: _as_json,
}
