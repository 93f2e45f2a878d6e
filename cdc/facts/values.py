"""Values, rows and keys as SQLite gives them, and what stands for a value that it cannot give. Frozen, no I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InvalidText:
    """A SQLite text whose bytes are not valid UTF-8; it can be carried and named, never stored in Postgres."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """What stands in a row for a value that could not be computed; `reason` is in words and names no value."""

    reason: str


@dataclass(frozen=True, slots=True)
class NullKey:
    """Stands in every column of a declared key that has a NULL, which SQLite allows: the row is known by its rowid."""

    rowid: int


Value = int | float | str | bytes | InvalidText | Failed | NullKey | None
Row = tuple[Value, ...]
KeyValues = tuple[Value, ...]
