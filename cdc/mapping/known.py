"""What was decided about each column when its table was made, kept with the stream.

SQLite's declared types leave some columns to the data (dates, untyped columns). The data may look different at the next
start, so the decision is remembered rather than taken again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from cdc.config import Config, TableOptions
from cdc.config.patterns import is_pattern
from cdc.facts.leftover import Leftover
from cdc.facts.profile import TableProfile
from cdc.facts.source_schema import SourceSchema, Table
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.choices import effective_choice
from cdc.mapping.letter_case import named_as_there
from cdc.mapping.map_tables import map_schema
from cdc.mapping.shares import share_of

Decisions = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class CurrentTables:
    """What is fed now: `fed` with types as decided once, in the order of the file.

    `rekeyed` have another key than their copy of our making, so that its rows cannot be found any more: they wait until
    it is out of the way, as the leftover that it is. `decided` is what of all decisions still counts.
    """

    fed: tuple[TableMap, ...]
    rekeyed: tuple[TableMap, ...]
    decided: Decisions

    @property
    def places(self) -> frozenset[tuple[str, str | None]]:
        """Targets and their columns that are fed, `(table, None)` and `(table, column)`: these are no leftovers."""
        return frozenset((m.target, column) for m in self.fed for column in (None, *m.target_columns))


@dataclass(frozen=True, slots=True)
class KnownTables:
    """What is known of a source's copies: what was decided about their columns, what of them is left over, and the
    tables that stand in Postgres by their names there, of which the `owned` ones are fed already.
    """

    columns: Decisions
    leftovers: tuple[Leftover, ...]
    targets: Mapping[str, TargetTable]
    owned: frozenset[str] = frozenset()

    def named(self, schema: SourceSchema, config: Config) -> Config:
        """The configuration with the names that adopted tables and their columns have in Postgres."""
        return named_as_there(config, schema.tables, self.targets, self.columns, self.owned)

    def current(self, schema: SourceSchema, config: Config) -> CurrentTables:
        """The one answer to which tables are fed now, with which types; whoever asks gets it from here.

        A daemon that has yet to follow a change of the file will come to the same. Raises `MappingError` when a table
        cannot be mapped as configured.
        """
        config = self.named(schema, config)
        decided = self.still_decided(schema, config)
        ever_decided = self.ever_decided(schema, config)
        maps = map_known(schema, config, ever_decided)
        copied = (m for m in maps if m.source.name in ever_decided)
        rekeyed = tuple(m for m in copied if _has_another_key(m, self.targets.get(m.target)))
        return CurrentTables(tuple(m for m in maps if m not in rekeyed), rekeyed, decided)

    def still_decided(self, schema: SourceSchema, config: Config) -> Decisions:
        """The decisions without those about tables that are excluded now and columns that were dropped in Postgres."""
        config = self.named(schema, config)
        adopted_waiting = {w.name for w in schema.waiting if config.adopts(w.name)}  # not ours to leave behind
        return {
            name: self._standing(columns, target_name(config, name))
            for name, columns in self.columns.items()
            if config.replicate.wants(name) and name not in adopted_waiting
        }

    def ever_decided(self, schema: SourceSchema, config: Config) -> Decisions:
        """The decisions that still count, and those about what is left over: it may come back."""
        return with_leftovers(self.still_decided(schema, config), self.leftovers)

    def _standing(self, columns: Mapping[str, Any], target: str) -> dict[str, Any]:
        table = self.targets.get(target)
        return {name: decision for name, decision in columns.items() if table is None or table.column(name)}


def target_name(config: Config, table: str) -> str:
    """What a source table is called in Postgres."""
    return config.options(table).target or table


def with_leftovers(decided: Mapping[str, Mapping[str, Any]], leftovers: Sequence[Leftover]) -> Decisions:
    """All that was ever decided and still stands in Postgres: a column that comes back is what it was."""
    decisions = {table: dict(columns) for table, columns in decided.items()}
    for leftover in leftovers:
        # What is decided for a column that is fed wins over what was left behind under its name.
        decisions[leftover.source_table] = {**leftover.decided, **decisions.get(leftover.source_table, {})}
    return decisions


def map_known(schema: SourceSchema, config: Config, decided: Mapping[str, Mapping[str, Any]]) -> tuple[TableMap, ...]:
    """The maps of a file that was replicated before, with every decision taken then.

    The configuration may still name what the application dropped since. Raises `MappingError` as `map_schema` does.
    """
    return recall(map_anew(schema, config, decided), decided)


def map_anew(
    schema: SourceSchema,
    config: Config,
    decided: Mapping[str, Mapping[str, Any]],
    profiles: Mapping[str, TableProfile] | None = None,
) -> tuple[TableMap, ...]:
    """The maps of a file that was replicated before, as if nothing had been decided then.

    Raises `MappingError` as `map_schema` does, but for what the application dropped since.
    """
    maps = map_schema(schema, _without_gone(schema, config, decided), profiles)
    # By the configuration as it stands: rows of a table that is gone are still not those of the others.
    return tuple(replace(m, share=share_of(m.source.name, config)) for m in maps)


def _without_gone(schema: SourceSchema, config: Config, decided: Mapping[str, Mapping[str, Any]]) -> Config:
    """The configuration without sections and columns about tables and columns that were there once."""
    once = {
        name.lower(): frozenset(decision["source"].lower() for decision in columns.values() if decision["source"])
        for name, columns in decided.items()
    }
    tables = {
        name: _without_gone_columns(schema.table(name), options, once.get(name.lower(), frozenset()))
        for name, options in config.tables.items()
        if schema.table(name) or name.lower() not in once
    }
    names = [name for name in config.replicate.tables if schema.table(name) or name.lower() not in once]
    # What it left out may be gone too, and another table have nearly its name by now.
    there = {name.lower() for name in schema.names}
    excluded = [name for name in config.replicate.exclude if name.lower() in there or is_pattern(name)]
    replicate = msgspec.structs.replace(config.replicate, tables=names, exclude=excluded)
    return msgspec.structs.replace(config, tables=tables, replicate=replicate)


def _without_gone_columns(table: Table | None, options: TableOptions, once: frozenset[str]) -> TableOptions:
    gone = once - {column.name.lower() for column in table.columns} if table else frozenset()
    columns = {name: o for name, o in options.columns.items() if name.lower() not in gone or o.computed}
    return msgspec.structs.replace(options, columns=columns)


def remember(maps: Iterable[TableMap], targets: Mapping[str, TargetTable] | None = None) -> Decisions:
    """What is decided of every column by source table and target column, ready for JSON.

    `targets` are asked for the types of tables that others made.
    """
    return {m.source.name: {c.target: _decision(m, c, (targets or {}).get(m.target)) for c in m.columns} for m in maps}


def _decision(mapped: TableMap, column: ColumnMap, target: TargetTable | None) -> dict[str, Any]:
    now = {"type": column.type, "literal": column.literal}
    provisional = {"provisional": True} if column.provisional else {}
    held = column.held
    # What the column is yet to become is kept beside what it is: rows are read by the one or the other, never between.
    standing = {"type": held.type, "literal": held.literal, "next": {**now, **provisional}} if held else now
    choice = dict(effective_choice(mapped, column, target).options)
    return {**standing, **({} if held else provisional), "source": column.source, "choice": choice}


def outgrown(decided: Mapping[str, Mapping[str, Any]], places: Iterable[tuple[str, str]]) -> Decisions:
    """The decisions once values did not fit some columns, by source table and target: provisional types are void."""
    found = set(places)
    return {
        name: {
            column: {**decision, "outgrown": True}
            if (name, column) in found and decision.get("provisional")
            else dict(decision)
            for column, decision in columns.items()
        }
        for name, columns in decided.items()
    }


def for_good(decision: Mapping[str, Any]) -> dict[str, Any]:
    """A decision that values which do not fit change no more."""
    return {key: value for key, value in decision.items() if key not in ("provisional", "outgrown")}


def retyped(decided: Mapping[str, Mapping[str, Any]], tables: Iterable[str]) -> Decisions:
    """The decisions once the columns of some source tables are what they were yet to become."""
    done = set(tables)
    return {
        name: {column: _once_retyped(decision) if name in done else decision for column, decision in columns.items()}
        for name, columns in decided.items()
    }


def _once_retyped(decision: Mapping[str, Any]) -> dict[str, Any]:
    if "next" not in decision:
        return dict(decision)
    rest = {key: value for key, value in decision.items() if key not in ("next", "provisional")}
    return {**rest, **decision["next"]}


def recall(maps: Iterable[TableMap], decided: Mapping[str, Mapping[str, Any]]) -> tuple[TableMap, ...]:
    """The same maps with the remembered decisions in place of new ones."""
    return tuple(
        replace(m, columns=tuple(_recalled(c, decided.get(m.source.name, {})) for c in m.columns)) for m in maps
    )


def _recalled(column: ColumnMap, decided: Mapping[str, Any]) -> ColumnMap:
    decision = decided.get(column.target)
    if decision is None:
        return column
    provisional = bool(decision.get("provisional"))
    return replace(column, type=decision["type"], literal=decision["literal"], provisional=provisional)


def dropped_columns(mapped: TableMap, decided: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Target columns that were fed once and are no longer, because the source column is gone or was renamed."""
    fed = set(mapped.target_columns)
    return [name for name in decided.get(mapped.source.name, {}) if name not in fed]


def gone_columns(mapped: TableMap, decided: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Those of the dropped ones that the source table has no more; the operator may have named others in `skip`."""
    known, there = decided.get(mapped.source.name, {}), {column.name.lower() for column in mapped.source.columns}
    lost = ((name, known[name]["source"]) for name in dropped_columns(mapped, decided))
    return [name for name, source in lost if source and source.lower() not in there]


def _has_another_key(mapped: TableMap, target: TargetTable | None) -> bool:
    """Whether a table's copy of our making is keyed by other columns than the table is now."""
    if target is None or mapped.adopted:
        return False
    return bool(target.primary_key) and not target.is_keyed_by(mapped.key)
