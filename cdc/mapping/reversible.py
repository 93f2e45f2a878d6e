"""Which mappings can be reversed: what would become of rows that Postgres changes, if they were written back to SQLite.

A pure function over a mapping, told before anything is copied, because it is the way back that is chosen with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from cdc.facts.source_schema import Column, KeyKind
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.names import in_key
from cdc.mapping.type_names import column_of_type, reading_of
from cdc.values.registry import TYPES

Level = Literal["exact", "equal", "partly"]


@dataclass(frozen=True, slots=True)
class WayBack:
    """How well a table can be reversed.

    `exact` gives every value as it was written; `equal` gives equal ones, some in another form; `partly` cannot carry
    some of what Postgres may hold. `reasons` are for people, one for each kind of finding.
    """

    level: Level
    reasons: tuple[str, ...]


def cannot_go_back(mapped: TableMap, target: TargetTable) -> tuple[str, ...]:
    """Why no row of a table can be written back to SQLite, in words; empty when rows can."""
    twice = not mapped.crosswalk and not target.is_keyed_by(mapped.key)
    unkeyed = f"Postgres may have two rows of one key, for nothing there keeps {', '.join(mapped.key)} unique"
    return (*_never(mapped), *([unkeyed] if twice else []))


def _never(mapped: TableMap) -> Iterator[str]:
    if mapped.crosswalk:
        yield "its key in Postgres does not say which row of SQLite a new one is"
    elif made := [c.target for c in mapped.columns if c.target in mapped.key and _is_computed(mapped, c)]:
        yield f"its key is computed, so that a new row has none in SQLite: {', '.join(made)}"


def way_back(mapped: TableMap) -> WayBack:
    """What of a table can be reversed, and what cannot."""
    lost = [*_never(mapped), *_lost(mapped)]
    rewritten = _named(mapped, "written in another form of the same value", lambda c: _is_rewritten(mapped, c))
    level: Level = "partly" if lost else "equal" if rewritten else "exact"
    return WayBack(level, (*lost, *rewritten))


def computed(mapped: TableMap) -> tuple[str, ...]:
    """Columns of Postgres that are computed for it; once applications write there, they are what those make of them."""
    return tuple(c.target for c in mapped.columns if c.target not in mapped.key and _is_computed(mapped, c))


def carried_back(mapped: TableMap) -> TableMap:
    """The part of a mapping that a way back can carry, which is what must be alike while Postgres is written to."""
    away = computed(mapped)
    return replace(mapped, columns=tuple(c for c in mapped.columns if c.target not in away))


def _lost(mapped: TableMap) -> Iterator[str]:
    yield from _named(mapped, "computed, so that a change there has nowhere to go", lambda c: _is_computed(mapped, c))
    yield from _named(
        mapped, "altered where values do not fit, and stays as altered", lambda c: reading_of(mapped, c).loses
    )
    unfed = [c for c in mapped.source.columns if not c.generated and not _is_fed(mapped, c)]
    if unfed:
        names = ", ".join(c.name for c in unfed)
        yield f"not carried, so that rows made in Postgres get SQLite's default: {names}"
    if needed := [c.name for c in unfed if _must_be_given(mapped, c)]:
        yield f"rows made in Postgres cannot be written, for nothing gives them {', '.join(needed)}"


def _named(mapped: TableMap, what: str, holds: Callable[[ColumnMap], bool]) -> tuple[str, ...]:
    names = [column.target for column in mapped.columns if holds(column)]
    return (f"{what}: {', '.join(names)}",) if names else ()


def _is_computed(mapped: TableMap, column: ColumnMap) -> bool:
    by_rowid = mapped.source.key.kind is KeyKind.ROWID and column.target in mapped.key
    return column.source is None and not by_rowid


def _is_rewritten(mapped: TableMap, column: ColumnMap) -> bool:
    if column.source is None or column.literal:
        return False
    target = column_of_type(column.target, column.type, not_null=False)
    if column.type.endswith("[]"):
        return True
    return bool(reading_of(mapped, column).format) or (target is not None and TYPES[target.base].rewrites)


def _is_fed(mapped: TableMap, column: Column) -> bool:
    return any(c.source is not None and c.source.lower() == column.name.lower() for c in mapped.columns)


def _must_be_given(mapped: TableMap, column: Column) -> bool:
    """Whether SQLite takes no new row without a value: it numbers rows by itself, and knows its own defaults."""
    if in_key(mapped.source, column):
        return mapped.source.key.kind is not KeyKind.INTEGER
    return column.not_null and column.default is None
