"""Booleans: SQLite has none, and applications write 0 and 1, or words."""

from collections.abc import Sequence
from types import NoneType
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values.encoder import INTEGERS, Encoder, Kinds, Unfit, expect, singly
from cdc.values.family import Family, Format, PostgresType, Promise, Returning, ValueForm

_WORDS: Final = dict.fromkeys(("1", "t", "true", "y", "yes", "on"), True) | dict.fromkeys(
    ("0", "f", "false", "n", "no", "off"), False
)
LONGEST_WORD: Final = max(map(len, _WORDS))


def is_word(text: str) -> bool:
    """Whether a text is a word for true or false, as the format `words` reads it."""
    return text.lower() in _WORDS


def _flags(_: TargetColumn) -> Encoder:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= INTEGERS or not set(values) <= {0, 1, None}:
            return None
        return [None if v is None else v == 1 for v in values] if NoneType in kinds else list(map(bool, values))

    def scalar(value: Value) -> bool:
        number = expect(value, int)
        if number not in {0, 1}:
            raise Unfit("is an integer other than 0 and 1")
        return number == 1

    return Encoder("the integers 0 and 1", column, scalar)


_AS_INTEGER: Final = ValueForm("integer", "integer", int)
_RETURNING: Final = Returning(lambda text: text in {"t", "true"}, lambda _: (_AS_INTEGER,))
BOOLEAN: Final = PostgresType(
    "bool", "boolean", _flags, _RETURNING, aliases=("bool",), fixed=(1, 1), same_when_equal=True
)

# --- words ------------------------------------------------------------------------------------------------------------


def _words(target: TargetColumn) -> Encoder:
    plain = _flags(target)

    def scalar(value: Value) -> object:
        if type(value) is not str:
            return plain.scalar(value)
        if (flag := _WORDS.get(value.lower())) is None:
            raise Unfit("is a text that is no word for true or false" if value else "is an empty text")
        return flag

    return Encoder("0, 1, and words for true and false", singly(scalar), scalar)


def _word_pair(true: str, false: str) -> ValueForm:
    return ValueForm(f"{true} {false}", "text", lambda flag: true if flag else false)


_PAIRS: Final = (("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("on", "off"), ("1", "0"))
_CASED: Final = dict.fromkeys((case(t), case(f)) for case in (str.lower, str.upper, str.title) for t, f in _PAIRS)
_WORD_FORMS: Final = (_AS_INTEGER, *(_word_pair(*pair) for pair in _CASED))


FAMILY: Final = Family(
    types=(BOOLEAN,),
    formats=(
        Format(
            "words",
            "0, 1, and `t`, `true`, `y`, `yes`, `on`, `1` and their opposites in any case",
            (BOOLEAN,),
            _words,
            lambda _: _WORD_FORMS,
            usual=BOOLEAN,
        ),
    ),
    promises=(Promise((BOOLEAN.name,), "0 and 1", "2, 'true'"),),
)
