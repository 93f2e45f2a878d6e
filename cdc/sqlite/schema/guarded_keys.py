"""Which keys of which tables may not come back once they were deleted, as the configuration says it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cdc.config import Config
from cdc.facts.source_schema import GuardedKey, KeyKind, Table


def with_guards(tables: Sequence[Table], config: Config) -> tuple[Table, ...]:
    """The tables, each with the keys that it guards: its own, and those of parents that refuse to come back.

    A table without a declared key guards none: SQLite gives its rowids away again.
    """
    by_name = {t.name.lower(): t for t in tables if _refuses(t, config)}
    return tuple(replace(t, guards=tuple(_guards(t, by_name)), buries=t.name.lower() in by_name) for t in tables)


def _refuses(table: Table, config: Config) -> bool:
    kept = config.tombstones.days and config.resurrection(table.name) == "refuse"
    return bool(kept) and table.key.kind is not KeyKind.ROWID


def _guards(table: Table, refusing: dict[str, Table]) -> Iterator[GuardedKey]:
    if table.name.lower() in refusing:
        yield GuardedKey(table.name, table.key.columns)
    for key in table.foreign_keys:
        parent = refusing.get(key.parent.lower())
        if parent is None:
            continue
        columns = {theirs.lower(): ours for theirs, ours in zip(key.parent_columns, key.columns, strict=True)}
        wanted = [column.lower() for column in parent.key.columns]
        if set(wanted) == set(columns):
            yield GuardedKey(parent.name, tuple(columns[column] for column in wanted))
