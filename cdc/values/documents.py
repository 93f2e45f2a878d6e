"""JSON documents: proven to be what json and jsonb take and keep, and handed on as the texts that they are.

The readers raise `ValueError` with the reason in words, which never hold the document itself.
"""

import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, DecimalException
from typing import Final, NoReturn, cast

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values.encoder import TEXTS, Encoder, Kinds, Unfit, expect, without_nulls
from cdc.values.family import Family, PostgresType, Promise, Returning, ValueForm
from cdc.values.numbers import DIGITS_AFTER_POINT, DIGITS_BEFORE_POINT
from cdc.values.texts import UNPADDED

# Deeper documents meet the recursion limits of Python here, and of Postgres at a depth that depends on its settings.
_DEEPEST: Final = 500
# Bytes; jsonb keeps lengths in 28 bits.
_LONGEST_JSONB: Final = 0x0FFFFFFF

_DEPTH_TOKENS: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)
# Escapes that jsonb can hold: neither NUL nor half of a surrogate pair.
_FIT_ESCAPES: Final = re.compile(
    r"(?:[^\\]++|\\[^u]|\\u(?!0000|[dD][89a-fA-F])[0-9a-fA-F]{4}"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
)
_LARGE_NUMBER: Final = re.compile(r"[eE][+-]?[0-9]{4}|[0-9]{4000}")


def _json_text(text: str) -> str:
    """The same text, proven to be JSON as type json takes it: the server keeps every character of it."""
    _check_depth(text)
    _parse(_SYNTAX, text)
    return text


def _jsonb_text(text: str) -> str:
    """The same text, proven to hold only what jsonb keeps: unique keys, storable characters, numbers in range."""
    if len(text) > _LONGEST_JSONB // 4 and len(text.encode()) > _LONGEST_JSONB:
        raise ValueError("is a JSON document that is too large for jsonb")
    _check_depth(text)
    _parse(_RANGES if _LARGE_NUMBER.search(text) else _UNIQUE, text)
    if "\\u" in text and _FIT_ESCAPES.fullmatch(text) is None:
        raise ValueError("is JSON with an escaped NUL or half of a surrogate pair, which jsonb cannot hold")
    return text


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") > _DEEPEST and _depth(text) > _DEEPEST:
        raise ValueError(f"is JSON nested deeper than {_DEEPEST} levels")


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
    if before > DIGITS_BEFORE_POINT or -int(exponent) > DIGITS_AFTER_POINT:
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

# --- types ------------------------------------------------------------------------------------------------------------


def _documents(check: Callable[[str], str]) -> Callable[[TargetColumn], Encoder]:
    def scalar(value: Value) -> str:
        # A column declared JSON has numeric affinity in SQLite: a document that is a bare number became one.
        if type(value) is int:
            return str(value)
        if type(value) is float:
            if value in {float("inf"), float("-inf")}:
                raise Unfit("is an infinity, which is no JSON")
            return repr(value)
        try:
            return check(expect(value, str))
        except ValueError as error:
            raise Unfit(str(error)) from None

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= TEXTS:
            return None
        try:
            for text in cast("Sequence[str]", without_nulls(values, kinds)):
                check(text)
        except ValueError:
            return None
        return values

    return lambda _: Encoder("valid JSON without what Postgres would drop", column, scalar)


# --- the way back ----------------------------------------------------------------------------------------------------

_TOKENS: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{},:]|[^\s\[\]{},:"]++', re.DOTALL)


def _unicode(string: str) -> str:
    return json.dumps(json.loads(string), ensure_ascii=False)


def _ascii(string: str) -> str:
    return json.dumps(json.loads(string))


def _ascii_with_slashes(string: str) -> str:
    return _ascii(string).replace("/", "\\/")


def _styled(name: str, comma: str, colon: str, string: Callable[[str], str]) -> ValueForm:
    """A form of documents. Token by token, so that numbers stay as they are, and no depth is too deep."""
    signs = {",": comma, ":": colon}

    def write(text: str) -> str:
        return "".join(string(t) if t[0] == '"' else signs.get(t, t) for t in _TOKENS.findall(text))

    return ValueForm(name, "text", write)


_STYLES: Final = tuple(
    _styled(f"{spaced}, {told}", comma, colon, string)
    for spaced, comma, colon in (("spaced", ", ", ": "), ("compact", ",", ":"))
    for told, string in (("unicode", _unicode), ("ascii", _ascii), ("ascii with \\/", _ascii_with_slashes))
)


def _number(text: str) -> tuple[str]:
    """A number as jsonb shows it; no other part of a document becomes a tuple, so that 1 and "1" are two things."""
    number = Decimal(text)
    if number.is_zero():  # which has no sign there, and keeps its places
        number = Decimal((0, (0,), min(int(number.as_tuple().exponent), 0)))
    return (format(number, "f"),)


_SHOWN: Final = json.JSONDecoder(parse_int=_number, parse_float=_number)


def _as_jsonb_shows(text: str) -> object:
    """The document as what jsonb tells apart: not the order of keys, but the places of a number."""
    try:
        return _SHOWN.decode(text)
    except (ValueError, ArithmeticError, RecursionError):
        raise Unfit("is a document that cannot be read here") from None


JSON: Final = PostgresType("json", "json", _documents(_json_text), UNPADDED, coarse=True)
JSONB: Final = PostgresType(
    "jsonb",
    "jsonb",
    _documents(_jsonb_text),
    Returning(lambda text: text, lambda _: _STYLES, _as_jsonb_shows),
    rewrites=True,
    coarse=True,
)


def jsonb_keeps(text: str) -> bool:
    """Whether a text is JSON of which jsonb keeps every key, character and number."""
    try:
        _jsonb_text(text)
    except ValueError:
        return False
    return True


def is_document(target: TargetColumn) -> bool:
    """Whether a column holds JSON documents."""
    return target.base in _BASES


_BASES: Final = frozenset((JSON.base, JSONB.base))

FAMILY: Final = Family(
    types=(JSON, JSONB),
    formats=(),
    promises=(
        Promise((JSON.name,), "any valid JSON, kept character by character", f"NaN; more than {_DEEPEST} levels"),
        Promise(
            (JSONB.name,),
            "valid JSON whose every key, character and number it keeps",
            "a key twice in one object; `\\u0000`; 1e999999",
        ),
    ),
)
