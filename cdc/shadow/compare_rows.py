"""Rows of SQLite beside rows of Postgres: as lists or as sets, value by value under the type that Postgres has."""

import math
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from cdc.canonical.rules import form_of, reading_form
from cdc.canonical.text import NEVER, Form
from cdc.facts.shadow import Difference
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Row, Value
from cdc.shadow.causes import explain, moment_of

MOST_DIFFERENCES: Final = 20
SAME_DIGITS: Final = 12  # of a number that was computed: engines add in another order
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MOMENTS: Final = frozenset({"timestamp", "timestamptz"})
_NUMBERS: Final = frozenset({"int2", "int4", "int8", "float4", "float8", "numeric", "oid"})

Same = Any  # a hashable that is equal for values that mean the same


@dataclass(frozen=True, slots=True)
class AnswerColumn:
    """A column of an answer: its name, its type in Postgres by the catalogue, and whose values it passes on."""

    name: str
    base: str
    origin: tuple[TableMap, ColumnMap] | None = None
    rule: str = ""  # how an operator wants it to be read, see `cdc.config.ShadowRule`
    tolerance: float | None = None

    def of_source(self, value: Value) -> Same:
        """What a value of SQLite means under this type."""
        if value is None or self.rule == "ignored" or (self.rule == "empty is null" and value == ""):
            return None
        if self.base in _NUMBERS and isinstance(value, int | float):
            return self._number(value)
        if self.base == "bool" and value in (0, 1):
            return bool(value)
        if self.origin is None and self.base in _MOMENTS and isinstance(value, str) and (moment := moment_of(value)):
            return str((moment - _EPOCH) // _MICROSECOND)  # computed from texts whose format is not known here
        return _canonical(self._form(), value)

    def of_target(self, value: Any) -> Same:
        """What a value of Postgres means."""
        if value is None or self.rule == "ignored" or (self.rule == "empty is null" and value == ""):
            return None
        if self.base in _NUMBERS:
            return self._number(value)
        return _of_target(value, self.base)

    def _number(self, value: float | Decimal) -> Same:
        if isinstance(value, Decimal):
            value = int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
        if isinstance(value, int) or not self._rounded:
            return struct.unpack(">f", struct.pack(">f", value))[0] if self.base == "float4" else value
        digits = SAME_DIGITS if self.tolerance is None else max(1, round(-math.log10(self.tolerance)))
        rounded = float(f"{value:.{digits}g}")
        return int(rounded) if rounded.is_integer() else rounded

    @property
    def _rounded(self) -> bool:
        return self.origin is None or self.tolerance is not None

    def _form(self) -> Form:
        there = TargetColumn(self.name, self.base, self.base)
        return reading_form(*self.origin, there) if self.origin else form_of(there)


def compare_rows(
    ours: Sequence[Row], theirs: Sequence[Sequence[Any]], columns: Sequence[AnswerColumn], *, as_list: bool
) -> tuple[Difference, ...]:
    """Where two answers differ, the first `MOST_DIFFERENCES` of them; an order that differs is one at `order`."""
    if ours and len(ours[0]) != len(columns):
        return (Difference("columns", str(len(ours[0])), str(len(columns)), "changed value"),)
    left = [tuple(c.of_source(v) for c, v in zip(columns, row, strict=True)) for row in ours]
    right = [tuple(c.of_target(v) for c, v in zip(columns, row, strict=True)) for row in theirs]
    if left == right:
        return ()
    if (left_count := Counter(left)) == (right_count := Counter(right)):
        return (_order(ours, theirs, left, right),) if as_list else ()
    missing, extra = left_count - right_count, right_count - left_count
    if missing.total() == extra.total() and (as_list or missing.total() == 1):
        return tuple(_values(ours, theirs, left, right, (missing, extra), columns))[:MOST_DIFFERENCES]
    gone = [Difference(_row(n), _shown(ours[n]), None, "missing row") for n in _places(left, missing)]
    more = [Difference(_row(n), None, _shown(theirs[n]), "extra row") for n in _places(right, extra)]
    return (*gone, *more)[:MOST_DIFFERENCES]


def only_order(differences: Sequence[Difference]) -> bool:
    """Whether nothing but the order of rows differs."""
    return [d.path for d in differences] == ["order"]


def _order(ours: Sequence[Row], theirs: Sequence[Any], left: Sequence[Same], right: Sequence[Same]) -> Difference:
    first = next(n for n, (a, b) in enumerate(zip(left, right, strict=True)) if a != b)
    return Difference(
        "order", f"{_row(first)}: {_shown(ours[first])}", f"{_row(first)}: {_shown(theirs[first])}", "ties"
    )


def _values(
    ours: Sequence[Row],
    theirs: Sequence[Any],
    left: Sequence[Same],
    right: Sequence[Same],
    odd: tuple[Counter[Same], Counter[Same]],
    columns: Sequence[AnswerColumn],
) -> list[Difference]:
    """Rows without a twin, paired in their order, and compared value by value."""
    pairs = zip(_places(left, odd[0]), _places(right, odd[1]), strict=True)
    return [
        _value(f"{_row(n)}, {column.name}", ours[n][k], theirs[m][k])
        for n, m in pairs
        for k, column in enumerate(columns)
        if left[n][k] != right[m][k]
    ]


def _value(path: str, ours: Value, theirs: Any) -> Difference:
    return Difference(path, _text(ours), _text(theirs), explain(ours, _plain(theirs)))


def _places(rows: Sequence[Same], odd: Counter[Same]) -> list[int]:
    rest, places = Counter(odd), []
    for place, row in enumerate(rows):
        if rest[row] > 0:
            rest[row] -= 1
            places.append(place)
    return places


def _canonical(form: Form, value: Value) -> Same:
    try:
        return form(value)
    except (ValueError, TypeError, OverflowError, ArithmeticError, RecursionError, struct.error):
        return NEVER + repr(value)


def _of_target(value: Any, base: str) -> Same:
    match value:
        case bytes() | timedelta():
            return value.hex() if isinstance(value, bytes) else _span(value)
        case datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            return str((moment - _EPOCH) // _MICROSECOND)
        case date():
            return str((value - date(1970, 1, 1)).days)
        case time():
            return _canonical(form_of(TargetColumn("", "time", "time")), value.isoformat())
        case str() if base == "jsonb":
            return _canonical(form_of(TargetColumn("", "jsonb", "jsonb")), value)
        case _:
            return value if isinstance(value, str | bool) else str(value)


def _span(value: timedelta) -> str:
    """An interval as `cdc.canonical` has it; of one with months the driver has made days, which is another one."""
    return struct.pack(">qii", value.seconds * 1_000_000 + value.microseconds, value.days, 0).hex()


def _plain(value: Any) -> Any:
    """A value of Postgres as Python would compare it with one of SQLite."""
    match value:
        case Decimal():
            return float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case UUID():
            return str(value)
        case _:
            return value


def _row(place: int) -> str:
    return f"row {place + 1}"


def _shown(row: Sequence[Any]) -> str:
    return "(" + ", ".join(_text(value) or "NULL" for value in row) + ")"


def _text(value: Any) -> str | None:
    match value:
        case None:
            return None
        case str():
            return "'" + value.replace("'", "''") + "'"
        case bytes():
            return f"x'{value.hex()}'"
        case datetime() | date() | time() | UUID() | Decimal():
            return str(value)
        case _:
            return repr(value)
