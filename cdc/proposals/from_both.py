"""What both databases prove about tables that the application's migrations made in Postgres. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cdc.facts.counted import counted
from cdc.facts.profile import TableProfile
from cdc.facts.source_schema import Column, KeyKind, SourceSchema, Table
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetColumn, TargetSequence, TargetTable
from cdc.mapping.adopted_sequences import is_named_for, unmoved
from cdc.mapping.letter_case import folded
from cdc.mapping.names import in_key
from cdc.proposals.block import TARGET, Block, Exclusion, column_section
from cdc.proposals.kinds_of_tables import (
    is_called_like_migration_list,
    is_migration_list,
    names_migrations,
    referred_to,
    why_left_behind,
)
from cdc.sql_names import quote_literal, toml_text


@dataclass(frozen=True, slots=True)
class There:
    """What Postgres has: all tables of the schema by name, the rows of each, and the sequences."""

    tables: Mapping[str, TargetTable]
    rows: Mapping[str, int]
    sequences: tuple[TargetSequence, ...] = ()

    def table(self, name: str) -> TargetTable | None:
        """The table of that name, else the only one whose name differs by letter case alone."""
        return self.tables.get(found) if (found := _alike(name, self.tables)) else None

    def count(self, target: TargetTable) -> int:
        """How many rows a table has there, before anything is replicated."""
        return self.rows.get(target.name, 0)


def _alike(name: str, names: Iterable[str]) -> str | None:
    listed = list(names)
    near = [other for other in listed if folded(name) == folded(other)]
    return name if name in listed else near[0] if len(near) == 1 else None


# --- tables -----------------------------------------------------------------------------------------------------------


def exclusions(schema: SourceSchema, profiles: Mapping[str, TableProfile], there: There) -> Iterator[Exclusion]:
    """Tables that only SQLite has, and lists of migrations, of which each database keeps its own."""
    referred = referred_to(schema.tables, there.tables.values())
    for table in schema.tables:
        profile, target = profiles[table.name], there.table(table.name)
        if target is None:
            yield Exclusion(table.name, profile.rows, "Postgres has no such table")
        elif folded(table.name) not in referred and _lists_migrations(table.name, profile, there.count(target)):
            others = f"{there.count(target):,}"
            yield Exclusion(table.name, profile.rows, f"a list of migrations; that of Postgres has {others} of its own")


def _lists_migrations(name: str, profile: TableProfile, others: int) -> bool:
    """By a name that nothing else has; or by name and content both, in a Postgres where only migrations wrote rows."""
    alike = is_called_like_migration_list(name) and others > 0 and names_migrations(profile)
    return alike or is_migration_list(name)


def may_stay(tables: Sequence[Table], profiles: Mapping[str, TableProfile], there: There) -> Iterator[Exclusion]:
    """Tables whose content alone is that of a list of migrations, of which Postgres has more rows, or fewer."""
    referred = referred_to(tables, there.tables.values())
    for table in tables:
        profile, target = profiles[table.name], there.table(table.name)
        others = there.count(target) if target else 0
        known = table.foreign_keys or folded(table.name) in referred or why_left_behind(table.name)
        if others not in (0, profile.rows) and names_migrations(profile) and not known:
            own = f"Postgres has {counted(others, 'row')} of its own"
            why = f"it names versions or files, and {own}: a list of migrations, maybe"
            yield Exclusion(table.name, profile.rows, why, choice=True)


def skips(tables: Sequence[Table], there: There) -> Iterator[Block]:
    """What has no place there."""
    for table in tables:
        target = there.table(table.name)
        if target is None:
            continue
        skipped = columns_without_place(table, target)
        if skipped:
            line = f"skip = [{', '.join(toml_text(column.name) for column in skipped)}]"
            yield Block(("tables", table.name), (line,), _why_skipped(table, target, skipped))


def columns_without_place(table: Table, target: TargetTable) -> list[Column]:
    """The columns, but for those that identify the rows, that Postgres does not have or computes by itself."""
    places = ((column, _place(target, column)) for column in table.columns if not in_key(table, column))
    return [column for column, place in places if place is None or place.generated]


def _place(target: TargetTable, column: Column) -> TargetColumn | None:
    name = _alike(column.name, (c.name for c in target.columns))
    return target.column(name) if name else None


def _why_skipped(table: Table, target: TargetTable, skipped: Sequence[Column]) -> str:
    missing = [c.name for c in skipped if _place(target, c) is None]
    computed = [c.name for c in skipped if c.name not in missing]
    told = [f"Postgres has no column for {', '.join(missing)}"] if missing else []
    told += [f"Postgres computes {', '.join(computed)} by itself"] if computed else []
    return f"{table.name}: {'; '.join(told)}."


def dropped_values(tables: Sequence[Table], profiles: Mapping[str, TableProfile], there: There) -> int:
    """How many values stay behind in columns for which Postgres has no place, but for those that SQLite computes."""
    values = 0
    for table in tables:
        target = there.table(table.name)
        for column in columns_without_place(table, target) if target else ():
            profile = profiles[table.name].column(column.name)
            values += profile.present if profile and not column.generated else 0
    return values


# --- what nothing feeds, and what is in the way -----------------------------------------------------------------------


def unfed(maps: Sequence[TableMap], there: There) -> Iterator[tuple[str, Block]]:
    """Columns that only Postgres has and that have no default: what to say first, and a line to begin with."""
    for mapped in maps:
        target = there.tables.get(mapped.target)
        for column in target.columns if target else ():
            open_ = not (column.has_default or column.identity or column.generated)
            if column.name in mapped.target_columns or not open_:
                continue
            place = f"{mapped.source.name}.{column.name}"
            section = column_section(mapped.source.name, column.name)
            if column.not_null:
                why = f"{place} is NOT NULL there without a default, and nothing feeds it"
                sample = f"{why}: write what the application would, in SQL of SQLite; this is a stand-in."
                yield why, Block(section, (f"expression = {toml_text(_stand_in(column))}",), sample, choice=True)
            else:
                why = f"{place} is NULL in every row: nothing feeds it, and it has no default there"
                sample = f"{why}: write what the application asks for; this line says that nothing does."
                yield why, Block(section, ('expression = "NULL"',), sample, choice=True)


def _stand_in(column: TargetColumn) -> str:
    """Some value that a column of that type takes."""
    numbers = ("int2", "int4", "int8", "numeric", "float4", "float8", "bool")
    known = {
        **dict.fromkeys(numbers, "0"),
        "json": "'{}'",
        "jsonb": "'{}'",
        "bytea": "x''",
        "date": "'1970-01-01'",
        "time": "'00:00'",
        "timestamp": "'1970-01-01 00:00:00'",
        "timestamptz": "'1970-01-01 00:00:00Z'",
        "uuid": "'00000000-0000-0000-0000-000000000000'",
    }
    return quote_literal(column.labels[0]) if column.labels else known.get(column.base, "''")


def existing_rows(maps: Sequence[TableMap], there: There) -> Iterator[Block]:
    """What to do about rows that are there before the first copy."""
    held = {mapped.target: rows for mapped in maps if (rows := there.rows.get(mapped.target, 0))}
    if held:
        listed = ", ".join(f"{name} ({rows:,})" for name, rows in held.items())
        why = f"These tables hold rows already: {listed}. With this they are saved to a file, then replaced."
        yield Block(TARGET, ('existing_rows = "replace"',), why, choice=True)


def helper_keys(maps: Sequence[TableMap], there: There) -> Iterator[Block]:
    """A column to find the rows of a table by that has no key on either side; to add it is for a person to decide."""
    for mapped in (m for m in maps if m.source.key.kind is KeyKind.ROWID):
        target = there.tables.get(mapped.target)
        if target and target.owned and not target.partitioned and not target.column(mapped.key[0]):
            why = f"{mapped.source.name}: it has no key. This adds the column {mapped.key[0]} there, until the end."
            yield Block(("tables", mapped.source.name), ("helper_key = true",), why, choice=True)


def sequences(maps: Sequence[TableMap], there: There) -> Iterator[Block]:
    """Sequences that number a key by their name alone."""
    for sequence in unmoved(maps, there.sequences):
        for mapped in (m for m in maps if not sequence.table and is_named_for(sequence.name, m)):
            key = next(column.source or column.target for column in mapped.columns if column.target == mapped.key[0])
            why = f"{mapped.source.name}.{key}: nothing there owns {sequence.name}. This has it go on after the keys."
            line = f"sequence = {toml_text(sequence.name)}"
            yield Block(column_section(mapped.source.name, key), (line,), why, choice=True)


def remarks(maps: Sequence[TableMap], there: There) -> Iterator[str]:
    """What is done without a line of configuration, and what no line can do."""
    for mapped in maps:
        target = there.tables.get(mapped.target)
        if target and target.user_triggers:
            names_ = ", ".join(target.user_triggers)
            yield f"{target.name}: its triggers are disabled while rows are replicated, and given back: {names_}."
    left = [s.name for s in unmoved(maps, there.sequences) if not any(is_named_for(s.name, m) for m in maps)]
    if left:
        yield f"Nothing moves these sequences: {', '.join(left)}. Use setval() before the application goes on there."
