"""Whether the application's file is still what the stream knows, and what it takes to go on when it is not.

Capture that was damaged, a VACUUM that renumbered rowids, new tables and new columns are followed by themselves:
capture is made whole and the tables in question are read as a whole with the next batch. Columns and tables that are
gone stay in Postgres as leftovers, where the tables are of our making, and so does the copy of a table that has another
key now. What needs a decision before anything can go on is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cdc.errors import SchemaDrift
from cdc.facts.source_schema import KeyKind, SourceSchema
from cdc.facts.table_map import TableMap
from cdc.mapping.known import dropped_columns
from cdc.sqlite.changelog.source_file import Look


@dataclass(frozen=True, slots=True)
class SchemaChanges:
    """What has to be done before the next batch. `resync` are tables whose changes may not all have been logged.

    `lost_tables` and `lost_columns` (target columns by source table) are fed no longer.
    """

    reinstall: bool
    new_tables: tuple[str, ...]
    resync: tuple[str, ...]
    lost_tables: tuple[str, ...]
    lost_columns: Mapping[str, tuple[str, ...]]
    reasons: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether all is as it was."""
        return not self.reasons


def detect(
    now: Look, maps: Mapping[str, TableMap], decided: Mapping[str, Any], known_version: int | None
) -> SchemaChanges:
    """Compare a look at the file with what the stream knows.

    `decided` are the remembered columns by source table, `known_version` SQLite's schema counter when capture was
    last whole (None when that is not known yet).
    """
    if now.capture is None:
        raise ValueError("drift is judged on a file with capture")
    captured = {table.name for table in now.capture.tables.values()}
    new = tuple(t.name for t in now.schema.tables if t.name not in decided)
    uncaptured = tuple(t.name for t in now.schema.tables if t.name not in captured and t.name not in new)
    grown = tuple(name for name, m in maps.items() if name in decided and set(m.target_columns) - set(decided[name]))
    lost_columns = {name: gone for name, m in maps.items() if (gone := tuple(dropped_columns(m, decided)))}
    lost = lost_tables(now.schema, decided)
    held = {w.name for w in now.schema.waiting}
    moved, why_moved = _moved(now, known_version)
    by_rowid = tuple(t.name for t in now.schema.tables if t.key.kind is KeyKind.ROWID) if now.renumbered else ()
    damaged = tuple(dict.fromkeys((*now.damaged, *uncaptured)))
    reasons = [
        *(f"capture on {name} was not whole" for name in damaged),
        *(f"table {name} is new" for name in new),
        *(f"table {name} has new columns" for name in grown),
        *(f"table {name} is gone, was renamed, or has another key" for name in lost if name not in held),
        *(f"table {w.name} waits: {w.reason}" for w in now.schema.waiting if w.name in lost),
        *(f"columns of {name} are fed no longer: {', '.join(gone)}" for name, gone in lost_columns.items()),
        *([why_moved] if moved else []),
        *(["rows were numbered anew, by VACUUM or by a dump that was read in again"] if now.renumbered else []),
    ]
    return SchemaChanges(
        reinstall=bool(damaged or new or grown or now.renumbered),
        new_tables=new,
        resync=tuple(dict.fromkeys((*damaged, *new, *grown, *moved, *by_rowid))),
        lost_tables=lost,
        lost_columns=lost_columns,
        reasons=tuple(reasons),
    )


def lost_tables(schema: SourceSchema, decided: Mapping[str, Any]) -> tuple[str, ...]:
    """Replicated tables that the file has no longer."""
    names = {t.name for t in schema.tables}
    return tuple(name for name in decided if name not in names)


def refuse_lost_tables(lost: tuple[str, ...], adopts: Callable[[str], bool]) -> None:
    """Raises `SchemaDrift` when a lost table's copy was made by others; to be asked before the tables are mapped."""
    theirs = [name for name in lost if adopts(name)]
    if theirs:
        raise SchemaDrift(
            f"replicated tables are no longer in the SQLite file, or were renamed: {', '.join(theirs)}",
            remedy="if that is meant, add them to `exclude` in [replicate] and drop or keep their copies in Postgres",
        )


def refuse_lost_columns(maps: Mapping[str, TableMap], decided: Mapping[str, Any]) -> None:
    """Raises `SchemaDrift` for lost columns of adopted tables, which are not ours to follow."""
    for mapped in maps.values():
        gone = dropped_columns(mapped, decided) if mapped.adopted else []
        if gone:
            raise SchemaDrift(
                f"columns of {mapped.source.name} are no longer in the SQLite file, or were renamed: {', '.join(gone)}",
                remedy="drop those columns in Postgres (or rename them as in SQLite), then start again",
            )


def _moved(now: Look, known_version: int | None) -> tuple[tuple[str, ...], str]:
    """Tables to read again because the schema counter moved and nothing else shows why.

    VACUUM moves it by one and may renumber the rowids of tables keyed by them. Dropping a trigger and creating it again
    with the same text moves it by two, and what was written in between is not in the changelog.
    """
    if known_version is None or now.signature.schema_version == known_version:
        return (), ""
    steps = now.signature.schema_version - known_version
    if steps == 1:
        by_rowid = tuple(t.name for t in now.schema.tables if t.key.kind is KeyKind.ROWID or t.null_keys)
        return by_rowid, "the file may have been vacuumed, which renumbers rowids"
    return tuple(t.name for t in now.schema.tables), f"the schema changed {steps} times unseen"
