"""Arrays of one dimension, from JSON arrays or from texts as Postgres writes them.

A text that begins with `[` is a JSON array, whose elements are what SQLite would store of them; one that begins with
`{` is Postgres' own, whose elements are texts. Either way each element is what a column of the element's type takes.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from math import isinf
from typing import Any, Final

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values.encoder import Encoder, Unfit, expect, singly
from cdc.values.family import PostgresType, Returning, ValueForm

MARK: Final = "_"  # begins the name of an array's type in the catalogue, before that of its elements
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[,}])|([^",{}\\]+)(?=[,}])', re.DOTALL)
_BLANKS: Final = " \t\n\r\v\f"  # as Postgres has them
_PLAIN: Final = re.compile(rf"[^{_BLANKS}\",{{}}\\]+")
_PLAIN_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WRONG: Final = "is a text that is no array of one dimension"


def element_of(target: TargetColumn) -> TargetColumn:
    """The column that holds one element: it has the array's length, precision and scale, and may be NULL."""
    base = target.base.removeprefix(MARK)
    return replace(target, base=base, type=target.type.removesuffix("[]"), not_null=False, default="")


def encoder(element: Encoder, type_: PostgresType, column: TargetColumn) -> Encoder:
    """Encodes arrays as lists of what the encoder of their elements makes."""

    def scalar(value: Value) -> list[object]:
        text = expect(value, str)
        if text.startswith("["):
            return [None if part is None else element.scalar(part) for part in _from_json(text, type_)]
        if text.startswith("{"):
            return [None if part is None else _stored(part, element, type_, column) for part in _from_postgres(text)]
        raise Unfit(_WRONG if text else "is an empty text")

    return Encoder(f"arrays in JSON or as Postgres writes them, of {element.takes}", singly(scalar), scalar)


def _from_json(text: str, type_: PostgresType) -> list[Value]:
    try:
        parts = json.loads(text, parse_float=_exact, parse_int=_whole, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Unfit(_WRONG) from None
    if any(isinstance(part, list | dict) for part in parts):
        raise Unfit(_WRONG)
    if any(isinstance(part, bool) for part in parts) and type_.base != "bool":
        raise Unfit("is an array with a truth value among other elements")
    if not all(_is_encodable(part) for part in parts):
        raise Unfit("is an array with half a character")
    return [int(part) if isinstance(part, bool) else part for part in parts]


def _is_encodable(part: object) -> bool:
    """JSON may escape half of a character, which no text of Postgres has."""
    return not isinstance(part, str) or not any("\ud800" <= character <= "\udfff" for character in part)


def _exact(digits: str) -> float:
    """A number of JSON as a double, as long as that is the same number."""
    number = float(digits)
    if Decimal(repr(number)) != Decimal(digits):
        raise Unfit("is an array with a number that no double is equal to")
    return number


def _whole(digits: str) -> int:
    number = int(digits)
    if not -(1 << 63) <= number < 1 << 63:
        raise Unfit("is an array with an integer out of range")
    return number


def _no_number(_: str) -> float:
    raise Unfit(_WRONG)


def _from_postgres(text: str) -> Iterator[str | None]:
    place, inside = 1, text[1:]
    if inside == "}":
        return
    while True:
        found = _QUOTED.match(text, place)
        if found is None:
            raise Unfit(_WRONG)
        quoted, bare = found.groups()
        if quoted is not None:
            yield re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        else:
            if bare.strip(_BLANKS) != bare:
                raise Unfit(_WRONG)
            yield None if bare.upper() == "NULL" else bare
        place = found.end()
        if text[place:] == "}":
            return
        if text[place] != ",":
            raise Unfit(_WRONG)
        place += 1


def _stored(part: str, element: Encoder, type_: PostgresType, column: TargetColumn) -> object:
    """An element that Postgres writes so: numbers and truth values as what they stand for, others are texts anyway."""
    if type_.base == "bool":
        if part not in ("t", "f", "true", "false"):
            raise Unfit("is an array with an element that is no truth value")
    elif type_.base[:3] not in ("int", "flo", "num"):
        return element.scalar(part)
    elif not _PLAIN_NUMBER.fullmatch(part):
        raise Unfit("is an array with an element that is no number")
    with suppress(ValueError, InvalidOperation, OverflowError):
        stored = type_.returning.stored(part)
        if isinstance(stored, float) and isinf(stored):
            raise Unfit("is an array with a number out of range")
        for form in type_.returning.forms(column):
            with suppress(Unfit):
                again = element.scalar(form.write(stored))
                if type_.returning.compared(again) == type_.returning.compared(stored):
                    return again
    raise Unfit("is an array with an element that its type does not take")


# --- the way back -----------------------------------------------------------------------------------------------------


def returning(element: Encoder, type_: PostgresType, column: TargetColumn) -> Returning:
    """Arrays come back as JSON, or as Postgres writes them where the application does."""

    def stored(text: str) -> tuple[object, ...]:
        if not text.startswith("{"):
            raise Unfit("is an array of other bounds than 1")
        parts = _from_postgres(text)
        return tuple(None if part is None else _stored(part, element, type_, column) for part in parts)

    write = _element_writer(element, type_, column)
    forms = (
        _json_form("JSON", write, {"ensure_ascii": False, "separators": (",", ":")}),
        _json_form("JSON with blanks", write, {"ensure_ascii": False}),
        _json_form("JSON in ASCII", write, {"separators": (",", ":")}),
        _json_form("JSON in ASCII with blanks", write, {}),
        ValueForm("as Postgres", "text", lambda parts: _as_postgres([write(part) for part in parts], type_)),
    )
    compared = type_.returning.compared
    return Returning(stored, lambda _: forms, lambda parts: [None if p is None else compared(p) for p in parts])


def _element_writer(element: Encoder, type_: PostgresType, column: TargetColumn) -> Callable[[Any], Value]:
    def write(part: Any) -> Value:
        if part is None:
            return None
        for form in type_.returning.forms(column):
            with suppress(Unfit):
                value = form.write(part)
                if type_.returning.compared(element.scalar(value)) == type_.returning.compared(part):
                    return value
        raise Unfit("is an array with an element that has no form in SQLite")

    return write


def _json_form(name: str, write: Callable[[Any], Value], style: dict[str, Any]) -> ValueForm:
    def text(parts: Any) -> str:
        values = [write(part) for part in parts]
        if any(isinstance(value, bytes) for value in values):
            raise Unfit("is an array of blobs, which JSON does not have")
        return json.dumps(values, allow_nan=False, **style)

    return ValueForm(name, "text", text)


def _as_postgres(values: list[Value], type_: PostgresType) -> str:
    return "{" + ",".join(_part(value, type_) for value in values) + "}"


def _part(value: Value, type_: PostgresType) -> str:
    if value is None:
        return "NULL"
    text = ("t" if value else "f") if type_.base == "bool" else str(value)
    if _PLAIN.fullmatch(text) and text.upper() != "NULL":
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
