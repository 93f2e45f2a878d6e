"""What the columns of a table hold, as counted in a copy of the file. Frozen, no I/O."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class TextForms:
    """How many texts have which form: time stamps without and with an offset, dates, times of day, empty ones, UUIDs,
    others.

    Those make up all texts. Counted beside: `nul` and `invalid` (not UTF-8) ones, words for true and false, and
    `documents`, the JSON texts of which jsonb keeps everything.
    """

    naive: int = 0
    zoned: int = 0
    date: int = 0
    time: int = 0
    empty: int = 0
    uuid: int = 0
    other: int = 0
    nul: int = 0
    invalid: int = 0
    words: int = 0
    documents: int = 0


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What one column holds: values of each storage class, and what about them matters to a Postgres type.

    `not_boolean` counts integers other than 0 and 1, `big` integers that a double cannot hold exactly, `json` texts
    that are JSON objects or arrays, `not_json` texts that are no JSON at all, `binary_json` blobs of which json() makes
    a text that jsonb keeps (https://sqlite.org/jsonb.html). `least` and `greatest` are of numbers, `first` and `last`
    the beginnings of the texts at either end, `longest` the bytes of the longest text or blob. `disagreeing` counts
    computed values that another version of SQLite computes otherwise.
    """

    name: str
    null: int = 0
    integer: int = 0
    real: int = 0
    text: int = 0
    blob: int = 0
    not_boolean: int = 0
    big: int = 0
    json: int = 0
    not_json: int = 0
    binary_json: int = 0
    least: int | float | None = None
    greatest: int | float | None = None
    first: str | None = None
    last: str | None = None
    longest: int = 0
    forms: TextForms = TextForms()
    disagreeing: int = 0

    @property
    def present(self) -> int:
        """Values that are not NULL."""
        return self.integer + self.real + self.text + self.blob


@dataclass(frozen=True, slots=True)
class TableProfile:
    """How many rows a table has and what its columns hold."""

    rows: int
    columns: tuple[ColumnProfile, ...]

    def column(self, name: str) -> ColumnProfile | None:
        """The profile of the column of that name, compared without case, or None."""
        return next((c for c in self.columns if c.name.lower() == name.lower()), None)


def together(parts: Iterable[TableProfile]) -> TableProfile:
    """The profile of all rows of some parts of a table, each with the same columns."""
    rows, columns = zip(*((part.rows, part.columns) for part in parts), strict=True)
    return TableProfile(sum(rows), tuple(_of_column(same) for same in zip(*columns, strict=True)))


def _of_column(parts: tuple[ColumnProfile, ...]) -> ColumnProfile:
    found = {field.name: [getattr(part, field.name) for part in parts] for field in fields(ColumnProfile)}
    name, forms = parts[0].name, found.pop("forms")
    del found["name"]
    summed = TextForms(*(sum(getattr(each, field.name) for each in forms) for field in fields(TextForms)))
    return ColumnProfile(name, forms=summed, **{key: _JOINED.get(key, sum)(values) for key, values in found.items()})


def _least(values: Iterable[Any]) -> Any:
    return min((value for value in values if value is not None), default=None)


def _greatest(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)


# How what is no count is joined.
_JOINED: Final[dict[str, Callable[[Iterable[Any]], Any]]] = {
    "least": _least,
    "first": _least,
    "greatest": _greatest,
    "last": _greatest,
    "longest": max,
}
