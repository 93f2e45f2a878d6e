"""What was decided about each column when its table was made, kept with the stream.

SQLite's declared types leave some columns to the data (dates, untyped columns). The data may look different at the next
start, so the decision is remembered rather than taken again.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from cdc.config import Config, TableOptions
from cdc.facts.source_schema import SourceSchema, Table
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.map_tables import map_schema

Decisions = dict[str, dict[str, Any]]


class Left(Protocol):
    """What was decided about columns that are fed no longer."""

    @property
    def source_table(self) -> str:
        """The table that they belonged to in SQLite."""

    @property
    def decided(self) -> Mapping[str, Any]:
        """The decisions by target column."""


def with_leftovers(decided: Mapping[str, Mapping[str, Any]], leftovers: Sequence[Left]) -> Decisions:
    """All that was ever decided and still stands in Postgres: a column that comes back is what it was."""
    known = {table: dict(columns) for table, columns in decided.items()}
    for left in leftovers:
        known[left.source_table] = {**left.decided, **known.get(left.source_table, {})}
    return known


def map_known(schema: SourceSchema, config: Config, known: Mapping[str, Mapping[str, Any]]) -> tuple[TableMap, ...]:
    """The maps of a file that was replicated before, with every decision taken then.

    The configuration may still name what the application dropped since. Raises `MappingError` as `map_schema` does.
    """
    return recall(map_schema(schema, _without_gone(schema, config, known)), known)


def _without_gone(schema: SourceSchema, config: Config, known: Mapping[str, Mapping[str, Any]]) -> Config:
    """The configuration without sections and columns about tables and columns that were there once."""
    once = {name.lower(): _sources(columns) for name, columns in known.items()}
    tables = {
        name: _without_gone_columns(schema.table(name), options, once.get(name.lower(), frozenset()))
        for name, options in config.tables.items()
        if schema.table(name) or name.lower() not in once
    }
    wanted = [name for name in config.replicate.tables if schema.table(name) or name.lower() not in once]
    replicate = msgspec.structs.replace(config.replicate, tables=wanted)
    return msgspec.structs.replace(config, tables=tables, replicate=replicate)


def _sources(columns: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(decision["source"].lower() for decision in columns.values() if decision["source"])


def _without_gone_columns(table: Table | None, options: TableOptions, once: frozenset[str]) -> TableOptions:
    gone = once - {column.name.lower() for column in table.columns} if table else frozenset()
    columns = {name: o for name, o in options.columns.items() if name.lower() not in gone or o.computed}
    return msgspec.structs.replace(options, columns=columns)


def remember(maps: Iterable[TableMap]) -> Decisions:
    """Type and literal form of every column by source table and target column, ready for JSON."""
    return {
        m.source.name: {c.target: {"type": c.type, "literal": c.literal, "source": c.source} for c in m.columns}
        for m in maps
    }


def recall(maps: Iterable[TableMap], decided: Mapping[str, Mapping[str, Any]]) -> tuple[TableMap, ...]:
    """The same maps with the remembered decisions in place of new ones."""
    return tuple(
        replace(m, columns=tuple(_recalled(c, decided.get(m.source.name, {})) for c in m.columns)) for m in maps
    )


def _recalled(column: ColumnMap, decided: Mapping[str, Any]) -> ColumnMap:
    found = decided.get(column.target)
    return replace(column, type=found["type"], literal=found["literal"]) if found else column


def dropped_columns(mapped: TableMap, decided: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Target columns that were fed once and are no longer, because the source column is gone or was renamed."""
    fed = set(mapped.target_columns)
    return [name for name in decided.get(mapped.source.name, {}) if name not in fed]


def without_rekeyed(
    maps: Iterable[TableMap], targets: Mapping[str, TargetTable], known: Container[str]
) -> tuple[TableMap, ...]:
    """The maps without tables known before that have another key than their copy: they wait until it is out of the way.

    Rows of such a copy cannot be found any more, so it is a leftover.
    """
    return tuple(m for m in maps if m.source.name not in known or not has_another_key(m, targets.get(m.target)))


def has_another_key(mapped: TableMap, target: TargetTable | None) -> bool:
    """Whether a table's copy of our making is keyed by other columns than the table is now."""
    if target is None or mapped.adopted:
        return False
    return bool(target.primary_key) and not target.is_keyed_by(mapped.key)
