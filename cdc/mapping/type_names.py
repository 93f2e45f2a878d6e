"""What a type's text means to Postgres' catalogue, for columns that do not exist yet."""

import re
from typing import Final

from cdc.facts.target_schema import TargetColumn

_ALIASES: Final = {
    "int8": "bigint",
    "int": "integer",
    "int4": "integer",
    "int2": "smallint",
    "float8": "double precision",
    "float": "double precision",
    "bool": "boolean",
    "decimal": "numeric",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}
_BASES: Final = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "numeric": "numeric",
    "boolean": "bool",
    "text": "text",
    "citext": "citext",
    "varchar": "varchar",
    "character varying": "varchar",
    "char": "bpchar",
    "character": "bpchar",
    "bytea": "bytea",
    "json": "json",
    "jsonb": "jsonb",
    "date": "date",
    "time": "time",
    "time without time zone": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "uuid": "uuid",
}
_MODIFIED: Final = re.compile(
    r"(?P<before>[a-z ]+?) *\( *(?P<first>\d+) *(?:, *(?P<second>-?\d+) *)?\)(?P<after>[a-z ]*)"
)


def canonical_type(text: str) -> str:
    """A Postgres type as this project writes it: `INT8` becomes `bigint`; quoted names stay as they are."""
    if '"' in text:
        return text
    plain = " ".join(text.lower().split())
    return _ALIASES.get(plain, plain)


def column_of_type(name: str, type_: str, *, not_null: bool) -> TargetColumn | None:
    """The column as the catalogue will tell it, None for a type that only the database knows (an enum, a domain)."""
    found = _MODIFIED.fullmatch(type_)
    plain = canonical_type(found["before"] + found["after"]) if found else canonical_type(type_)
    base = _BASES.get(plain)
    if base is None:
        return None
    first = int(found["first"]) if found else 1 if base == "bpchar" else None
    counts_characters = base in ("varchar", "bpchar")
    return TargetColumn(
        name,
        type_,
        base,
        not_null=not_null,
        length=first if counts_characters else None,
        precision=None if counts_characters else first,
        scale=int(found["second"]) if found and found["second"] else None,
    )
