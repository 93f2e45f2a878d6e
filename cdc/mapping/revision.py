"""Which columns are mapped otherwise than they were: by the operator, or by data that outgrew a provisional type.

A decision counts until the choice that it was made by is another one. What an older version decided has no choice on
record, and counts as unchanged.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cdc.errors import MappingError
from cdc.facts.profile import ColumnProfile, TableProfile
from cdc.facts.table_map import ColumnMap, HeldType, TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.choices import Choice, effective_choice
from cdc.sql_names import heading

_READ_BY = ("empty", "format", "on_invalid", "type")  # what decides which keys are one and the same


@dataclass(frozen=True, slots=True)
class Outdated:
    """A column whose decision may not count any more: `keys` of its choice changed, or a value `outgrew` its type.

    `begun` is the type that it was to get when somebody looked last.
    """

    mapped: TableMap
    column: ColumnMap
    keys: tuple[str, ...]
    before: Choice
    outgrown: bool
    begun: HeldType | None

    @property
    def place(self) -> tuple[str, str]:
        """The table's name in SQLite, and the column's in Postgres."""
        return self.mapped.source.name, self.column.target

    @property
    def decides(self) -> bool:
        """Whether its type has to be decided anew."""
        return self.outgrown or "type" in self.keys


@dataclass(frozen=True, slots=True)
class Revision:
    """What becomes of an outdated column: `held` is what Postgres has, `wanted` what it is to be.

    `keys` are those of the configuration that changed, none where the data has the word. An `empty` column is NULL in
    every row of Postgres. The table `waits` when rows of it are in quarantine.
    """

    table: str
    target: str
    column: str
    keys: tuple[str, ...]
    held: HeldType
    wanted: HeldType
    provisional: bool
    adopted: bool
    empty: bool = False
    waits: bool = False

    @property
    def retypes(self) -> bool:
        """Whether the column of Postgres becomes another; one that others made is used as it is."""
        return self.held != self.wanted and not self.adopted

    @property
    def compares(self) -> bool:
        """Whether the table has to be compared as a whole."""
        return self.is_read_otherwise or self.waits or (self.retypes and not self.empty)

    @property
    def is_read_otherwise(self) -> bool:
        """Whether values become others although the type stays: the name of a type alone says nothing of them."""
        return self.held.literal != self.wanted.literal or bool(set(self.keys) - {"type"})

    def given_up(self) -> "Revision":
        """What becomes of the column when it has to stay as it is."""
        return replace(self, wanted=self.held, provisional=False)

    def to_json(self) -> dict[str, Any]:
        """What programs are told of it, its keys a contract; `is` and `becomes` are types of Postgres."""
        return {
            "table": self.table,
            "column": self.column,
            "is": str(self.held),
            "becomes": str(self.wanted),
            "keys": list(self.keys),
            "compares": self.compares,
            "text": str(self),
        }

    def __str__(self) -> str:
        why = f"{', '.join(self.keys)} changed" if self.keys else "its values need it"
        if self.retypes:
            return f"{self.table}.{self.column} becomes {self.wanted}, it is {self.held}: {why}"
        if self.is_read_otherwise:
            return f"{self.table}.{self.column} is read otherwise: {why}"
        why = why if self.keys else "no type holds all of its values"
        return f"{self.table}.{self.column} stays {self.held}: {why}"


def outdated(
    maps: Iterable[TableMap], decided: Mapping[str, Mapping[str, Any]], targets: Mapping[str, TargetTable]
) -> Iterator[Outdated]:
    """The columns whose decision may not count any more, by what is remembered of them."""
    for mapped in maps:
        known = decided.get(mapped.source.name, {})
        for column in (c for c in mapped.columns if c.target in known):
            decision = known[column.target]
            now = effective_choice(mapped, column, targets.get(mapped.target))
            before = Choice(decision.get("choice", now.options))
            begun = decision.get("next")
            found = Outdated(
                mapped,
                replace(column, provisional=bool((begun or decision).get("provisional"))),
                now.changes(before),
                before,
                bool(decision.get("outgrown")),
                HeldType(begun["type"], begun["literal"]) if begun else None,
            )
            if found.keys or found.outgrown or found.begun:
                yield found


def left_to_data(found: Sequence[Outdated], anew: Sequence[TableMap]) -> dict[str, list[str]]:
    """The source columns that have to be looked at, by table; `anew` are the maps as if nothing had been decided."""
    columns: dict[str, list[str]] = {}
    for each in (each for each in found if each.decides):
        fresh = _column(anew, each)
        if fresh.provisional and fresh.source:
            columns.setdefault(each.mapped.source.name, []).append(fresh.source)
    return columns


def revisions(
    found: Sequence[Outdated], anew: Sequence[TableMap], profiles: Mapping[str, TableProfile]
) -> tuple[Revision, ...]:
    """What becomes of outdated columns; `anew` are the maps as if nothing had been decided but by those `profiles`.

    Raises `MappingError` where the operator asks for what cannot be done to a table with rows.
    """
    made = []
    for each in found:
        fresh, referred = _column(anew, each), is_referred(each.mapped, each.column, anew)
        revision = _revision(each, fresh, profiles.get(each.mapped.source.name), referred=referred)
        _refuse(each, revision, referred=referred)
        made.append(revision)
    return tuple(made)


def _revision(found: Outdated, fresh: ColumnMap, profile: TableProfile | None, *, referred: bool) -> Revision:
    held = found.column.held or HeldType(found.column.type, found.column.literal)
    wanted, provisional = found.begun or held, found.column.provisional
    content = profile.column(fresh.source) if profile and fresh.source else None
    if found.decides:
        wanted = HeldType(fresh.type, fresh.literal)
        provisional = _is_provisional(content, held, wanted)
        if found.outgrown and content is not None and not content.present:
            wanted, provisional = held, True  # what came is gone again
        elif found.outgrown and referred:
            wanted, provisional = held, False
    if found.mapped.adopted:
        wanted = HeldType(held.type, fresh.literal)
    name = found.column.source or found.column.target
    return Revision(
        found.mapped.source.name,
        found.column.target,
        name,
        found.keys,
        held,
        wanted,
        provisional,
        found.mapped.adopted,
    )


def _is_provisional(content: ColumnProfile | None, held: HeldType, wanted: HeldType) -> bool:
    """Whether values to come may decide once more: not where they could not get anything else."""
    if content is None:
        return False
    return not content.present or (wanted != held and not wanted.literal)


def revised(maps: Iterable[TableMap], made: Sequence[Revision]) -> Iterator[TableMap]:
    """The maps as they are to be."""
    by_place = {(revision.table, revision.target): revision for revision in made}
    for mapped in maps:
        columns = tuple(_revised(c, by_place.get((mapped.source.name, c.target))) for c in mapped.columns)
        yield replace(mapped, columns=columns)


def _revised(column: ColumnMap, revision: Revision | None) -> ColumnMap:
    if revision is None:
        return column
    wanted, held = revision.wanted, revision.held if revision.retypes and not revision.empty else None
    return replace(column, type=wanted.type, literal=wanted.literal, provisional=revision.provisional, held=held)


def once_decided(maps: Iterable[TableMap], anew: Sequence[TableMap]) -> Iterator[TableMap]:
    """The maps with provisional types as the data decides them that `anew` were made by."""
    by_name = {m.source.name: {c.target: c for c in m.columns} for m in anew}
    for mapped in maps:
        fresh = by_name[mapped.source.name]
        columns = tuple(
            replace(c, type=fresh[c.target].type, literal=fresh[c.target].literal, provisional=False, held=None)
            if c.provisional
            else replace(c, held=None)
            for c in mapped.columns
        )
        yield replace(mapped, columns=columns)


def _column(maps: Sequence[TableMap], found: Outdated) -> ColumnMap:
    mapped = next(m for m in maps if m.source.name == found.mapped.source.name)
    return next(c for c in mapped.columns if c.target == found.column.target)


# --- what cannot be done ----------------------------------------------------------------------------------------------


def _refuse(found: Outdated, revision: Revision, *, referred: bool) -> None:
    """Raises `MappingError` when rows could not be found any more, or would lose what they refer to."""
    is_key = found.column.target in found.mapped.key
    if is_key and (revision.retypes or (found.column.source and set(found.keys) & set(_READ_BY))):
        why = "rows are found by it"
    elif revision.retypes and referred:
        why = "a foreign key has it"
    else:
        return
    section = heading("tables", found.mapped.source.name, "columns", revision.column)
    raise MappingError(
        f"{section}: {', '.join(found.keys)} cannot be changed once rows were copied: {why}",
        remedy=f"write {found.before.written(found.keys)} there, as it was",
    )


def is_referred(mapped: TableMap, column: ColumnMap, maps: Iterable[TableMap]) -> bool:
    """Whether a column is an end of a foreign key, in SQLite or by the configuration."""
    if any(column.target in reference.columns for reference in mapped.references):
        return True
    name = (column.source or "").lower()
    if any(name in map(str.lower, key.columns) for key in mapped.source.foreign_keys):
        return True
    parents = (key for m in maps for key in m.source.foreign_keys if key.parent.lower() == mapped.source.name.lower())
    return any(name in map(str.lower, key.parent_columns) for key in parents)
