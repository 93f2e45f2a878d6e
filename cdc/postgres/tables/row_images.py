"""Rows of Postgres as they are before somebody has them changed, found by their keys and saved to a file.

Keys are canonical texts, as the comparison found them, so a row is found here if it was found there.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cdc.errors import TargetError
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetTable
from cdc.postgres.connection.open import Connection
from cdc.postgres.tables import csv_file
from cdc.postgres.tables.hashed_rows import TargetRows

Texts = Sequence[str | None]


class RowImages:
    """Saves whole rows of one table: also columns that the application knows nothing of, but none that is computed."""

    def __init__(self, connection: Connection, source_id: str, mapped: TableMap, target: TargetTable) -> None:
        mapped_columns = {column.target: column for column in mapped.columns}
        saved = [column for column in target.columns if not column.generated]
        columns = (mapped_columns.get(c.name) or ColumnMap(c.name, "NULL", c.type) for c in saved)
        self._target = target
        self._heading = [column.name for column in saved]
        self._rows = TargetRows(connection, source_id, replace(mapped, columns=tuple(columns)), target)

    async def save(self, batches: Iterable[Sequence[Texts]], file: Path) -> int:
        """The rows of these keys that are there, as CSV that `COPY ... FROM` reads back; returns how many.

        The file has its name once it is on the disk, and none is left when there were no rows. Raises `TargetError`.
        """
        saved = 0
        try:
            async with csv_file.writing(file) as sink:
                await sink.write(csv_file.line(self._heading))
                for keys in batches:
                    rows = await self._rows.look_at(keys)
                    for _, shown in rows.values():
                        await sink.write(csv_file.line(shown))
                    saved += len(rows)
            if not saved:
                await asyncio.to_thread(file.unlink)
        except OSError as error:
            raise unsaved(self._target, file, error) from None
        return saved


def unsaved(target: TargetTable, file: Path, error: OSError) -> TargetError:
    """What is said when rows that a repair would touch cannot be saved."""
    return TargetError(
        f"rows of {target.schema}.{target.name} that a repair would change cannot be saved to {file}: {error.strerror}",
        remedy="nothing was repaired; make room there, or make `dir` in [state] a folder that this user may write",
    )
