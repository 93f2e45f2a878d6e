"""What a type's text means to Postgres' catalogue, for columns that do not exist yet."""

import re
from typing import Final

from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.values.registry import TYPES
from cdc.values.texts import CHAR, VARCHAR

_ALIASES: Final = {alias: type_.name for type_ in TYPES.values() for alias in type_.aliases}
_BASES: Final = {word: base for base, type_ in TYPES.items() for word in (type_.name, *type_.synonyms)}
_MODIFIED: Final = re.compile(
    r"(?P<before>[a-z ]+?) *\( *(?P<first>\d+) *(?:, *(?P<second>-?\d+) *)?\)(?P<after>[a-z ]*)"
)


def canonical_type(text: str) -> str:
    """A Postgres type as this project writes it: `INT8` becomes `bigint`; quoted names stay as they are."""
    if '"' in text:
        return text
    plain = " ".join(text.lower().split())
    return _ALIASES.get(plain, plain)


def reading_of(mapped: TableMap, column: ColumnMap) -> ValueRules:
    """How a mapped column's values are read, as far as the text of its type tells."""
    target = column_of_type(column.target, column.type, not_null=False)
    return mapped.reading(column, target) if target else column.reading


def column_of_type(name: str, type_: str, *, not_null: bool) -> TargetColumn | None:
    """The column as the catalogue will tell it, None for a type that only the database knows (an enum, a domain)."""
    modified = _MODIFIED.fullmatch(type_)
    plain = canonical_type(modified["before"] + modified["after"]) if modified else canonical_type(type_)
    base = _BASES.get(plain)
    if base is None:
        return None
    # Postgres takes char without a length for char(1), and varchar without one for any length.
    first = int(modified["first"]) if modified else 1 if base == CHAR.base else None
    counts_characters = base in (VARCHAR.base, CHAR.base)
    return TargetColumn(
        name,
        type_,
        base,
        not_null=not_null,
        length=first if counts_characters else None,
        precision=None if counts_characters else first,
        scale=int(modified["second"]) if modified and modified["second"] else None,
    )
