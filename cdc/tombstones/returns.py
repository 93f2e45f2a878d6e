"""Rows that the application puts in again although their key was deleted lately: they are applied, and told of.

An application that empties a list and fills it again does so all day: a table is told of once, and what comes in the
next minute is told together.
"""

import time
from typing import Final

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.facts.changes import AppliedBatch

TOGETHER_SECONDS: Final = 60.0


class Returns:
    """What came back in one session."""

    def __init__(self, config: Config) -> None:
        self._config = config
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
            logger.bind(table=table, rows=rows).warning("rows came back that were deleted: see `cdc tombstones`")
            trail.record(self._config.state.dir, "return from the dead", "done", {"table": table, "rows": rows})
