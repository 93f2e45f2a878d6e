"""Repair: keys that differ are logged again, so that the daemon moves their rows as it moves every change.

What Postgres has of them is saved before the first key is logged. Rows that only Postgres has would be deleted there:
that is done for those who say so.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from cdc.audit import trail
from cdc.canonical.rules import texts_of
from cdc.config import Config
from cdc.facts.row_key import decode_key, show_key, shown_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.postgres.record.record import Record
from cdc.postgres.tables import csv_file
from cdc.postgres.tables.row_images import RowImages, unsaved
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.verify_scratch import DIFFERENT, EXTRA, MISSING, Scratch

FOLDER: Final = "repaired"
KEPT: Final = 50  # repairs whose files are kept, the newest
REPAIRED_KEYS: Final = 500  # logged in one transaction of ours, so that the application hardly waits
NOTED_KEYS: Final = 10_000  # of a table, by which the next comparison sees what came back
TOLD_KEYS: Final = 100  # of a table, in the audit trail; the files have them all
LONGEST_KEY: Final = 200
SAMPLE_KEYS: Final = 5
_BECOMES: Final = {DIFFERENT: "changed", EXTRA: "deleted", MISSING: "added"}  # what becomes of rows of each kind


@dataclass(frozen=True, slots=True)
class ExtraRows:
    """Rows of one source table that only Postgres has: how many, and some of their keys as people read them."""

    table: str
    rows: int
    keys: tuple[str, ...]


Consent = Callable[[Sequence[ExtraRows]], bool]  # whether rows that only Postgres has may be deleted there


@dataclass(frozen=True, slots=True)
class Repaired:
    """How many keys were logged again, how many that only Postgres has were left, and the files of what was there."""

    keys: int = 0
    left: int = 0
    files: tuple[str, ...] = ()


NOTHING: Final = Repaired()


class Repair:
    """Repairs what a comparison found in some tables, given with their targets by source name."""

    def __init__(
        self,
        record: Record,
        config: Config,
        scratch: Scratch,
        compared: Mapping[str, tuple[TableMap, TargetTable]],
    ) -> None:
        self._record = record
        self._config = config
        self._scratch = scratch
        self._compared = compared
        self._at = csv_file.moment()
        self._folder = config.state.dir / FOLDER
        self._kinds = [DIFFERENT, MISSING]

    async def run(self, consent: Consent) -> Repaired:
        """Save what is there, then log the keys again; `consent` is asked when rows would be deleted in Postgres.

        Raises `TargetError` when something cannot be saved: then nothing was repaired.
        """
        extra = [found for name in self._compared if (found := self._extra(name)).rows]
        # Not in a thread, which Ctrl-C could not end while it waits for an answer; nothing else is to be done.
        agreed = bool(extra) and consent(extra)
        if agreed:
            self._kinds.append(EXTRA)
        files = {name: await self._save(name) for name in self._compared}
        await asyncio.to_thread(csv_file.bound, self._folder, KEPT)
        await self._record.repaired.forget_old()
        keys = sum([await self._log_again(name) for name in self._compared])
        left = 0 if agreed else sum(found.rows for found in extra)
        return Repaired(keys, left, tuple(str(file) for of_table in files.values() for file in of_table))

    def _extra(self, name: str) -> ExtraRows:
        keys = self._scratch.samples(name, EXTRA, SAMPLE_KEYS)
        return ExtraRows(name, self._scratch.count(name, EXTRA), tuple(map(show_key, keys)))

    async def _save(self, name: str) -> list[Path]:
        """Save the rows of one table and say so in the audit trail; returns the files."""
        kinds = [kind for kind in self._kinds if self._scratch.count(name, kind)]
        files = [file for kind in kinds if (file := await self._save_kind(name, kind))]
        if kinds:
            columns = self._compared[name][0].source.key.columns
            shown = (shown_key(encoded, name, columns) for kind in kinds for encoded in self._keys(name, kind))
            keys = [key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}..." for key in islice(shown, TOLD_KEYS)]
            counts = {becomes: self._scratch.count(name, kind) for kind, becomes in _BECOMES.items() if kind in kinds}
            details: dict[str, trail.Detail] = {
                "table": name,
                **counts,
                "keys": keys,
                "files": [str(file) for file in files],
            }
            trail.record(self._config.state.dir, "repair rows", "started", details)
        return files

    async def _save_kind(self, name: str, kind: str) -> Path | None:
        mapped, target = self._compared[name]
        file = self._folder / csv_file.file_name(target, _BECOMES[kind], self._at)
        if kind == MISSING:
            return await self._save_keys(name, target, file)
        images = RowImages(self._record.connection, self._record.source_id, mapped, target)
        found = self._scratch.found(name, kind, REPAIRED_KEYS)
        saved = await images.save(([texts_of(key) for key, _ in batch] for batch in found), file)
        return file if saved else None

    async def _save_keys(self, name: str, target: TargetTable, file: Path) -> Path:
        """Of rows that Postgres lacks there is no image: their keys alone say which were added."""
        try:
            async with csv_file.writing(file) as sink:
                await sink.write(csv_file.line(["key"]))
                for encoded in self._keys(name, MISSING):
                    await sink.write(csv_file.line([show_key(encoded)]))
        except OSError as error:
            raise unsaved(target, file, error) from None
        return file

    def _keys(self, name: str, kind: str) -> Iterator[str]:
        for batch in self._scratch.found(name, kind, REPAIRED_KEYS):
            yield from (encoded for _, encoded in batch)

    async def _log_again(self, name: str) -> int:
        logged = 0
        for kind in self._kinds:
            for batch in self._scratch.found(name, kind, REPAIRED_KEYS):
                encoded = [source_key for _, source_key in batch]
                keys = {name: [decode_key(key) for key in encoded]}
                # Noted afterwards: a key that was noted and not logged would be blamed on somebody else.
                again = await asyncio.to_thread(source_file.log_again, self._config, keys)
                if logged < NOTED_KEYS:
                    await self._record.repaired.note(name, encoded)
                logged += again
        return logged
