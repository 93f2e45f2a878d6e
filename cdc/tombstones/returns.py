"""Rows that the application puts in again although their key was deleted lately: they are applied, and told of.

An application that empties a list and fills it again does so all day: a table is told of once, and what comes in the
next minute is told together. Numbers that SQLite gives once more are nothing to warn of: without AUTOINCREMENT the next
row gets the number of the newest one that was deleted.
"""

import time
from collections.abc import Iterable
from typing import Final

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.facts.changes import AppliedBatch
from cdc.facts.source_schema import KeyKind, Table
from cdc.facts.table_map import TableMap

TOGETHER_SECONDS: Final = 60.0


class Returns:
    """What came back in one session; `maps` are of the tables that it feeds."""

    def __init__(self, config: Config, maps: Iterable[TableMap]) -> None:
        self._config = config
        self._numbered = frozenset(m.source.name for m in maps if _numbers_again(m.source))
        self._untold: dict[str, int] = {}
        self._told_at: dict[str, float] = {}

    def note(self, applied: AppliedBatch) -> None:
        """Take account of a batch that was committed."""
        for table, rows in applied.tables.items():
            if rows.returned and self._config.resurrection(table) != "allow":
                self._untold[table] = self._untold.get(table, 0) + rows.returned
        if self._untold:
            self.tell()

    def tell(self, *, at_once: bool = False) -> None:
        """Tell of the tables whose minute is over, or of all."""
        now = time.monotonic()
        due = [t for t in self._untold if at_once or now - self._told_at.get(t, -TOGETHER_SECONDS) >= TOGETHER_SECONDS]
        for table in due:
            rows = self._untold.pop(table)
            self._told_at[table] = now
            level = "INFO" if table in self._numbered else "WARNING"
            logger.bind(table=table, rows=rows).log(level, "rows came back that were deleted: see `cdc tombstones`")
            trail.record(self._config.state.dir, "return from the dead", "done", {"table": table, "rows": rows})


def _numbers_again(table: Table) -> bool:
    """Whether SQLite itself gives the number of a deleted row to a new one."""
    return table.key.kind is KeyKind.INTEGER and not table.autoincrement
