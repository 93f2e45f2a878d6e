"""Arrays of one dimension: how many elements, and the canonical text of each."""

import json
import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from cdc.canonical.constant_defaults import read_constant
from cdc.canonical.text import NEVER, Form
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value

_NUMBERS: Final = ("int2", "int4", "int8", "float4", "float8", "numeric")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_BLANKS: Final = " \t\n\r\v\f"  # as Postgres has them
_encode: Final = msgspec.json.Encoder().encode


def array_form(element: TargetColumn, plain: Form, fits: Callable[[Value, TargetColumn], bool]) -> Form:
    """The canonical text of an array whose elements have the form `plain`; it raises `ValueError` for what is none."""

    def text_of(value: Value) -> str | None:
        if value is None:
            return None
        text = plain(value) if fits(value, element) else NEVER
        if text == NEVER:
            raise ValueError
        return text

    def form(value: Value) -> str:
        if not isinstance(value, str):
            raise TypeError
        parts = _from_json(value, element.base) if value.startswith("[") else _from_postgres(value, element.base)
        dimensions = f"[1:{len(parts)}]" if parts else ""
        return dimensions + _encode([text_of(part) for part in parts]).decode()

    return form


def _from_json(text: str, base: str) -> Sequence[Value]:
    parts: list[Any] = json.loads(text, parse_float=_float, parse_constant=_refused)
    for part in parts:
        if isinstance(part, (list, dict)) or (isinstance(part, bool) and base != "bool"):
            raise ValueError
        if type(part) is int and not -(2**63) <= part < 2**63:
            raise ValueError
    return [int(part) if isinstance(part, bool) else part for part in parts]


def _float(digits: str) -> float:
    if Decimal(repr(float(digits))) != Decimal(digits):
        raise ValueError
    return float(digits)


def _refused(_: str) -> float:
    raise ValueError


def _from_postgres(text: str, base: str) -> Sequence[Value]:
    if text[:1] != "{" or text[-1:] != "}" or len(text) < 2:
        raise ValueError
    found = list(_elements(text[1:-1])) if len(text) > 2 else []
    return [None if part is None else _value(part, base) for part in found]


def _elements(text: str) -> list[str | None]:
    """The elements between the braces, None for NULL."""
    found: list[str | None] = []
    while True:
        part, text = _quoted(text) if text.startswith('"') else _bare(text)
        found.append(part)
        if not text:
            return found
        if not text.startswith(","):
            raise ValueError
        text = text[1:]


def _quoted(text: str) -> tuple[str, str]:
    made, place = "", 1
    while place < len(text):
        if text[place] == '"':
            return made, text[place + 1 :]
        place += text[place] == "\\"
        made += text[place : place + 1]
        place += 1
    raise ValueError


def _bare(text: str) -> tuple[str | None, str]:
    part, comma, after = text.partition(",")
    if not part or part != part.strip(_BLANKS) or any(character in part for character in '"{}\\'):
        raise ValueError
    return None if part.upper() == "NULL" else part, comma + after


def _value(text: str, base: str) -> Value:
    if base == "bool" and text not in {"t", "f", "true", "false"}:
        raise ValueError
    if base not in _NUMBERS:
        return read_constant(text, base)
    if not _NUMBER.fullmatch(text):
        raise ValueError
    value = float(text) if base == "float8" else read_constant(text, base)
    if isinstance(value, float) and math.isinf(value):
        raise ValueError
    if base == "numeric" and Decimal(text) != Decimal(repr(_as_sqlite_keeps(value))):
        raise ValueError
    return value


def _as_sqlite_keeps(value: Value) -> Value:
    """Integers of more than 64 bits are reals there."""
    return float(value) if isinstance(value, int) and not -(2**63) <= value < 2**63 else value
