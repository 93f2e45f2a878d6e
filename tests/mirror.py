"""A second target for tests: the application's rows in memory, moved as every target moves, through the seam alone."""

from collections.abc import Iterable, Mapping, Sequence

from cdc.facts.changes import AppliedBatch, Position, Round, TableRows, Traces
from cdc.facts.table_map import TableMap
from cdc.facts.values import KeyValues, Row
from cdc.target.protocol import ChangeReader
from cdc.target.pull import Pull

Tables = dict[str, dict[KeyValues, Row]]


class Mirror:
    """Rows by source table and key. It begins empty, reads every table once, and follows from then on.

    `kept` is what it calls durable; None for all that it has.
    """

    def __init__(self) -> None:
        self.position = Position(0, "")
        self.tables: Tables = {}
        self.kept: int | None = None
        self.batches = self.beats = self.closed = 0
        self._staged: Tables = {}
        self._widths: dict[str, int] = {}

    async def open(self, maps: Sequence[TableMap], at: Position) -> "Mirror":
        """Go on, or begin where Postgres stands; for `Session.open`."""
        self._widths = {m.source.name: m.source_key_width for m in maps}
        if not self.tables:
            self.position = at
        return self

    @property
    def is_settled(self) -> bool:
        return self.tables.keys() == self._widths.keys()

    async def apply(self, changes: Round, reader: ChangeReader, began: float) -> AppliedBatch:
        self._staged = {name: dict(self.tables.get(name, {})) for name in self._widths}
        missing = [name for name in self._widths if name not in self.tables]
        reached = await Pull(self, reader, changes, missing, beat=lambda: None).run()
        before, self.tables, self.position = self.position, self._staged, reached
        self.batches += 1
        return AppliedBatch(before.seq, reached.seq, reached.seq - before.seq, {}, seconds=0.0)

    async def durable(self) -> int:
        return self.position.seq if self.kept is None else self.kept

    async def heartbeat(self, traces: Traces) -> None:
        self.beats += 1

    async def close(self) -> None:
        self.closed += 1

    # --- its stage ----------------------------------------------------------------------------------------------------

    async def stage(self, tables: Sequence[TableRows]) -> None:
        for read in tables:
            rows, width = self._staged[read.table], self._widths[read.table]
            for row in read.rows:
                rows[row[:width]] = row[width:]
            for key in read.gone:
                rows.pop(key, None)

    async def begin_whole(self, name: str) -> None:
        self._staged[name] = {}

    async def end_whole(self, name: str) -> None:
        """Nothing to do: what did not come was never put here."""

    async def releasable(self) -> Mapping[str, Sequence[KeyValues]]:
        return {}

    def ask_again(self, names: Iterable[str]) -> None:
        raise AssertionError("it names no keys")
