"""Column defaults of SQLite as defaults of Postgres that give the same value."""

import json
import re
from collections.abc import Callable
from typing import Final

from cdc.facts.table_map import ColumnMap
from cdc.postgres.translate.clock import bare, is_local, now_in_postgres, read_now
from cdc.postgres.translate.random_values import random_default
from cdc.sql_names import quote_literal
from cdc.values.booleans import BOOLEAN
from cdc.values.documents import JSONB
from cdc.values.numbers import BIGINT, DOUBLE, INTEGER, NUMERIC
from cdc.values.texts import BYTEA, TEXT

_NUMBER: Final = re.compile(r"[+-]?\s*(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_INTEGER: Final = re.compile(r"[+-]?\s*\d{1,18}")
_STRING: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_BLOB: Final = re.compile(r"[xX]'((?:[0-9a-fA-F]{2})*)'")


def translate_default(sql: str, column: ColumnMap) -> str | None:
    """The DEFAULT of a column in Postgres, or None where it cannot be told to give what SQLite gives."""
    text = bare(sql)
    if column.literal:
        return None
    if (now := read_now(text)) is not None:
        return now_in_postgres(now, column)
    rule = _RULES.get(column.type)
    return (rule(text) if rule else None) or random_default(text, column)


def why_left_out(sql: str, column: ColumnMap) -> str:
    """Why such a default was not translated, in words."""
    if is_local(sql):
        return "it is in the local time of whoever writes, and Postgres knows its own alone"
    return f"it has no sure equal for type {column.type}"


def is_null(sql: str) -> bool:
    """Whether a default is NULL, which is Postgres' own."""
    return bare(sql).upper() == "NULL"


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
