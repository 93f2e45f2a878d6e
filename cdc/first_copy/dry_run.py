"""Which rows of a copy the load would keep out: all are converted as the load converts them, and go nowhere."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cdc.facts.changes import Reason, Rejection
from cdc.facts.proposal import Proposal
from cdc.facts.row_key import encode_key
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.facts.values import KeyValues, Row
from cdc.first_copy.rehearsal_notes import Finding, RehearsalNotes
from cdc.mapping.remedies import choices
from cdc.mapping.type_names import column_of_type
from cdc.postgres.ddl.check_constraints import CheckConstraint, checks
from cdc.postgres.ddl.foreign_keys import Link, links
from cdc.sqlite.connection.open import open_copy
from cdc.sqlite.rows.broken_checks import breaking
from cdc.sqlite.rows.select import chunks
from cdc.sqlite.rows.source_orphans import KeptOut, Reference
from cdc.values.column_rules import encoder_for
from cdc.values.converter import Converted, TableConverter, compile_converter
from cdc.values.sizes import Sizes

CHUNK_ROWS: Final = 256
CHUNK_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Unknown:
    """A column whose type only the database knows, so that nothing could be tried."""

    table: str
    column: str
    type: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What became of every row. `unknown` are columns that could not be tried.

    `held` are all rows that stay behind, each once; `frees` says by cause how many of them would not if that cause
    alone were gone, children among them.
    `altered` counts values that became others by a chosen outcome, by source table and target column; `tight` the rows
    that an ordinary index may have no room for, by source table and index.
    """

    findings: tuple[Finding, ...] = ()
    held: int = 0
    frees: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[Unknown, ...] = ()
    altered: Mapping[tuple[str, str], int] = field(default_factory=dict)
    tight: Mapping[tuple[str, str], int] = field(default_factory=dict)


NOT_REHEARSED: Final = Rehearsal()


def rehearse_load(
    database: Path,
    maps: Sequence[TableMap],
    adopted: Mapping[str, TargetTable] | None = None,
    proposals: Sequence[Proposal] = (),
) -> Rehearsal:
    """Convert every row of a copy. Orphans include the children of rows that stay behind.

    Findings about values come with those of the `proposals` that hold them.
    Targets that are not among the `adopted` ones, by name, are taken as they will be made.
    """
    targets = adopted or {}
    unknown: list[Unknown] = []
    tries: dict[str, _Tried] = {}
    altered = Counter[tuple[str, str]]()
    tight = Counter[tuple[str, str]]()
    connection = open_copy(database)

    def read(mapped: TableMap) -> Iterator[list[Row]]:
        return chunks(connection, mapped, CHUNK_ROWS, CHUNK_BYTES)

    try:
        notes = RehearsalNotes(KeptOut(connection, maps))
        for mapped in maps:
            target = targets.get(mapped.target) if mapped.adopted else _to_be_made(mapped, unknown)
            if target and (tried := _fed(mapped, target)):
                fed = tuple(c for c in target.columns if c.name in tried.target_columns)
                converter = compile_converter(tried, replace(target, columns=fed))
                tries[mapped.source.name] = _Tried(read, tried, target)
                sizes = Sizes(tried, target)
                for chunk in read(tried):
                    converted = converter.rows(chunk)
                    if converted.rejected:
                        notes.add(mapped, _every_reason(mapped, converter, chunk, converted))
                    altered.update({(mapped.source.name, name): n for name, n in converted.altered.items()})
                    notes.add_large(mapped, converted, sizes)
                    tight.update({(mapped.source.name, name): n for name, n in sizes.tight_indexes(converted.rows)})
        for mapped in (m for m in maps if not m.adopted):
            for check in (c.source for c in checks(mapped) if isinstance(c, CheckConstraint)):
                notes.add_breaking(mapped, check, *breaking(connection, mapped.source, check))
        # Last: what stays behind for any other reason leaves orphans.
        keys = [*(link for link in links(maps) if isinstance(link, Link)), *_adopted_links(maps, targets)]
        notes.add_orphans([Reference(key.child, key.columns, key.parent, key.parent_columns) for key in keys])
        held, frees = notes.counts()
        findings = tuple(
            f if f.table not in tries else tries[f.table].with_choices(f, proposals) for f in notes.findings()
        )
    finally:
        connection.close()
    return Rehearsal(findings, held, frees, tuple(unknown), altered, tight)


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


@dataclass(frozen=True, slots=True)
class _Tried:
    """A table whose rows were converted for that target; `rows` reads all of a copy, as a map says."""

    rows: Callable[[TableMap], Iterator[list[Row]]]
    mapped: TableMap
    target: TargetTable

    def with_choices(self, finding: Finding, proposals: Sequence[Proposal]) -> Finding:
        """A finding about values with what would hold them."""
        if finding.reason is not Reason.VALUE:
            return finding
        mapped = self.mapped
        column = next(c for c in mapped.columns if c.target == finding.column)
        target = self.target.column(finding.column)
        assert target is not None, "a column that was tried is there"
        alone = self.rows(replace(mapped, columns=(column,)))
        values = ([row[-1] for row in chunk] for chunk in alone)
        return replace(finding, choices=choices(values, mapped, column, target, proposals))


def _every_reason(
    mapped: TableMap, converter: TableConverter, chunk: Sequence[Row], converted: Converted
) -> list[tuple[KeyValues, Rejection]]:
    """All that is wrong with the rejected rows of a chunk: to mend one of two columns frees no row."""
    width, rejected = mapped.source_key_width, {encode_key(key) for key, _ in converted.rejected}
    rows = (row for row in chunk if encode_key(row[:width]) in rejected)
    return [(row[:width], why) for row in rows for why in converter.reasons(row)]
