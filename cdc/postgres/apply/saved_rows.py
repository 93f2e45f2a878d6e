"""Rows that a comparison of whole tables takes out of Postgres or overwrites are saved to files before it commits.

The files are on the disk by then: a comparison that was undone may leave a file too many, never a row too few.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cdc.audit.chain import entry
from cdc.errors import TargetError
from cdc.facts.target_schema import TargetTable
from cdc.faults import crash_point
from cdc.postgres.apply.stage_sql import AppliedTable
from cdc.postgres.record.record import Record
from cdc.postgres.tables import csv_file

FOLDER: Final = "replaced"
KEPT: Final = 10  # comparisons whose files are kept, the newest
_KINDS: Final = {"deleted": True, "changed": False}


class Replaced:
    """Saves what one comparison replaces. `tables` are the source tables that are saved; of others nothing is."""

    def __init__(self, record: Record, state: Path, tables: frozenset[str]) -> None:
        self._record = record
        self._connection = record.connection
        self._folder = state / FOLDER
        self._tables = tables
        self._part = 0
        self._at = csv_file.moment()
        self._saved: dict[Path, dict[str, str | int | None]] = {}
        self._recorded = False

    async def save(self, staged: Iterable[AppliedTable]) -> None:
        """Save the rows that moving these tables to their stages deletes or changes; given again, it begins anew.

        Part of the transaction that moves them. Raises `TargetError` when a file cannot be written.
        """
        self._discard()
        for table in staged:
            if table.source_name in self._tables:
                for kind, gone in _KINDS.items():
                    await self._save(table, kind, table.replaced(gone=gone))
        if self._saved:
            crash_point("replaced.saved")

    async def tell(self) -> None:
        """Have the audit trail name the files, in the transaction that replaces the rows, just before it commits."""
        self._recorded = True
        if self._saved:
            entries = [entry("save rows", "done", details) for details in self._saved.values()]
            await self._record.audit.append(entries)

    @contextmanager
    def kept(self, whole: Collection[str]) -> Iterator[None]:
        """Around the transaction that reads these source tables as a whole; afterwards, files beyond `KEPT` go.

        A table whose turn is yet to come may lose rows with its parents, so it is saved as well.

        Where nothing was replaced, they say nothing that Postgres does not hold. When a commit failed, nobody knows.
        """
        self._part, self._recorded, self._saved = self._part + 1, False, {}
        try:
            yield
        except BaseException:
            # Once recorded it may have been the commit that failed, or only its answer: then the files stay.
            if not self._recorded:
                self._discard()
            raise
        if self._saved:
            csv_file.bound(self._folder, KEPT)
        self._tables -= frozenset(whole)

    def _discard(self) -> None:
        for file in self._saved:
            with suppress(OSError):
                file.unlink()
        self._saved = {}

    async def _save(self, table: AppliedTable, kind: str, query: str) -> None:
        target = table.target
        file = self._free_file(target, kind)
        try:
            rows = await csv_file.save(self._connection, query, file)
        except OSError as error:
            raise TargetError(
                f"rows of {target.schema}.{target.name} that would be replaced cannot be saved to {file}: "
                f"{error.strerror}",
                remedy="nothing was replaced; make room there, or make `dir` in [state] a folder that this user may "
                "write, and start again",
            ) from None
        if rows:
            self._saved[file] = {"table": target.name, "kind": kind, "rows": rows, "file": str(file)}
        else:
            file.unlink()

    def _free_file(self, target: TargetTable, kind: str) -> Path:
        """A file that is not there yet: a target has more than one where several transactions or tables change it."""
        part = self._part
        while True:
            name = csv_file.file_name(target, kind, self._at, f".{part}" if part > 1 else "")
            if not (self._folder / name).exists():
                return self._folder / name
            part += 1
