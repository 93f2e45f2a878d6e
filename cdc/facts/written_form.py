"""How an application writes the values of a column, as it was learned from what it wrote. Frozen, no I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrittenForm:
    """The forms in which a column of SQLite is written, by their names, the one of most values first.

    With `empty` the application writes an empty text where Postgres has NULL. Plain data, so that it can be kept: what
    was learned once does not change while rows come back.
    """

    forms: tuple[str, ...]
    empty: bool = False
