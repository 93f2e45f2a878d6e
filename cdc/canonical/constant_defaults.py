"""The default of a column in Postgres as SQLite would have written it, where it is a constant."""

import struct
from collections.abc import Callable
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value


def constant_default(column: TargetColumn) -> Value:
    """The value that Postgres gives to a row that says nothing; raises `ValueError` where it is no constant."""
    text = column.default.strip("()")
    if text.startswith("'"):
        text, _, cast = text[1:].rpartition("'")
        if cast and not cast.startswith("::"):
            raise ValueError
        text = text.replace("''", "'")
    return read_constant(text, column.base)


def read_constant(text: str, base: str) -> Value:
    """What SQLite would have written of a value that Postgres writes so."""
    return _READ.get(base, str)(text)


def _number(text: str) -> Value:
    return int(text) if text.lstrip("-").isdigit() else float(text)


_READ: Final[dict[str, Callable[[str], Value]]] = {
    **dict.fromkeys(("int2", "int4", "int8"), int),
    **dict.fromkeys(("float8", "numeric"), _number),
    "float4": lambda text: float(struct.unpack(">f", struct.pack(">f", float(text)))[0]),
    "bool": {"true": 1, "t": 1, "false": 0, "f": 0}.__getitem__,
    "bytea": lambda text: bytes.fromhex(text.removeprefix("\\x")),
    "bpchar": lambda text: text.rstrip(" "),
}
