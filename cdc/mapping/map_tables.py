"""Which Postgres type holds a SQLite column, and what in the data may not fit: facts in, decisions out.

The declared type decides wherever SQLite itself gives it a meaning (affinity, https://www.sqlite.org/datatype3.html).
Where it gives none (dates, JSON, untyped columns, unknown names) the data decides, and only among types that hold every
value that is there exactly.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.facts.profile import ColumnProfile, TableProfile, TextForms
from cdc.facts.source_schema import Affinity, Column, KeyKind, SourceSchema, Table
from cdc.facts.table_map import ColumnMap, Referring, TableMap, ValueRules
from cdc.mapping.check import ROWID_COLUMN, check, refuse_twins, refuse_unfit_references
from cdc.mapping.choices import choice_of
from cdc.mapping.configured import refuse_missing, refuse_unfit_formats, refuse_unknown, type_rules
from cdc.mapping.held_values import holds
from cdc.mapping.names import column_options, has, in_key, same
from cdc.mapping.shares import share_of
from cdc.mapping.type_names import canonical_type
from cdc.sql_names import heading, quote
from cdc.values import json_schema, user_functions
from cdc.values.booleans import BOOLEAN
from cdc.values.documents import JSONB
from cdc.values.family import PostgresType
from cdc.values.numbers import BIGINT, DOUBLE, NUMERIC
from cdc.values.registry import FORMATS
from cdc.values.texts import BYTEA, TEXT
from cdc.values.times import WRITTEN, is_temporal, type_of_declared

Decision = tuple[str, bool]  # the type, and whether the column holds literals

JSON_NAMES: Final = ("JSON", "JSONB")
LITERAL: Final = "literal"  # what an operator writes as `type` to keep any value as its SQL literal, in a text column
# Wherever the letters INT are SQLite sees an integer; people do in such words only, and in POINT or INTERVAL none.
_INTEGER_WORD: Final = re.compile("(?<![A-Z])U?(?:TINY|SMALL|MEDIUM|BIG|LONG|HUGE)?INT(?:EGER)?(?![A-Z])")
_POINT: Final = re.compile("(?:MULTI)?POINT ?Z?M?")  # a geometry: neither numbers nor texts of numbers
_NUMBER_NAMES: Final = ("NUMERIC", "DECIMAL", "NUMBER", "MONEY", "DEC")
# What holds every value of a storage class.
_BY_AFFINITY: Final = {
    Affinity.INTEGER: BIGINT.name,
    Affinity.REAL: DOUBLE.name,
    Affinity.TEXT: TEXT.name,
    Affinity.BLOB: BYTEA.name,
}

# A value of each kind: where the decision is the same for all of them, the declared type has made it.
_KINDS: Final = (
    ColumnProfile("", integer=1),
    ColumnProfile("", text=1, forms=TextForms(other=1)),
    ColumnProfile("", blob=1),
)


def map_schema(
    schema: SourceSchema, config: Config, profiles: Mapping[str, TableProfile] | None = None
) -> tuple[TableMap, ...]:
    """The maps of all tables of a schema in its order; `profiles` are by source name.

    Raises `MappingError` as `map_table` does, and when two tables go to one target or the configuration names a
    table that is not there or reads a type in a way that it cannot be.
    """
    refuse_missing(schema, config)
    refuse_unfit_formats(config)
    maps = tuple(map_table(t, config, (profiles or {}).get(t.name)) for t in schema.tables)
    shared = {m.target for m in maps if m.share}
    refuse_twins([*shared, *(m.target for m in maps if not m.share)], "tables")
    refuse_unfit_references(maps, {w.name.lower() for w in schema.waiting})
    return maps


def map_table(table: Table, config: Config, profile: TableProfile | None = None) -> TableMap:
    """The target of a table and its columns; without a profile, columns whose type the data decides count as empty.

    Raises `MappingError` when a name, a type or the key cannot be taken as configured.
    """
    options = config.options(table.name)
    refuse_unknown(table, options, config.own_options(table.name))
    adopted = config.adopts(table.name)
    skipped = {name.lower() for name in options.skip}
    columns = [_map_column(table, c, options, profile) for c in table.columns if c.name.lower() not in skipped]
    if adopted:  # literals stand only where the operator wants them: the column is not ours to choose
        columns = [
            replace(
                c,
                literal=c.literal and column_options(options, c.source or c.target).type == LITERAL,
                provisional=False,
            )
            for c in columns
        ]
    # What a pattern says of a column concerns the tables that have it.
    extra = {name: o for name, o in options.columns.items() if o.computed and not has(table, name)}
    columns += [_extra_column(table, name, o) for name, o in extra.items()]
    own_key = tuple(c.target for name in table.key.columns for c in columns if same(c.source, name))
    by_rowid = table.key.kind is KeyKind.ROWID and not options.target_key
    if by_rowid:
        rowid = _rowid_column(table, columns)
        columns, own_key = [rowid, *columns], (rowid.target,)
    key = tuple(options.target_key) or own_key
    mapped = TableMap(
        source=table,
        schema=config.target.schema,
        target=options.target or table.name,
        columns=tuple(columns),
        key=key,
        adopted=adopted,
        helper_key=adopted and by_rowid and options.helper_key,
        formats=type_rules(config),
        references=tuple(Referring(tuple(r.columns), r.table, r.on_delete.upper()) for r in options.references),
        share=share_of(table.name, config),
        crosswalk=key != own_key or any(c.reading != ValueRules() for c in columns if c.target in key),
    )
    check(mapped)
    return mapped


def _map_column(table: Table, column: Column, options: TableOptions, profile: TableProfile | None) -> ColumnMap:
    chosen = column_options(options, column.name)
    content = (profile.column(column.name) if profile else None) or ColumnProfile(column.name)
    type_ = _chosen_type(chosen)
    decision = _read_type(type_) if type_ else _decide(column, in_key(table, column), content)
    source = None if chosen.computed else column.name
    mapped = _configured_column(table, column.name, chosen, decision, source=source, otherwise=quote(column.name))
    # A key and what refers to one stay as they are: rows are found by them.
    free = not (type_ or chosen.computed or in_key(table, column) or _refers(table, column))
    return replace(mapped, provisional=free and not content.present and _data_decides(column))


def _refers(table: Table, column: Column) -> bool:
    return any(same(column.name, name) for key in table.foreign_keys for name in key.columns)


def _data_decides(column: Column) -> bool:
    """Whether `_decide` goes by what the column holds."""
    return len({_decide(column, in_key=False, content=content) for content in _KINDS}) > 1


def _extra_column(table: Table, name: str, chosen: ColumnOptions) -> ColumnMap:
    """A column that Postgres alone has."""
    decision = _read_type(_chosen_type(chosen) or TEXT.name)
    return _configured_column(table, name, chosen, decision, source=None, otherwise="NULL")


def _chosen_type(chosen: ColumnOptions) -> str:
    """The type that the operator chose, be it by naming a format that has one, or a schema; empty for none."""
    usual = FORMATS[chosen.format].usual if chosen.format else None
    return chosen.type or (usual.name if usual else JSONB.name if chosen.schema else "")


def _read_type(type_: str) -> Decision:
    """The type as this project writes it, and whether the column holds literals."""
    return (TEXT.name, True) if type_ == LITERAL else (canonical_type(type_), False)


def _configured_column(
    table: Table, name: str, chosen: ColumnOptions, decision: Decision, *, source: str | None, otherwise: str
) -> ColumnMap:
    """A column computed by the function or the expression that the operator chose, `otherwise` by this expression."""
    section = heading("tables", table.name, "columns", name)
    expression, function = chosen.expression or otherwise, None
    if chosen.python:
        function = user_functions.load(section, chosen.python, [c.name for c in table.columns])
        expression = f"{quote(function.name)}({', '.join(map(quote, function.columns))})"
    type_, literal = decision
    schema = json_schema.read(section, chosen.schema) if chosen.schema else ""
    chosen_type = _chosen_type(chosen)
    return ColumnMap(
        target=chosen.target or name,
        expression=expression,
        type=type_,
        source=source,
        literal=literal,
        reading=ValueRules(chosen.format or "", chosen.on_invalid or ValueRules().on_invalid, chosen.empty),
        own_outcome=chosen.on_invalid is not None,
        schema=schema,
        function=function,
        choice=choice_of(chosen, LITERAL if literal and chosen_type else chosen_type and type_, schema),
        sequence=chosen.sequence or "",
    )


def _rowid_column(table: Table, columns: list[ColumnMap]) -> ColumnMap:
    name = ROWID_COLUMN
    while any(same(c.target, name) for c in columns):
        name += "_"
    return ColumnMap(name, quote(table.key.columns[0]), BIGINT.name)


def _decide(column: Column, in_key: bool, content: ColumnProfile) -> Decision:
    declared = column.declared_type.strip().upper()
    if declared in ("", "ANY"):
        return _untyped(content, in_key)
    name = declared.partition("(")[0].strip()
    if column.affinity is Affinity.INTEGER and not _INTEGER_WORD.search(declared):
        return _integer_by_its_letters(name, content)
    if column.affinity is not Affinity.NUMERIC:
        return _BY_AFFINITY[column.affinity], False
    if is_temporal(name):
        return _temporal(name, in_key, content)
    if name in JSON_NAMES:
        return _document(in_key, content)
    fixed = BOOLEAN if name in ("BOOLEAN", "BOOL") else NUMERIC if name.startswith(_NUMBER_NAMES) else None
    return (fixed.name, False) if fixed else _unknown_name(content)


def _untyped(content: ColumnProfile, in_key: bool) -> Decision:
    """The one storage class of all values; with several or none, only the literal holds whatever may come.

    In a key reals are literals too: an integer that comes later is another key, and would be the same double.
    """
    for count, affinity in (
        (content.integer, Affinity.INTEGER),
        (content.real, Affinity.REAL),
        (content.text, Affinity.TEXT),
        (content.blob, Affinity.BLOB),
    ):
        if count and count == content.present and not (in_key and affinity is Affinity.REAL):
            return _BY_AFFINITY[affinity], False
    return TEXT.name, True


def _unknown_name(content: ColumnProfile) -> Decision:
    """UUID, STRING, ENUM: for SQLite these are NUMERIC, for people mostly text; numbers decide for numeric."""
    if content.present == content.text:
        return TEXT.name, False
    if content.present == content.integer + content.real:
        return NUMERIC.name, False
    return (BYTEA.name, False) if content.present == content.blob else (TEXT.name, True)


def _integer_by_its_letters(name: str, content: ColumnProfile) -> Decision:
    """INTERVAL, FLOATING POINT: SQLite makes integers of numbers there, and nobody may have meant any."""
    only_integers = content.present == content.integer
    if only_integers and not (_POINT.fullmatch(name) and not content.present):
        return BIGINT.name, False
    return _unknown_name(content)


def _temporal(name: str, in_key: bool, content: ColumnProfile) -> Decision:
    """The first type that holds every value exactly. Two texts for one instant are two keys, so keys stay text."""
    if not content.present:
        type_ = None if in_key else type_of_declared(name)
        return (type_ or TEXT).name, False
    return _first_that_holds(
        content,
        *((written.type_, getattr(content.forms, written.form), in_key) for written in WRITTEN),
        (BIGINT, content.integer, False),
        (DOUBLE, content.integer + content.real, content.big > 0),
        (TEXT, content.text, False),
    )


def _document(in_key: bool, content: ColumnProfile) -> Decision:
    """The same for JSON; a document that is a bare number is a number in SQLite. Two texts can be one document."""
    return _first_that_holds(
        content,
        (JSONB, holds(content)[JSONB.name], in_key),
        (TEXT, content.text, False),
        (BYTEA, content.blob, False),
        (BIGINT, content.integer, False),
    )


def _first_that_holds(content: ColumnProfile, *candidates: tuple[PostgresType, int, bool]) -> Decision:
    """Of types, how many values each of them holds, and whether it is ruled out, the first that will do."""
    for type_, count, ruled_out in candidates:
        if count == content.present and not ruled_out:
            return type_.name, False
    return TEXT.name, True
