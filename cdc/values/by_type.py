"""Which form each type of Postgres has, and the forms of texts, blobs and texts that stand for something."""

import re
from collections.abc import Callable, Iterable, Sequence
from types import NoneType
from typing import Final, cast

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values import text as text_forms
from cdc.values.encoder import BLOBS, TEXTS, Form, Kinds, Unfit, expect, with_gaps, without_nulls
from cdc.values.number import decimals, double, flags, single, whole_numbers

# --- texts and blobs --------------------------------------------------------------------------------------------------


def _plain_text(longest: int | None, *, padded: bool) -> Form:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= TEXTS:
            return None
        texts = cast("Iterable[str]", filter(None, values)) if NoneType in kinds else cast("Sequence[str]", values)
        if "\x00" in "".join(texts):
            return None
        return values if longest is None and not padded else _narrow(values)

    def _narrow(values: Sequence[Value]) -> Sequence[object] | None:
        texts = cast("list[str]", list(filter(None, values)))
        if longest is not None and max(map(len, texts), default=0) > longest:
            return None
        return None if padded and any(text.endswith(" ") for text in texts) else values

    def one(value: Value) -> str:
        text = expect(value, str)
        if "\x00" in text:
            raise Unfit("is a text with a NUL character")
        if longest is not None and len(text) > longest:
            raise Unfit("is a text that is too long")
        if padded and text.endswith(" "):
            raise Unfit("is a text with blanks at its end")
        return text

    limit = "" if longest is None else f" of at most {longest} characters"
    return Form(f"texts{limit} without NUL characters" + (" and blanks at the end" if padded else ""), column, one)


def _labels(labels: Sequence[str]) -> Form:
    known = set(labels)

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        return values if kinds <= TEXTS and set(values) <= known | {None} else None

    def one(value: Value) -> str:
        text = expect(value, str)
        if text not in known:
            raise Unfit("is a text that is none of its labels")
        return text

    return Form("the labels of that enum", column, one)


def _blobs() -> Form:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        return values if kinds <= BLOBS else None

    return Form("blobs", column, lambda value: expect(value, bytes))


def _any_literal() -> Form:
    def column(values: Sequence[Value], _: Kinds) -> Sequence[object] | None:
        return list(map(text_forms.literal, values))

    return Form("any value, as its SQL literal", column, text_forms.literal)


# --- texts that stand for something -----------------------------------------------------------------------------------


def formed(takes: str, pattern: re.Pattern[str], make: "_Make", finer: re.Pattern[str] | None) -> Form:
    """Texts of one exact form, made into what stands for them. `finer` finds digits that the type would round."""

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= TEXTS:
            return None
        texts = cast("Sequence[str]", without_nulls(values, kinds))
        if not text_forms.all_match(pattern, texts) or (finer and any(map(finer.search, texts))):
            return None
        try:
            return with_gaps(values, make(texts))
        except ValueError:
            return None

    def one(value: Value) -> object:
        text = expect(value, str)
        if not text_forms.all_match(pattern, [text]):
            raise Unfit("is a text of another form" if text else "is an empty text")
        if finer and finer.search(text):
            raise Unfit("is a text with more digits of a second than the type keeps")
        try:
            return make([text])[0]
        except ValueError:
            raise Unfit("is a text that names no real date or time") from None

    return Form(takes, column, one)


def _documents(check: Callable[[str], str]) -> Form:
    def one(value: Value) -> str:
        if type(value) is int:
            return str(value)
        if type(value) is float:
            # A column declared JSON has numeric affinity in SQLite: a document that is a bare number became one.
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

    return Form("valid JSON without what Postgres would drop", column, one)


# --- which form a column has ------------------------------------------------------------------------------------------

_Make = Callable[[Iterable[str]], Sequence[object]]
_FORMED: Final[dict[str, tuple[str, re.Pattern[str], _Make]]] = {
    "date": ("'YYYY-MM-DD' from year 1 to 9999", text_forms.DATES, text_forms.days),
    "time": ("'HH:MM[:SS[.ffffff]]'", text_forms.TIMES, text_forms.times_of_day),
    "timestamp": ("'YYYY-MM-DD HH:MM[:SS[.ffffff]]' without an offset", text_forms.TIMESTAMPS, text_forms.microseconds),
    "timestamptz": ("'YYYY-MM-DD HH:MM[:SS[.ffffff]]' with an offset or Z", text_forms.INSTANTS, text_forms.instants),
    "uuid": ("UUIDs of 36 lower-case characters", text_forms.UUIDS, list),
}
_PLAIN: Final[dict[str, Callable[[], Form]]] = {
    "int2": lambda: whole_numbers(16),
    "int4": lambda: whole_numbers(32),
    "int8": lambda: whole_numbers(64),
    "float4": single,
    "float8": double,
    "bool": flags,
    "bytea": _blobs,
    "json": lambda: _documents(text_forms.json_text),
    "jsonb": lambda: _documents(text_forms.jsonb_text),
}
_CHARACTERS: Final = frozenset({"text", "varchar", "bpchar", "citext"})

SUPPORTED: Final = (*_PLAIN, "numeric", *sorted(_CHARACTERS), *_FORMED, "enums")


def finer_than(digits: int | None) -> re.Pattern[str] | None:
    """What finds a fraction of a second that `timestamp(3)` or the like would round, None when all six digits fit."""
    if digits is None or digits >= 6:
        return None
    return re.compile(rf"\.[0-9]{{{digits}}}[0-9]*[1-9]")


def form_of(column: TargetColumn, *, literal: bool = False) -> Form | None:
    """How that column of Postgres is fed, None for a type that is not supported."""
    if literal:
        return _any_literal() if column.base in {"text", "varchar"} and column.length is None else None
    if column.labels:
        return _labels(column.labels)
    if column.base in _CHARACTERS:
        return _plain_text(column.length, padded=column.base == "bpchar")
    if column.base == "numeric":
        return decimals(column.precision, column.scale)
    if column.base in _FORMED:
        return formed(*_FORMED[column.base], finer_than(column.precision))
    made = _PLAIN.get(column.base)
    return made() if made else None
