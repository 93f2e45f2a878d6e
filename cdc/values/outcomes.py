"""What becomes of a value that does not fit, where the operator chose something: null, text, replace, cut or round.

Every outcome but the first loses something, so each value that becomes another one is counted.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import InvalidText, Value
from cdc.values.documents import is_document
from cdc.values.encoder import Encoder, Kinds, Unfit, expect
from cdc.values.family import ColumnEncoding
from cdc.values.identifiers import literal
from cdc.values.registry import TYPES
from cdc.values.texts import CHAR, holds_characters


@dataclass(frozen=True, slots=True)
class InvalidOutcome:
    """What a value that does not fit `becomes`, and `of_types`, in words for the documentation.

    `suits` says for which columns it can be asked for. `make` makes it of the value, or raises `Unfit`.
    """

    becomes: str
    of_types: str
    suits: Callable[[TargetColumn], bool]
    make: Callable[[Value, ColumnEncoding], object]


def _refused(value: Value, at: ColumnEncoding) -> object:
    return at.encoder.scalar(value)


def _null(_value: Value, _at: ColumnEncoding) -> object:
    return None


def _as_text(value: Value, at: ColumnEncoding) -> object:
    if not is_document(at.column):
        return literal(value)
    text = value if type(value) is str else literal(value)
    return at.encoder.scalar(json.dumps(text, ensure_ascii=False))


def _replaced(value: Value, at: ColumnEncoding) -> object:
    text = value.data.decode("utf-8", "replace") if isinstance(value, InvalidText) else expect(value, str)
    return at.encoder.scalar(text.replace("\x00", "\ufffd"))


def _cut(value: Value, at: ColumnEncoding) -> object:
    type_ = TYPES[at.column.base]
    if type_.cut is not None:
        return type_.cut(value, at)
    text = expect(value, str)[: at.column.length]
    # What is left may end in a blank, and Postgres would not tell it from its own padding.
    return at.encoder.scalar(text.rstrip(" ") if at.column.base == CHAR.base else text)


def _rounded(value: Value, at: ColumnEncoding) -> object:
    nearest = TYPES[at.column.base].nearest
    assert nearest is not None, "only columns that suit are rounded"
    return nearest(value, at)


def _may_round(target: TargetColumn) -> bool:
    type_ = TYPES.get(target.base)
    return type_ is not None and type_.nearest is not None


def _may_cut(target: TargetColumn) -> bool:
    type_ = TYPES.get(target.base)
    return type_ is not None and (type_.cut is not None or target.length is not None)


OUTCOMES: Final[dict[str, InvalidOutcome]] = {
    "quarantine": InvalidOutcome(
        "nothing: its row waits in quarantine with the reason", "every type", lambda _: True, _refused
    ),
    "null": InvalidOutcome("NULL", "columns that may be NULL", lambda _: True, _null),
    "text": InvalidOutcome(
        "its SQL literal: `5`, `x'ff'`; in JSON a text becomes a JSON string",
        "texts without a limit, `json`, `jsonb`",
        lambda target: is_document(target) or (holds_characters(target) and target.length is None),
        _as_text,
    ),
    "replace": InvalidOutcome(
        "itself with U+FFFD for each NUL and for broken UTF-8", "texts", holds_characters, _replaced
    ),
    "cut": InvalidOutcome(
        "its first characters; the day of an instant, in UTC",
        "`varchar(n)`, `char(n)`, `date`",
        _may_cut,
        _cut,
    ),
    "round": InvalidOutcome(
        "the nearest number, halves away from zero; the nearest instant or time, halves to the later one",
        "numbers, timestamps, `time`",
        _may_round,
        _rounded,
    ),
}


def with_outcomes(at: ColumnEncoding, altered: Counter[str]) -> Encoder:
    """The column's encoder with the outcomes of its rules; values that become others are counted by the column's name.

    A whole column is still encoded in one go where every value fits.
    """
    name, encoder = at.column.name, at.encoder
    make = OUTCOMES[at.rules.on_invalid].make
    without_empty = at.rules.empty == "null"

    def scalar(value: Value) -> object:
        if without_empty and value == "":
            other = None
        else:
            try:
                return encoder.scalar(value)
            except Unfit:
                other = make(value, at)
        altered[name] += 1
        return other

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not (without_empty and str in kinds and "" in values):
            return encoder.column(values, kinds)
        present = [None if value == "" else value for value in values]
        encoded = encoder.column(present, set(map(type, present)))
        # Where some value needs a closer look, each goes through `scalar`, which counts by itself.
        if encoded is not None:
            altered[name] += values.count("")
        return encoded

    return Encoder(encoder.takes, column, scalar)
