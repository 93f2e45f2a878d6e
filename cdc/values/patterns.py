"""Texts of one exact form, which stand for something else: a whole column is checked by one match."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, cast

from cdc.facts.values import Value
from cdc.values.encoder import TEXTS, Encoder, Kinds, Unfit, expect, with_nulls, without_nulls

Read = Callable[[Iterable[str]], Sequence[object]]

_SECOND_DIGITS: Final = 6  # the most that Postgres keeps


def lines_of(form: str) -> re.Pattern[str]:
    """The pattern for `all_match`: any number of lines of that form."""
    # Possessive: a column has thousands of lines, and a mistake in the last one must not have all of them tried again.
    return re.compile(f"(?:{form}\n)*+")


def all_match(lines: re.Pattern[str], texts: Sequence[str]) -> bool:
    """Whether every text has the form of `lines`; one pass over all of them in C."""
    joined = "\n".join(texts) + "\n" if texts else ""
    # A line end inside a text could make two lines of one value.
    return lines.fullmatch(joined) is not None and joined.count("\n") == len(texts)


def finer_than(digits: int | None) -> re.Pattern[str] | None:
    """What matches a fraction of a second that `timestamp(3)` or the like would round; None when all digits fit."""
    if digits is None or digits >= _SECOND_DIGITS:
        return None
    return re.compile(rf"\.[0-9]{{{digits}}}[0-9]*[1-9]")


def texts_of_form(takes: str, lines: re.Pattern[str], read: Read, finer: re.Pattern[str] | None = None) -> Encoder:
    """Encodes texts of the form of `lines` as what `read` makes of them; it raises `ValueError` for impossible dates.

    `finer` matches digits of a second that the column would round.
    """

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= TEXTS:
            return None
        texts = cast("Sequence[str]", without_nulls(values, kinds))
        if not all_match(lines, texts) or (finer and any(map(finer.search, texts))):
            return None
        try:
            return with_nulls(values, read(texts))
        except ValueError:
            return None

    def scalar(value: Value) -> object:
        text = expect(value, str)
        if not all_match(lines, [text]):
            raise Unfit("is a text of another form" if text else "is an empty text")
        if finer and finer.search(text):
            raise Unfit("is a text with more digits of a second than the type keeps")
        try:
            return read([text])[0]
        except ValueError:
            raise Unfit("is a text that names no real date or time") from None

    return Encoder(takes, column, scalar)
