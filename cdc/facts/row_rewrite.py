"""How the rows of a table can be written once more, as an application would, and what it did lately. Frozen, no I/O."""

from dataclasses import dataclass
from typing import Final

from cdc.facts.table_map import TableMap
from cdc.facts.values import KeyValues

STAMP: Final = " ~"  # in a text that was rewritten: the number of the rewrite stands behind it


@dataclass(frozen=True, slots=True)
class LoggedWrite:
    """An entry of the changelog: which row of which table was written, by which operation (`I`, `U`, `D` ...), when.

    `at` are seconds since 1970.
    """

    table: str
    op: str
    key: KeyValues
    at: float


@dataclass(frozen=True, slots=True)
class RowRewrite:
    """What an application may do to any row of a table, and still have the row that it had.

    `text` is a column that takes any text, by its names in SQLite and in Postgres; without one, rows are written as
    they are. Rows that are `replaceable` can be deleted and inserted again: no other row hangs on them. `key_types` are
    those of the key's columns in Postgres, and `stored` the columns there that are not generated.
    """

    mapped: TableMap
    text: tuple[str, str] | None
    replaceable: bool
    key_types: tuple[str, ...]
    stored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowWrite:
    """One row to be written: `key` as the side that it is written to has it, `number` the one behind its stamp."""

    table: str
    key: KeyValues
    number: int
    replaces: bool
