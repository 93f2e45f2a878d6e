"""Which keys of which tables may not come back once they were deleted, as the configuration says it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from cdc.config import Config, TableOptions
from cdc.facts.source_schema import Column, GuardedKey, KeyKind, Table
from cdc.mapping.names import column_options


def with_guards(tables: Sequence[Table], config: Config) -> tuple[Table, ...]:
    """The tables, each with the keys that it guards: its own, and those of parents that refuse to come back.

    A table without a declared key guards none: SQLite gives its rowids away again.
    """
    by_name = {t.name.lower(): t for t in tables if _refuses(t, config)}
    guards = {t.name: tuple(dict.fromkeys(_guards(t, by_name, config.options(t.name)))) for t in tables}
    return tuple(replace(t, guards=guards[t.name], buries=t.name.lower() in by_name) for t in tables)


def _refuses(table: Table, config: Config) -> bool:
    kept = config.tombstones.days and config.resurrection(table.name) == "refuse"
    return bool(kept) and table.key.kind is not KeyKind.ROWID


def _guards(table: Table, refusing: Mapping[str, Table], options: TableOptions) -> Iterator[GuardedKey]:
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
    for reference in options.references:
        parent = refusing.get(reference.table.lower())
        # They are columns of Postgres: the file can guard those that it has under the same name.
        here = [column.name for name in reference.columns for column in table.columns if _is_fed(column, name, options)]
        if parent is not None and len(here) == len(parent.key.columns):
            yield GuardedKey(parent.name, tuple(here))


def _is_fed(column: Column, name: str, options: TableOptions) -> bool:
    """Whether a column of Postgres is one of the file, as it is there."""
    chosen = column_options(options, column.name)
    return (chosen.target or column.name) == name and not chosen.computed
