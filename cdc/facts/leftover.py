"""What stands in Postgres and is fed no longer, because the application dropped or renamed it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Leftover:
    """A column, or with `column` None a whole table, of the copy of a source table.

    `decided` is what was decided about its columns, by their names in Postgres; `dropped` are constraints and indexes
    that had to go, in words.
    """

    source_table: str
    target: str
    column: str | None
    noticed_at: datetime
    decided: Mapping[str, Any]
    dropped: tuple[str, ...]

    def __str__(self) -> str:
        return self.target if self.column is None else f"{self.target}.{self.column}"
