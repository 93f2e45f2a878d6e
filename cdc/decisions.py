"""What was decided about each column when its table was made, kept with the stream.

SQLite's declared types leave some columns to the data (dates, untyped columns). The data may look different at the next
start, so the decision is remembered rather than taken again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from cdc.model import ColumnMap, TableMap

Decisions = dict[str, dict[str, Any]]


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
