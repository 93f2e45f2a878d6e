"""Which rows of a copy the load would keep out: all are converted as the load converts them, and go nowhere."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cdc.facts.changes import Reason, Rejection
from cdc.facts.row_key import encode_key, show_key
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.facts.values import KeyValues
from cdc.mapping.type_names import column_of_type
from cdc.postgres.ddl.check_constraints import CheckConstraint, breaks_check, checks
from cdc.postgres.ddl.foreign_keys import Link, links
from cdc.sqlite.connection.open import open_copy
from cdc.sqlite.rows.broken_checks import breaking
from cdc.sqlite.rows.select import chunks
from cdc.sqlite.rows.source_orphans import KeptOut
from cdc.values.column_rules import encoder_for
from cdc.values.converter import Converted, compile_converter
from cdc.values.sizes import Sizes

CHUNK_ROWS: Final = 256
CHUNK_BYTES: Final = 4 * 1024 * 1024
MOST_KEYS: Final = 10_000  # told by name for each finding; the others are counted

_ORPHAN_REMEDY: Final = "add the parents or correct the references in SQLite; each is released when its parent arrives"


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows of a table that stay behind for one reason; `keys` are in their form for people, `MOST_KEYS` at most."""

    table: str
    column: str
    reason: Reason
    detail: str
    remedy: str
    rows: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A column whose type only the database knows, so that nothing could be tried."""

    table: str
    column: str
    type: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What became of every row. `unknown` are columns that could not be tried.

    `altered` counts values that became others by a chosen outcome, by source table and target column; `tight` the rows
    that an ordinary index may have no room for, by source table and index.
    """

    findings: tuple[Finding, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    altered: Mapping[tuple[str, str], int] = field(default_factory=dict)
    tight: Mapping[tuple[str, str], int] = field(default_factory=dict)


def rehearse_load(
    database: Path, maps: Sequence[TableMap], adopted: Mapping[str, TargetTable] | None = None
) -> Rehearsal:
    """Convert every row of a copy. Orphans include the children of rows that stay behind.

    Targets that are not among the `adopted` ones, by name, are taken as they will be made.
    """
    targets = adopted or {}
    unknown: list[Unknown] = []
    altered = Counter[tuple[str, str]]()
    tight = Counter[tuple[str, str]]()
    connection = open_copy(database)
    try:
        notes = _Notes(KeptOut(connection, maps))
        for mapped in maps:
            target = targets.get(mapped.target) if mapped.adopted else _to_be_made(mapped, unknown)
            if target and (tried := _fed(mapped, target)):
                fed = tuple(c for c in target.columns if c.name in tried.target_columns)
                converter = compile_converter(tried, replace(target, columns=fed))
                sizes = Sizes(tried, target)
                for chunk in chunks(connection, tried, CHUNK_ROWS, CHUNK_BYTES):
                    converted = converter.rows(chunk)
                    notes.add(mapped, converted.rejected)
                    altered.update({(mapped.source.name, name): n for name, n in converted.altered.items()})
                    notes.add_large(mapped, converted, sizes)
                    tight.update({(mapped.source.name, name): n for name, n in sizes.tight_indexes(converted.rows)})
        for mapped in (m for m in maps if not m.adopted):
            for check in (c.source for c in checks(mapped) if isinstance(c, CheckConstraint)):
                notes.add_breaking(mapped, check, *breaking(connection, mapped.source, check))
        # Last: what stays behind for any other reason leaves orphans.
        notes.add_orphans([*(link for link in links(maps) if isinstance(link, Link)), *_adopted_links(maps, targets)])
    finally:
        connection.close()
    return Rehearsal(tuple(notes.findings()), tuple(unknown), altered, tight)


def _to_be_made(mapped: TableMap, unknown: list[Unknown]) -> TargetTable:
    """The target as it will be made, without the columns that cannot be tried, which are added to `unknown`."""
    columns = {c.target: _column(mapped, c) for c in mapped.columns}
    unknown += [Unknown(mapped.source.name, c.target, c.type) for c in mapped.columns if columns[c.target] is None]
    return TargetTable(mapped.schema, mapped.target, tuple(filter(None, columns.values())))


def _column(mapped: TableMap, column: ColumnMap) -> TargetColumn | None:
    not_null = column.target in mapped.key or (
        column.source is not None and mapped.source.column(column.source).not_null
    )
    return column_of_type(column.target, column.type, not_null=not_null)


def _fed(mapped: TableMap, target: TargetTable) -> TableMap | None:
    """The map with the columns that the target can take; None when it cannot take the key."""
    columns: list[ColumnMap] = []
    for column in mapped.columns:
        fed = target.column(column.target)
        if fed is None or fed.generated:
            continue
        if encoder_for(fed, mapped.reading(column, fed), literal=column.literal) is not None:
            columns.append(column)
    return replace(mapped, columns=tuple(columns)) if set(mapped.key) <= {c.target for c in columns} else None


def _adopted_links(maps: Sequence[TableMap], adopted: Mapping[str, TargetTable]) -> Iterator[Link]:
    """The foreign keys that adopted tables have, as far as both ends hold plain columns of SQLite."""
    by_target = {m.target: m for m in maps}
    for child in (m for m in maps if m.adopted and m.target in adopted):
        for key in adopted[child.target].foreign_keys:
            parent = by_target.get(key.parent) if key.parent_schema == child.schema else None
            if parent and _plain(child, key.columns) and _plain(parent, key.parent_columns):
                yield Link(child, key.columns, parent, key.parent_columns, key.on_delete, key.on_update)


def _plain(mapped: TableMap, names: Sequence[str]) -> bool:
    return set(names) <= {c.target for c in mapped.columns if c.source is not None}


class _Notes:
    """What stays behind, counted by table and reason, with the keys of some rows of each."""

    def __init__(self, kept_out: KeptOut) -> None:
        self._kept_out = kept_out
        self._rows: Counter[tuple[str, Rejection]] = Counter()
        self._keys: dict[tuple[str, Rejection], list[str]] = {}

    def add(self, mapped: TableMap, rejected: Sequence[tuple[KeyValues, Rejection]]) -> None:
        self._kept_out.add(mapped, (key for key, _ in rejected))
        self._count(mapped, rejected)

    def add_large(self, mapped: TableMap, converted: Converted, sizes: Sizes) -> None:
        """Rows that are larger than Postgres' limits; of those that only may be, no child becomes an orphan here."""
        wide = dict(sizes.too_wide(converted.rows))
        self.add(mapped, [(converted.keys[place], why) for place, why in wide.items()])
        long = sizes.long_entries(converted.rows)
        self._count(mapped, [(converted.keys[place], why) for place, why in long if place not in wide])

    def _count(self, mapped: TableMap, rejected: Sequence[tuple[KeyValues, Rejection]]) -> None:
        for key, why in rejected:
            place = (mapped.source.name, why)
            self._rows[place] += 1
            listed = self._keys.setdefault(place, [])
            if len(listed) < MOST_KEYS:
                listed.append(show_key(encode_key(key)))

    def add_breaking(self, mapped: TableMap, check: str, rows: int, keys: Sequence[KeyValues]) -> None:
        """So many rows break a CHECK that Postgres gets as well; the keys are those of some."""
        if rows:
            why = breaks_check(check)
            self.add(mapped, [(key, why) for key in keys])
            self._rows[mapped.source.name, why] += rows - len(keys)

    def add_orphans(self, foreign_keys: Sequence[Link]) -> None:
        """Until no child is without its parent: an orphan that stays behind may have children of its own."""
        settled = False
        while not settled:
            settled = True
            for link in foreign_keys:
                columns = ", ".join(_source_names(link.child, link.columns))
                detail = f"the parent row in {link.parent.source.name} is missing, or stays behind itself"
                why = Rejection(columns, Reason.ORPHAN, detail, _ORPHAN_REMEDY)
                while keys := self._kept_out.orphans(link.child, link.columns, link.parent, link.parent_columns):
                    self.add(link.child, [(key, why) for key in keys])
                    settled = False

    def findings(self) -> Iterator[Finding]:
        for (table, why), rows in self._rows.items():
            keys = tuple(self._keys[table, why])
            yield Finding(table, why.column, why.reason, why.detail, why.remedy, rows, keys)


def _source_names(mapped: TableMap, targets: Sequence[str]) -> list[str]:
    by_target = {c.target: c.source for c in mapped.columns}
    return [by_target[name] or name for name in targets]
