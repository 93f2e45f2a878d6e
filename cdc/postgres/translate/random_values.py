"""Random bytes as ORMs have them for defaults: what randomblob() gives, made without an extension of Postgres."""

import re
from typing import Final

from cdc.facts.table_map import ColumnMap
from cdc.values.identifiers import UUID
from cdc.values.texts import BYTEA, TEXT

_BYTES: Final = re.compile(r"randomblob\((?P<bytes>[0-9]{1,2})\)")
_HEX: Final = re.compile(r"(?P<lower>lower\()?hex\(randomblob\((?P<bytes>[0-9]{1,2})\)\)(?(lower)\))")
# A UUID of version 4 as SQL that everybody copies: four parts of random digits, with two that stand for the version.
_UUID: Final = re.compile(
    r"lower\(hex\(randomblob\(4\)\)\)\|\|'-'\|\|lower\(hex\(randomblob\(2\)\)\)\|\|'-4'\|\|"
    r"substr\(lower\(hex\(randomblob\(2\)\)\),2\)\|\|'-'\|\|"
    r"substr\('89ab',(?:1\+\(?abs\(random\(\)\)%4\)?|\(?abs\(random\(\)\)%4\)?\+1),1\)\|\|"
    r"substr\(lower\(hex\(randomblob\(2\)\)\),2\)\|\|'-'\|\|lower\(hex\(randomblob\(6\)\)\)"
)
_UUID_FORMAT: Final = "uuid"  # of a column that reads UUIDs in any usual form
_LAST_DIGITS: Final = 12  # of a UUID of version 4 that are all random


def random_default(text: str, column: ColumnMap) -> str | None:
    """The default that gives as many random bytes in the same form; None where the expression is none of these."""
    text = "".join(text.split()).lower()
    if _UUID.fullmatch(text):
        return {TEXT.name: "gen_random_uuid()::text", UUID.name: "gen_random_uuid()"}.get(column.type)
    digits, blob = _HEX.fullmatch(text), _BYTES.fullmatch(text)
    size = int((digits or blob or {"bytes": 0})["bytes"])
    if not size:
        return None
    if column.type == UUID.name:
        return "gen_random_uuid()" if size == 16 and column.reading.format == _UUID_FORMAT else None
    if blob:
        return f"decode({_hex_digits(size)}, 'hex')" if column.type == BYTEA.name else None
    if not digits or column.type != TEXT.name:
        return None
    return _hex_digits(size) if digits["lower"] else f"upper({_hex_digits(size)})"


def _hex_digits(size: int) -> str:
    """So many random bytes as digits, from the end of one UUID after the other."""
    whole, rest = divmod(2 * size, _LAST_DIGITS)
    parts = [_LAST_DIGITS] * whole + [rest] * bool(rest)
    return " || ".join(f"right(gen_random_uuid()::text, {digits})" for digits in parts)
