"""Names in the configuration that nothing in the file has. Pure.

They may be right, for another file or for a table that is yet to come; or misspelt, and then what they were meant for
is not what happens. Only a person knows, so they are told.
"""

from collections.abc import Iterator

from cdc.config import Config
from cdc.config.patterns import is_pattern, names
from cdc.errors import did_you_mean
from cdc.facts.risk import Risk
from cdc.facts.source_schema import SourceSchema, Table
from cdc.mapping.names import has

_REMEDY = "correct it; or nothing to do, if what it names is yet to come, or in another file that this is for"


def unmatched(schema: SourceSchema, config: Config) -> Iterator[Risk]:
    """Names and patterns that mean no table, and what patterns say of columns that no table has which they mean."""
    for key, listed in (("tables", config.replicate.tables), ("exclude", config.replicate.exclude)):
        for name in listed:
            if not _meant(name, schema.names):
                yield _warning(name, f"`{key}` in [replicate] names it, and nothing", schema.names)
    for name, options in config.tables.items():
        if not _meant(name, schema.names):
            yield _warning(name, "a section under [tables] is for it, and nothing", schema.names)
        elif is_pattern(name):
            meant = [table for table in schema.tables if names(name, table.name)]
            extra = [column for column, chosen in options.columns.items() if not chosen.computed]
            for column in _nowhere(meant, [*options.skip, *extra]):
                text = "its section says something of it, and no table that it means has such a column"
                yield Risk(name, column, "warning", text, _REMEDY)


def _meant(name: str, there: list[str]) -> bool:
    return any(names(name, table) for table in there)


def _warning(name: str, text: str, there: list[str]) -> Risk:
    kind = "is called so" if not is_pattern(name) else "is like it"
    near = "" if is_pattern(name) else did_you_mean(name, there)
    return Risk(name, "", "warning", f"{text} in the SQLite file {kind}", f"{near}{_REMEDY}")


def _nowhere(tables: list[Table], columns: list[str]) -> list[str]:
    return [column for column in columns if tables and not any(has(table, column) for table in tables)]
