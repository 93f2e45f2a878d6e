"""What a family says of its types and formats. The families are the other files here; `registry` puts them together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cdc.facts.table_map import ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values.encoder import Encoder


@dataclass(frozen=True, slots=True)
class ColumnEncoding:
    """A column with rules and the encoder that they lead to.

    `wide` is the encoder without the column's precision, and of a date that of the instants of which it is the day.
    """

    column: TargetColumn
    rules: ValueRules
    encoder: Encoder
    wide: Encoder


@dataclass(frozen=True, slots=True)
class ValueForm:
    """One form in which applications write the values of a type; `storage` is the class, as SQLite's typeof() says it.

    `write` makes the value of SQLite of what the encoder makes of one, and raises `Unfit` where the form has none.
    """

    name: str
    storage: str
    write: Callable[[Any], Value]


Forms = Callable[[TargetColumn], Sequence[ValueForm]]


def _itself(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Returning:
    """How the values of a type come back to SQLite.

    `stored` makes of Postgres' text what the encoder makes of a value of SQLite, or raises `Unfit`. Two of these are
    one value to whoever reads Postgres where `compared` makes equal things of them. `forms` are those in which a value
    may be written, the usual one first; in `sample` a value of the application loses what no form can bring back.
    """

    stored: Callable[[str], object]
    forms: Forms
    compared: Callable[[Any], object] = _itself
    sample: Callable[[Value], Value] = _itself


@dataclass(frozen=True, slots=True)
class PostgresType:
    """All that is known of one type of Postgres, beside the comparison, which has an opinion of its own.

    `base` is its name in the catalogue (pg_type.typname), `name` the one that this project writes. Where an operator
    writes one of `aliases` it becomes `name`; `synonyms` mean the same and stay as they are written.
    `encoder` makes the encoder of a column, `returning` is the way back, and `nearest` makes the nearest value that the
    column holds, None for types without rounding; it raises `Unfit`. `cut` makes of one that says more the part that
    the column holds, and `wide` is the base of the type that holds all of it; texts are cut by their length alone.
    `fixed` are the bytes and the alignment of every value (pg_type.typlen, typalign), None where they are the value's.
    `rewrites`: it keeps what a text means, not how it was written. `coarse`: two texts of SQLite may be one value, or
    the type has no equality at all, so that a unique constraint would refuse rows that SQLite holds. `same_when_equal`:
    values that are equal in Postgres look alike to every reader, as numeric 1.0 and 1.00 do not.
    """

    base: str
    name: str
    encoder: Callable[[TargetColumn], Encoder]
    returning: Returning
    aliases: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    nearest: Callable[[Value, ColumnEncoding], object] | None = None
    cut: Callable[[Value, ColumnEncoding], object] | None = None
    wide: str = ""
    fixed: tuple[int, int] | None = None
    rewrites: bool = False
    coarse: bool = False
    same_when_equal: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """One way in which values are written, as the operator names it: what it `reads`, in words for the documentation.

    `encoder` is for columns of the types `into`, and `forms` are those that it reads. `usual` is the type of a column
    for which the operator names none, None where the declared type decides.
    """

    name: str
    reads: str
    into: tuple[PostgresType, ...]
    encoder: Callable[[TargetColumn], Encoder]
    forms: Forms
    usual: PostgresType | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """What some types take and what they refuse, for example: a line of the documentation, without its marks."""

    types: tuple[str, ...]
    takes: str
    refuses: str


@dataclass(frozen=True, slots=True)
class Family:
    """Types that are alike, the formats that are read into them, and what is promised of them."""

    types: tuple[PostgresType, ...]
    formats: tuple[Format, ...]
    promises: tuple[Promise, ...]
