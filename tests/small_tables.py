"""Small tables, their maps and their targets: facts for decisions that need no database."""

from collections.abc import Sequence
from typing import Any, Final

from cdc.config import Config, decode_config
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, Table
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable, TargetUnique
from cdc.mapping.map_tables import map_table
from cdc.mapping.type_names import column_of_type

ID: Final = Column("id", "INTEGER", Affinity.INTEGER, primary_key=1)
BY_ID: Final = Key(KeyKind.INTEGER, ("id",))


def config(tables: dict[str, Any] | None = None, **sections: Any) -> Config:
    """A configuration as a file would give it; `tables` are its sections `[tables.NAME]`."""
    required = {"source": {"path": "a.db"}, "target": {"dsn": "x", "schema": "app"}}
    return decode_config({**required, **sections, "tables": tables or {}})


def text(name: str) -> Column:
    return Column(name, "TEXT", Affinity.TEXT)


def number(name: str) -> Column:
    return Column(name, "INTEGER", Affinity.INTEGER)


def table(name: str, *columns: Column, key: Key = BY_ID, **options: Any) -> Table:
    """A table with the column `id`, by which its rows are known, and others."""
    return Table(name, (ID, *columns), key, **options)


def mapped(source: Table, **options: Any) -> TableMap:
    """Its map with the options of its section in the configuration."""
    return map_table(source, config({source.name: options} if options else None))


def target_of(found: TableMap, **options: Any) -> TargetTable:
    """The table that would be made for a map."""
    columns = [column_of_type(c.target, c.type, not_null=c.target in found.key) for c in found.columns]
    key = TargetUnique(f"{found.target}_pkey", found.key, primary=True)
    return TargetTable(found.schema, found.target, tuple(c for c in columns if c), uniques=(key,), **options)


def levels(risks: Sequence[Any]) -> list[tuple[str, str]]:
    """What is told about which column, without the words."""
    return [(risk.level, risk.column) for risk in risks]
