"""What each type of Postgres holds exactly: an opinion of its own, like everything here."""

import math
import re
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Final

from cdc.canonical.addresses import is_shown
from cdc.canonical.exact_numbers import decimal_text, real_text, whole_text
from cdc.canonical.instants import CLOCK, DAY, has_zone, instant_of, instant_text
from cdc.canonical.intervals import written_interval
from cdc.canonical.json_documents import holds_document
from cdc.canonical.text import NEVER
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value

_PLAIN_UUID: Final = re.compile("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")


def fits(value: Value, column: TargetColumn) -> bool:
    """Whether a column of Postgres holds exactly that value, without any reading chosen."""
    if column.labels:
        return value in column.labels
    if column.base.startswith("_"):
        return True  # the form of an array looks at each element
    check = _FITS.get(column.base)
    return check is not None and check(value, column)


def _fits_characters(value: Value, column: TargetColumn) -> bool:
    if not isinstance(value, str) or "\x00" in value or (column.base == "bpchar" and value.endswith(" ")):
        return False
    return column.length is None or len(value) <= column.length


def _fits_timestamp(value: Value, column: TargetColumn) -> bool:
    instant = instant_of(value, "") if isinstance(value, str) else None
    if instant is None or has_zone(value) != (column.base == "timestamptz"):
        return False
    return instant_text(instant, column) != NEVER


def _fits_date(value: Value, _: TargetColumn) -> bool:
    return isinstance(value, str) and re.fullmatch(DAY, value, re.ASCII) is not None and bool(date.fromisoformat(value))


def _fits_time(value: Value, column: TargetColumn) -> bool:
    clock = re.fullmatch(CLOCK, value, re.ASCII) if isinstance(value, str) else None
    if clock is None:
        return False
    digits = (clock["digits"] or "").rstrip("0")
    most = 6 if column.precision is None else column.precision
    return int(clock[0][3:5]) < 60 and int(clock[0][6:8] or 0) < 60 and len(digits) <= most


def _fits_interval(value: Value, column: TargetColumn) -> bool:
    return bool(written_interval(value, column.precision))


def _fits_document(value: Value, column: TargetColumn) -> bool:
    if isinstance(value, (int, float)):
        return math.isfinite(value)
    return isinstance(value, str) and holds_document(value, binary=column.base == "jsonb")


_FITS: Final[dict[str, Callable[[Value, TargetColumn], bool]]] = {
    **dict.fromkeys(("int2", "int4", "int8"), lambda v, c: type(v) is int and whole_text(Fraction(v), c) != NEVER),
    **dict.fromkeys(
        ("float4", "float8"), lambda v, c: isinstance(v, (int, float)) and real_text(float(v), v, c) != NEVER
    ),
    "numeric": lambda v, c: (
        isinstance(v, (int, float))
        and (math.isfinite(v) or c.precision is None)
        and (math.isinf(v) or decimal_text(Fraction(repr(v)), v, c) != NEVER)
    ),
    "bool": lambda v, _: type(v) is int and v in {0, 1},
    "bytea": lambda v, _: isinstance(v, bytes),
    **dict.fromkeys(("text", "varchar", "bpchar", "citext"), _fits_characters),
    **dict.fromkeys(("json", "jsonb"), _fits_document),
    **dict.fromkeys(("timestamp", "timestamptz"), _fits_timestamp),
    "date": _fits_date,
    "time": _fits_time,
    "interval": _fits_interval,
    **dict.fromkeys(("inet", "cidr", "macaddr", "macaddr8"), lambda v, c: is_shown(v, c.base)),
    "uuid": lambda v, _: isinstance(v, str) and _PLAIN_UUID.fullmatch(v) is not None,
}
