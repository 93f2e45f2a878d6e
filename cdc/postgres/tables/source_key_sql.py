"""Source keys as Postgres writes them: SQL that names the row of SQLite which a row of the target stands for."""

from typing import Final

from cdc.facts.row_key import encode_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.sql_names import quote
from cdc.values.addresses import INET
from cdc.values.booleans import BOOLEAN
from cdc.values.identifiers import read_literal
from cdc.values.numbers import DOUBLE, FLOATS, NUMERIC, WHOLE
from cdc.values.texts import BYTEA
from cdc.values.times import DATE


def source_key(target: TargetTable, mapped: TableMap, alias: str) -> str:
    """SQL that writes the source key of a target row for `read_key`."""
    literals = {c.target for c in mapped.columns if c.literal}
    columns = [column for name in mapped.key if (column := target.column(name)) is not None]
    parts = [
        _escaped("l", f"{alias}.{quote(c.name)}") if c.name in literals else _encoded(f"{alias}.{quote(c.name)}", c)
        for c in columns
    ]
    return " || E'\\x1f' || ".join(parts)


def digest(text: str) -> str:
    """SQL for the SHA-256 by which the schema `cdc` finds a key, however long it is."""
    return f"sha256(convert_to({text}, 'UTF8'))"


def read_key(text: str) -> str:
    """A key that `source_key` wrote, encoded as in `cdc.facts.row_key`: literals say which value they stand for."""
    return "\x1f".join(_read_part(part) if part.startswith("l") else part for part in text.split("\x1f"))


def _read_part(part: str) -> str:
    literal = part[1:].replace("\x1bs", "\x1f").replace("\x1be", "\x1b")
    return encode_key([read_literal(literal)])


def _encoded(value: str, column: TargetColumn) -> str:
    written = _ENCODED.get(column.base)
    return written.format(value=value) if written else _escaped("t", value)


# SQLite's NUMERIC affinity keeps whole numbers of up to 64 bits as integers, all else as reals.
_WHOLE: Final = "{value} = trunc({value}) AND abs({value}) < 9223372036854775807"
_INTEGER: Final = "'i' || {value}"
_REAL: Final = f"'r' || encode(float8send({{value}}::{DOUBLE.base}), 'hex')"
_ENCODED: Final = {
    **dict.fromkeys((type_.base for type_ in WHOLE), _INTEGER),
    **dict.fromkeys((type_.base for type_ in FLOATS), _REAL),
    BOOLEAN.base: "'i' || {value}::int",
    BYTEA.base: "'b' || encode({value}, 'hex')",
    DATE.base: "'t' || to_char({value}, 'YYYY-MM-DD')",
    INET.base: "'t' || abbrev({value})",
    NUMERIC.base: f"CASE WHEN {_WHOLE} THEN 'i' || trunc({{value}})::bigint ELSE {_REAL} END",
}


def _escaped(kind: str, value: str) -> str:
    return f"'{kind}' || replace(replace({value}::text, E'\\x1b', E'\\x1be'), E'\\x1f', E'\\x1bs')"
