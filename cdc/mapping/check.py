"""What a mapping must not ask for, each told with the section that asks for it. Pure."""

import re
from collections.abc import Container, Iterable, Sequence
from typing import Final

from cdc.errors import MappingError, did_you_mean
from cdc.facts.source_schema import Affinity
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.mapping.type_names import column_of_type
from cdc.sql_names import heading
from cdc.values.booleans import BOOLEAN
from cdc.values.column_rules import problem_with
from cdc.values.documents import is_document
from cdc.values.numbers import BIGINT, DOUBLE, NUMERIC
from cdc.values.texts import BYTEA, TEXT

LONGEST_NAME_BYTES: Final = 63
MOST_COLUMNS: Final = 1597  # Postgres allows 1600, of which the stage of a table needs some for itself
MOST_KEY_COLUMNS: Final = 32
# In any other type two keys that SQLite keeps apart could be one.
KEY_TYPES: Final = tuple(type_.name for type_ in (BIGINT, TEXT, DOUBLE, BYTEA, BOOLEAN, NUMERIC))

ROWID_COLUMN: Final = "_cdc_rowid"

_OURS: Final = "_cdc_"
SYSTEM_COLUMNS: Final = ("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
_TYPE_TEXT: Final = re.compile(r'["\w]["\w. ]*(\( *\d+ *(, *-?\d+ *)?\))?[\w ]*(\[\])*')


def check(mapped: TableMap) -> None:
    """Raises `MappingError` when Postgres cannot have that table: its names, types, sizes or key."""
    table = mapped.source.name
    _check_name(mapped.target, f"table {table}", heading("tables", table))
    for column in mapped.columns:
        place = column.source or column.target
        _check_name(column.target, f"column {place} of table {table}", heading("tables", table, "columns", place))
        _check_column(table, column)
        _check_reading(mapped, column)
        _check_sequence(mapped, column)
    refuse_twins(mapped.target_columns, f"columns of table {table}")
    if len(mapped.columns) > MOST_COLUMNS:
        raise MappingError(
            f"table {table} has {len(mapped.columns)} columns, and only {MOST_COLUMNS} can be replicated to Postgres",
            remedy=f"name the ones to leave out in `skip` of {heading('tables', table)}",
        )
    _check_key(mapped)
    _check_references(mapped)


def _check_references(mapped: TableMap) -> None:
    section = f"[[tables.{mapped.source.name}.references]]"
    for reference in mapped.references:
        for name in reference.columns:
            if name not in mapped.target_columns:
                raise MappingError(
                    f"{section}: `columns` names {name}, which is none of the table's columns in Postgres",
                    remedy=f"{did_you_mean(name, mapped.target_columns)}name columns as they are called there",
                )
        if mapped.adopted:
            raise MappingError(
                f"{section}: the table was made by others, and gets no foreign keys",
                remedy="remove it; the foreign keys that the table has in Postgres are followed",
            )


def refuse_unfit_references(maps: Sequence[TableMap], waiting: Container[str] = ()) -> None:
    """Raises `MappingError` when a wanted foreign key has no table to refer to, or other columns than its key.

    One to a table that waits (in lower case) waits with it.
    """
    by_name = {m.source.name.lower(): m for m in maps}
    for mapped in maps:
        section = f"[[tables.{mapped.source.name}.references]]"
        for reference in mapped.references:
            if reference.parent.lower() in waiting:
                continue
            parent = by_name.get(reference.parent.lower())
            if parent is None or parent.adopted:
                raise MappingError(
                    f"{section}: there is no table {reference.parent} that is replicated and made here",
                    remedy=f"{did_you_mean(reference.parent, [m.source.name for m in maps])}name a table of the SQLite "
                    "file in `table`",
                )
            ours, theirs = _types(mapped, reference.columns), _types(parent, parent.key)
            if ours != theirs:
                raise MappingError(
                    f"{section}: columns of type {', '.join(ours)} cannot refer to the key of {reference.parent}, "
                    f"which is {', '.join(theirs)}",
                    remedy="name as many columns as that key has, of the same types",
                )


def _types(mapped: TableMap, names: Sequence[str]) -> list[str]:
    types = {c.target: c.type for c in mapped.columns}
    return [types[name] for name in names]


def _check_key(mapped: TableMap) -> None:
    table = mapped.source.name
    if len(mapped.key) > MOST_KEY_COLUMNS:
        raise MappingError(
            f"the key of table {table} has {len(mapped.key)} columns, and Postgres allows {MOST_KEY_COLUMNS}",
            remedy=f"name fewer columns in `target_key` of {heading('tables', table)}",
        )
    for name in mapped.key:
        if name not in mapped.target_columns:
            raise MappingError(
                f"[tables.{table}]: `target_key` names {name}, which is none of the table's columns in Postgres",
                remedy=f"{did_you_mean(name, mapped.target_columns)}name columns as they are called there",
            )
    if mapped.crosswalk:
        return  # which row is which is remembered, and keys that become equal are found when rows are applied
    for column in mapped.columns:
        if column.target not in mapped.key:
            continue
        section = heading("tables", table, "columns", column.source or column.target)
        if column.type not in KEY_TYPES:
            raise MappingError(
                f"{section}: the column identifies the rows, and in type {column.type} different keys could become "
                "equal",
                remedy=f"choose one of {', '.join(KEY_TYPES)} as its `type`",
            )
        if column.type == DOUBLE.name and _keeps_integers(mapped, column):
            raise MappingError(
                f"{section}: the column identifies the rows, and in type {column.type} the keys 1 and 1.0 would be "
                "equal, which SQLite keeps apart in it",
                remedy='set `type = "literal"` there',
            )


def _check_sequence(mapped: TableMap, column: ColumnMap) -> None:
    if not column.sequence:
        return
    source = mapped.source.column(column.source) if column.source else None
    if mapped.key != (column.target,) or (source and source.affinity is not Affinity.INTEGER):
        section = heading("tables", mapped.source.name, "columns", column.source or column.target)
        raise MappingError(
            f"{section}: `sequence` is for a number by which the rows are known, and this column is none",
            remedy="remove it, and move that sequence with setval before the application goes on in Postgres",
        )


def _keeps_integers(mapped: TableMap, column: ColumnMap) -> bool:
    return column.source is not None and mapped.source.column(column.source).affinity is Affinity.BLOB


def _check_name(name: str, what: str, section: str) -> None:
    length = len(name.encode("utf-8", "surrogatepass"))
    if not length:
        raise MappingError(
            f"the name of {what} would be empty in Postgres, which refuses that", remedy=f"set `target` in {section}"
        )
    if length > LONGEST_NAME_BYTES:
        raise MappingError(
            f"the name of {what} is {length} bytes long, and Postgres allows {LONGEST_NAME_BYTES}",
            remedy=f"set a shorter `target` in {section}",
        )


def _check_column(table: str, column: ColumnMap) -> None:
    section = heading("tables", table, "columns", column.source or column.target)
    if is_kept(column.target):
        raise MappingError(
            f"column {column.target} of table {table} has a name that Postgres or this tool keeps for itself",
            remedy=f"set another `target` in {section}",
        )
    if not _TYPE_TEXT.fullmatch(column.type):
        raise MappingError(
            f"{section}: `type` cannot be {column.type!r}, which is not the name of a type",
            remedy='write a type of Postgres, like `type = "numeric(10, 2)"`',
        )


def _check_reading(mapped: TableMap, column: ColumnMap) -> None:
    section = heading("tables", mapped.source.name, "columns", column.source or column.target)
    if mapped.adopted:
        return  # what type it has there is for Postgres to say
    target = column_of_type(column.target, column.type, not_null=False)
    if target is None:
        return  # an enum or a domain, which only the database knows
    if column.schema and not is_document(target):
        raise MappingError(
            f"{section}: `schema` is for documents, and the column is of type {column.type}",
            remedy='set `type = "jsonb"` or `type = "json"`, or remove `schema`',
        )
    if problem := problem_with(target, column.reading):
        raise MappingError(
            f"{section}: its values cannot be read in that way, for type {column.type} {problem}",
            remedy="choose another `type`, or what the documentation of types lists for this one",
        )


def is_kept(column: str) -> bool:
    """Whether no column of a target can have that name: Postgres has it in every table, or rows on their way do."""
    return column in SYSTEM_COLUMNS or (column.startswith(_OURS) and not column.startswith(ROWID_COLUMN))


def refuse_twins(names: Iterable[str], what: str) -> None:
    """Raises `MappingError` when two of the names are one."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise MappingError(
                f"two {what} would have the name {name} in Postgres",
                remedy="set another `target` for one of them, in its section under [tables]",
            )
        seen.add(name)
