"""What a mapping must not ask for, each told with the section that asks for it. Pure."""

import re
from collections.abc import Container, Iterable, Sequence
from typing import Final

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.config.patterns import is_pattern
from cdc.errors import MappingError, did_you_mean
from cdc.facts.source_schema import Affinity, Column, KeyKind, SourceSchema, Table
from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.mapping.type_names import column_of_type
from cdc.sql_names import heading
from cdc.values.booleans import BOOLEAN
from cdc.values.column_rules import problem_with
from cdc.values.documents import is_document
from cdc.values.numbers import BIGINT, DOUBLE, NUMERIC
from cdc.values.registry import TYPES
from cdc.values.texts import BYTEA, TEXT

LONGEST_NAME_BYTES: Final = 63
MOST_COLUMNS: Final = 1597  # Postgres allows 1600, of which the stage of a table needs some for itself
MOST_KEY_COLUMNS: Final = 32
# In any other type two keys that SQLite keeps apart could be one.
KEY_TYPES: Final = tuple(type_.name for type_ in (BIGINT, TEXT, DOUBLE, BYTEA, BOOLEAN, NUMERIC))

ROWID_COLUMN: Final = "_cdc_rowid"

_OURS: Final = "_cdc_"
_SLIP: Final = 0.8  # how alike two names are of which one is likely the other, misspelt
SYSTEM_COLUMNS: Final = ("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
_TYPE_TEXT: Final = re.compile(r'["\w]["\w. ]*(\( *\d+ *(, *-?\d+ *)?\))?[\w ]*(\[\])*')


def refuse_missing(schema: SourceSchema, config: Config) -> None:
    """Raises `MappingError` when the configuration names a table that is not there.

    One to leave out may be missing, as another file has it, unless its name looks like a slip for one that would then
    be copied. A pattern may mean tables that are yet to come.
    """
    names = schema.names
    lower_names = {name.lower() for name in names}
    for name in config.tables:
        if name.lower() not in lower_names and not is_pattern(name):
            raise MappingError(
                f"[tables.{name}]: there is no such table in the SQLite file",
                remedy=f"{did_you_mean(name, names)}correct or remove that section",
            )
    for name in config.replicate.tables:
        if name.lower() not in lower_names and not is_pattern(name):
            raise MappingError(
                f"`tables` in [replicate] names {name}, and there is no such table in the SQLite file",
                remedy=f"{did_you_mean(name, names)}correct or remove that name",
            )
    wanted = [name for name in names if config.replicate.wants(name)]
    for name in config.replicate.exclude:
        slip = did_you_mean(name, wanted, likeness=_SLIP)
        if name.lower() not in lower_names and not is_pattern(name) and slip:
            raise MappingError(
                f"`exclude` in [replicate] names {name}, and there is no such table in the SQLite file",
                remedy=f"{slip}correct that name, for a table that is not named is copied; or remove it",
            )


def type_rules(config: Config) -> dict[str, ValueRules]:
    """What the operator chose for all columns of a type, by its base."""
    chosen = config.formats.by_base().items()
    return {base: ValueRules(format_, outcome or ValueRules().on_invalid) for base, (format_, outcome) in chosen}


def refuse_unfit_formats(config: Config) -> None:
    """Raises `MappingError` when all columns of a type are to be read in a way that is none for that type."""
    for base, rules in type_rules(config).items():
        name = TYPES[base].name
        if problem := problem_with(TargetColumn(name, name, base), rules):
            raise MappingError(
                f"[formats]: values of type {name} cannot be read in that way, for it {problem}",
                remedy=f"choose for `{name}` what the documentation of types lists for it, or remove it",
            )


def refuse_unknown(table: Table, options: TableOptions, own: TableOptions) -> None:
    """Raises `MappingError` when the options of a table name a column that is not there, or take its key away.

    What a pattern says, and not its `own` section, may be about columns of other tables. One to skip may be missing,
    since files of other generations can have it, unless its name looks like a slip.
    """
    _refuse_unknown_skips(table, options, own)
    for name, column in options.columns.items():
        if name in own.columns or column.computed or has(table, name):
            _refuse_unknown_column(table, name, column, key_is_own=not options.target_key)


def _refuse_unknown_skips(table: Table, options: TableOptions, own: TableOptions) -> None:
    for name in options.skip:
        if not has(table, name):
            if name in own.skip and (slip := did_you_mean(name, _not_named(table, options), likeness=_SLIP)):
                raise MappingError(
                    f"[tables.{table.name}] skips {name}, which is no column of that table",
                    remedy=f"{slip}correct it in `skip`, or remove it there",
                )
        elif in_key(table, table.column(name)) and not options.target_key:
            raise MappingError(
                f"[tables.{table.name}] skips {name}, which identifies the rows",
                remedy="remove it from `skip`, or name other columns that identify them in Postgres in `target_key`",
            )


def _refuse_unknown_column(table: Table, name: str, column: ColumnOptions, *, key_is_own: bool) -> None:
    columns = [c.name for c in table.columns]
    if not has(table, name) and not column.computed:
        raise MappingError(
            f"[tables.{table.name}.columns.{name}]: the table has no such column",
            remedy=f"{did_you_mean(name, columns)}correct the name; a column that only Postgres has needs "
            "an `expression` or a function in `python`",
        )
    if column.expression is not None and column.python is not None:
        raise MappingError(
            f"[tables.{table.name}.columns.{name}]: `expression` and `python` both say what the value is",
            remedy="remove one of them",
        )
    if column.expression is not None and not column.expression.strip():
        raise MappingError(
            f"[tables.{table.name}.columns.{name}]: `expression` is empty",
            remedy="write SQL that SQLite can evaluate for a row of that table, or remove `expression`",
        )
    if column.computed and key_is_own and has(table, name) and in_key(table, table.column(name)):
        raise MappingError(
            f"[tables.{table.name}.columns.{name}]: the column identifies the rows and cannot be computed",
            remedy="compute a column of its own with another name, or say in `target_key` by which columns "
            "Postgres knows the rows",
        )


def _not_named(table: Table, options: TableOptions) -> list[str]:
    """The columns that the options say nothing of, one of which a misspelt name may mean."""
    named = [*options.skip, *options.columns]
    return [c.name for c in table.columns if not any(same(c.name, name) for name in named)]


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


def same(a: str | None, b: str) -> bool:
    """Whether two names are one for SQLite."""
    return a is not None and a.lower() == b.lower()


def has(table: Table, name: str) -> bool:
    """Whether a table has a column of that name."""
    return any(same(c.name, name) for c in table.columns)


def column_options(options: TableOptions, column: str) -> ColumnOptions:
    """What the operator chose for a column of a table; the defaults where nothing was."""
    return next((o for name, o in options.columns.items() if same(column, name)), ColumnOptions())


def in_key(table: Table, column: Column) -> bool:
    """Whether a column is part of what identifies the rows."""
    return table.key.kind is not KeyKind.ROWID and any(same(column.name, k) for k in table.key.columns)
