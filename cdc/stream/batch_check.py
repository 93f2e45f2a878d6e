"""What is done about rows that are not in Postgres as a batch wrote them: it is told, and the table is compared next.

The stream goes on: SQLite has the rows, and a repair moves them once what is in their way is gone. Where triggers,
rules or row level security came into force while it ran, it is settled anew: triggers are disabled as at every start,
and a table that rules or policies guard waits alone.
"""

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Final

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.facts.changes import AppliedBatch
from cdc.facts.table_map import TableMap
from cdc.observe.daemon_state import DaemonState, difference_in
from cdc.postgres.record.record import Record
from cdc.postgres.record.verification import Verification
from cdc.postgres.tables.writers import guarded, reactions_of

ASK_SECONDS: Final = 1.0


class BatchCheck:
    """Tells of each table once, until it is alike again."""

    def __init__(self, record: Record, config: Config, daemon_state: DaemonState, maps: Sequence[TableMap]) -> None:
        self._record = record
        self._config = config
        self._daemon_state = daemon_state
        self._maps: Mapping[str, TableMap] = {mapped.source.name: mapped for mapped in maps}
        self._told: set[str] = set()
        self._asked_at = -ASK_SECONDS
        self.settles = False  # what makes writes come to nothing can be seen to by settling anew

    async def look(self, applied: AppliedBatch) -> None:
        """Tell of what a batch left undone."""
        now = time.monotonic()
        if applied.reacts and now - self._asked_at >= ASK_SECONDS:
            self._asked_at = now
            targets = [mapped.target for mapped in self._maps.values()]
            self.settles = bool(await guarded(self._record.connection, self._config.target.schema, targets))
        for table, rows in applied.unmoved.items():
            if table not in self._told or difference_in(table) not in self._daemon_state.alarms:
                await self._tell(table, rows, applied.last_seq)
                self._told.add(table)

    async def _tell(self, table: str, rows: int, seq: int) -> None:
        mapped = self._maps[table]
        reactions = ", ".join(await reactions_of(self._record.connection, mapped.schema, mapped.target))
        await self._record.verifications.record(Verification.of_unequal(table, seq, different=rows))
        # Before the alarm, which wakes whoever compares in the background.
        await self._record.verified.begin_anew(table)
        because = f"; triggers and rules on it: {reactions}" if reactions else ""
        words = f"{rows:,} rows of {table} are not in Postgres as they were written there{because}"
        again = f"`cdc verify --table {shlex.quote(table)} --repair`"
        remedy = f"drop or disable what changes its rows in Postgres, then {again}"
        told = logger.bind(table=table, rows=rows, reason=reactions or "unknown", remedy=remedy)
        told.error("rows of a batch are not in Postgres as they were written there")
        details: dict[str, trail.Detail] = {"table": table, "rows": rows, "reactions": reactions}
        trail.record(self._config.state.dir, "check a batch", "failed", details)
        self._daemon_state.alarm(difference_in(table), words, remedy)
