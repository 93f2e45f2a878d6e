"""What a configuration names in a file, and cannot mean: each is told with the section that names it. Pure."""

from typing import Final

from cdc.config import ColumnOptions, Config, TableOptions
from cdc.config.patterns import is_pattern
from cdc.errors import MappingError, did_you_mean
from cdc.facts.source_schema import SourceSchema, Table
from cdc.facts.table_map import ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.mapping.names import has, in_key, same
from cdc.values.column_rules import problem_with
from cdc.values.registry import TYPES

_SLIP: Final = 0.8  # how alike two names are of which one is likely the other, misspelt


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
