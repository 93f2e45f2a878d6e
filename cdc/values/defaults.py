"""Defaults of columns in Postgres that are the same for every row: the only ones that an empty text may become.

What now() or a sequence gives is another value each time a row is applied, and none that could be compared.
"""

import re
from contextlib import suppress
from decimal import InvalidOperation
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.values.encoder import Unfit
from cdc.values.registry import encoder_of_type, returning_of_type

# A constant as pg_get_expr() writes it. One with a cast beside its own type is a function of a constant.
_CONSTANT: Final = re.compile(
    r"'(?P<quoted>(?:[^']|'')*)'(?:::[\w\". ]+(?:\([0-9, ]+\))?(?:\[\])?)?|\(?(?P<bare>-?[0-9.]+|true|false)\)?"
)


def default_of(target: TargetColumn) -> tuple[object] | None:
    """The default as the column's own encoder makes it, in a tuple; None where none is the same for every row."""
    constant = _CONSTANT.fullmatch(target.default)
    encoder = encoder_of_type(target)
    if constant is None or encoder is None:
        return None
    text = constant["bare"] if constant["quoted"] is None else constant["quoted"].replace("''", "'")
    returning = returning_of_type(target)
    with suppress(Unfit, ValueError, InvalidOperation):
        stored = returning.stored(text)
        for form in returning.forms(target):
            # What the column would round, pad or cut is not what it says.
            if returning.compared(encoder.scalar(form.write(stored))) == returning.compared(stored):
                return (stored,)
    return None
