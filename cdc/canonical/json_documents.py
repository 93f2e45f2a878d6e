"""JSON documents: whether a type of Postgres holds one whole, and the canonical text of one in jsonb.

Documents may be deeper than Python lets calls be, so nothing here calls itself.
"""

import json
from decimal import Decimal
from typing import Any, Final

import msgspec

_DEEPEST: Final = 500  # levels of a document
_encode: Final = msgspec.json.Encoder().encode


def holds_document(text: str, *, binary: bool) -> bool:
    """Whether json, or jsonb where it is `binary`, holds that text whole; raises `ValueError` for what is no JSON."""
    parsed = json.loads(text, object_pairs_hook=_Pairs, parse_int=_Digits, parse_float=_Digits, parse_constant=_refuse)
    return _storable(parsed, binary=binary)


def jsonb_text(text: str) -> str:
    """The canonical text of what jsonb makes of a JSON text; raises `ValueError` for what is no JSON."""
    return _document(json.loads(text, parse_int=_Digits, parse_float=_Digits, parse_constant=_refuse))


class _Pairs(list[Any]):
    """An object of a document as its pairs, so that a key that is there twice is seen."""


class _Digits(str):
    """A number of a document as it is written."""

    __slots__ = ()


def _refuse(_: str) -> None:
    raise ValueError


def _storable(document: Any, *, binary: bool) -> bool:
    """Whether a document is held whole; level by level."""
    level = [document]
    for _ in range(_DEEPEST):
        if not all(_part_storable(part, binary=binary) for part in level):
            return False
        level = [inner for part in level if isinstance(part, list) for inner in _inside(part)]
    return all(not isinstance(part, list) and _part_storable(part, binary=binary) for part in level)


def _inside(part: list[Any]) -> list[Any]:
    return [text for pair in part for text in pair] if isinstance(part, _Pairs) else part


def _part_storable(part: Any, *, binary: bool) -> bool:
    if isinstance(part, _Pairs):
        keys = [key for key, _ in part]
        return len(set(keys)) == len(keys) or not binary
    if isinstance(part, _Digits):
        return not binary or _in_range(part)
    if isinstance(part, str) and binary:
        return "\x00" not in part and not any(0xD800 <= ord(character) <= 0xDFFF for character in part)
    return True


def _in_range(digits: str) -> bool:
    mantissa, _, exponent = digits.lower().partition("e")
    before, _, after = mantissa.lstrip("-").partition(".")
    shift = int(exponent or 0)
    significant = len((before + after).lstrip("0"))
    return significant - len(after) + shift <= 131_072 and len(after) - shift <= 16_383


def _document(document: Any) -> str:
    """Written from the inside out."""
    parts = [document]
    for part in parts:  # grows meanwhile
        parts += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    texts: dict[int, str] = {}
    for part in reversed(parts):
        texts[id(part)] = _part(part, texts)
    return texts[id(document)]


def _part(part: Any, texts: dict[int, str]) -> str:
    match part:
        case _Digits():
            return _decimal(part)
        case dict():
            ordered = sorted(part.items(), key=lambda item: (len(item[0].encode()), item[0].encode()))
            return "{" + ", ".join([f"{_encode(key).decode()}: {texts[id(value)]}" for key, value in ordered]) + "}"
        case list():
            return "[" + ", ".join([texts[id(inner)] for inner in part]) + "]"
        case _:
            return _encode(part).decode()


def _decimal(text: str) -> str:
    number = Decimal(text)
    shown = format(number, "f")
    if number.is_zero():
        return "0" + ("." + "0" * places if (places := -int(number.as_tuple().exponent)) > 0 else "")
    return shown
