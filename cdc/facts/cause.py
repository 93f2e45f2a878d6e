"""One thing for the operator to decide: all findings with the same wrong, in whatever tables. Frozen, no I/O."""

from dataclasses import dataclass
from typing import Final, Literal

# A choice is nothing wrong: every row arrives, and Postgres could know more about the values.
Kind = Literal["warning", "blocks", "waiting", "quarantine", "choice"]
What = Literal["table", "sequence"]
KINDS: Final[tuple[Kind, ...]] = ("warning", "blocks", "waiting", "quarantine", "choice")  # as they are told


@dataclass(frozen=True, slots=True)
class ConfigLines:
    """Lines for a section of the configuration, `key = value` each; those of a column were tried with all its values.

    `effect` says what becomes of the values that did not fit; an `exact` one changes none, and nothing of a table.
    """

    section: tuple[str, ...]
    lines: tuple[str, ...]
    effect: str
    exact: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cause was found. `column` is empty for what concerns a whole table; `keys` name some of the rows.

    What is no table stands under its own name in `table`, and `what` says which kind of thing it is.
    """

    table: str
    column: str
    rows: int = 0
    keys: tuple[str, ...] = ()
    remedy: str = ""
    choices: tuple[ConfigLines, ...] = ()
    what: What = "table"

    @property
    def name(self) -> str:
        """The place as people write it."""
        return f"{self.table}.{self.column}" if self.column else self.table


@dataclass(frozen=True, slots=True)
class Cause:
    """What is wrong, told alike for all its `places`.

    `frees` are the rows, of children too, that come when this cause alone is gone: none that has others as well.
    """

    kind: Kind
    text: str
    places: tuple[Place, ...]
    frees: int = 0

    @property
    def rows(self) -> int:
        """Rows that have this wrong themselves."""
        return sum(place.rows for place in self.places)

    @property
    def options(self) -> tuple[tuple[ConfigLines, ...], ...]:
        """What can be written, each a choice for every place: the first of each, then those that all places have."""
        if not all(place.choices for place in self.places):
            return ()
        first = tuple(place.choices[0] for place in self.places)
        by_lines = [{choice.lines: choice for choice in place.choices} for place in self.places]
        everywhere = [lines for lines in by_lines[0] if all(lines in choices for choices in by_lines)]
        alike = [tuple(choices[lines] for choices in by_lines) for lines in everywhere]
        return tuple(dict.fromkeys((first, *alike)))
