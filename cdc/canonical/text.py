"""What a canonical text is, and the texts that a value of any column may have: its SQL literal, or that it is none."""

import math
import struct
from collections.abc import Callable
from typing import Final

from cdc.facts.values import Failed, InvalidText, Value

Text = str | None
Form = Callable[[Value], Text]

NEVER: Final = "\x00"  # Postgres holds no NUL in a text
UNFIT: Final = (ValueError, TypeError, OverflowError, ArithmeticError, RecursionError, struct.error)


def canonical_text(form: Form, value: Value) -> Text:
    """The text of a value that is not NULL; `NEVER` for one that does not fit."""
    if isinstance(value, Failed):
        return NEVER
    try:
        return form(value)
    except UNFIT:
        return NEVER


def literal_text(value: Value) -> str:
    """A value as SQL writes it."""
    if isinstance(value, float) and math.isinf(value):
        return "9.0e+999" if value > 0 else "-9.0e+999"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, bytes):
        return "x'" + value.hex() + "'"
    data = value.data if isinstance(value, InvalidText) else str(value).encode()
    if isinstance(value, InvalidText) or b"\x00" in data:
        return f"CAST(x'{data.hex()}' AS TEXT)"
    return "'" + data.decode().replace("'", "''") + "'"
