"""One text for one value, made from what SQLite stores, to be compared with what Postgres makes of what it stores.

Nothing here is shared with the conversion that applies rows (`cdc.values.converter`): a fault there must show here. The
rule is chosen by the type in the Postgres catalogue; `cdc.postgres.tables.hashed_rows` has the same rules as SQL.

| type | canonical text |
|---|---|
| smallint, integer, bigint | decimal digits |
| real, double precision | the bytes in hexadecimal, big-endian: 4 and 8 of them |
| numeric | plain decimal without exponent and without zeros at its end |
| boolean | `true` or `false` |
| text, varchar, char, citext, uuid, inet, cidr, macaddr, enums | the characters |
| bytea | the bytes in hexadecimal |
| json | the characters |
| jsonb | keys by length and then bytes, numbers as plain decimals with the zeros they were written with |
| date | days since 1970-01-01 |
| timestamp, timestamptz | microseconds since 1970-01-01 (UTC) |
| time | microseconds since midnight |
| interval | microseconds, days and months in hexadecimal, big-endian: 8, 4 and 4 bytes |
| arrays | the bounds as Postgres writes them, `[1:2]`, and the JSON array of the elements' texts; `[]` if empty |
| a column mapped as literal | the SQL literal |

A row is the JSON array of its texts, NULL being `null`, and is compared by its SHA-256. A value that its column cannot
hold becomes a text that Postgres never has, so that the row shows as missing or different and never as equal.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import msgspec

from cdc.canonical import chosen
from cdc.canonical.arrays import array_form
from cdc.canonical.columns import FLAGS, column_form
from cdc.canonical.intervals import written_interval
from cdc.canonical.json_documents import jsonb_text
from cdc.canonical.ordered_rows import OrderedRows, layout_of
from cdc.canonical.text import NEVER, Form, Text, canonical_text, literal_text
from cdc.canonical.type_limits import fits
from cdc.facts.row_key import encode_key
from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.facts.values import NullKey, Row, Value

BUCKETS: Final = 4096

_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_encode: Final = msgspec.json.Encoder().encode


def _digest(text: bytes) -> bytes:
    return sha256(text).digest()


def key_text(texts: Sequence[Text]) -> str:
    """A key as one text, the same that Postgres makes of its row."""
    return _encode(texts).decode()


def texts_of(key: str) -> list[Text]:
    """The texts that a key's one text was made from."""
    return msgspec.json.decode(key, type=list[Text])


def bucket(key_digest: bytes) -> int:
    """Which of the `BUCKETS` a key with that hash is in."""
    return key_digest[0] << 4 | key_digest[1] >> 4


class Canonical:
    """The forms of one mapped table: raw rows of SQLite in, texts by target column out."""

    def __init__(self, mapped: TableMap, target: TargetTable) -> None:
        columns = [(c, target.column(c.target)) for c in mapped.columns]
        self.missing = tuple(c.target for c, found in columns if found is None)
        there = [(c, found, mapped.reading(c, found)) for c, found in columns if found is not None]
        forms = {c.target: _read(found, reading, literal=c.literal, schema=c.schema) for c, found, reading in there}
        kinds = {c.target: "" if c.literal or reading != ValueRules() else found.base for c, found, reading in there}
        self.names = tuple(name for name in mapped.target_columns if name in forms)
        self._columns = [column_form(forms[name], kinds[name]) for name in self.names]
        bases = {c.target: found.base for c, found, _ in there}
        self._layouts = [layout_of(bases[name], kinds[name]) for name in self.names]
        self._key = [forms[name] for name in mapped.key if name in forms]
        self._key_places = [mapped.target_columns.index(name) for name in mapped.key]
        self._width = mapped.source_key_width
        self._crosswalk = mapped.crosswalk

    def hashed(self, raw: Sequence[Row]) -> Iterator[tuple[bytes, bytes, bytes]]:
        """The key's text as UTF-8, its hash and the row's hash, for rows that hold the key and then the columns."""
        if not raw:
            return iter(())
        values = list(zip(*raw, strict=True))[self._width :]
        made = [form(column) for form, column in zip(self._columns, values, strict=True)]
        keys = list(map(_encode, self._keys(raw, made)))
        rows = map(_encode, zip(*made, strict=True))
        return zip(keys, map(_digest, keys), map(_digest, rows), strict=True)

    def ordered(self) -> OrderedRows:
        """What makes one hash of the same rows as `hashed` takes, in their order; their key is a whole number."""
        return OrderedRows(list(zip(self._layouts, self._columns, strict=True)), self._width)

    def texts(self, raw: Sequence[Row]) -> Iterator[tuple[str, tuple[Text, ...]]]:
        """The key's text and the texts of the columns in `names`, for the same rows as `hashed` takes."""
        if not raw:
            return iter(())
        values = list(zip(*raw, strict=True))[self._width :]
        made = [form(column) for form, column in zip(self._columns, values, strict=True)]
        return zip(map(key_text, self._keys(raw, made)), zip(*made, strict=True), strict=True)

    def _keys(self, raw: Sequence[Row], made: Sequence[Sequence[Text]]) -> Iterable[tuple[Text, ...]]:
        if self._crosswalk:
            return ((encode_key(row[: self._width]),) for row in raw)
        keys = zip(*(made[place] for place in self._key_places), strict=True)
        if any(isinstance(row[0], NullKey) for row in raw):
            return (_null_key(row[: self._width]) or key for row, key in zip(raw, keys, strict=True))
        return keys

    def key(self, raw: Row) -> tuple[Text, ...]:
        """The texts of a key as SQLite has it; with a crosswalk, the source key itself names the row on both sides."""
        if self._crosswalk:
            return (encode_key(raw),)
        return _null_key(raw) or tuple(
            None if v is None else canonical_text(form, v) for form, v in zip(self._key, raw, strict=True)
        )


def _null_key(raw: Row) -> tuple[Text, ...]:
    """A key of its own for a row whose declared key has a NULL: longer than any of Postgres; nothing for others."""
    return (*(None for _ in raw), encode_key(raw)) if isinstance(raw[0], NullKey) else ()


def reading_form(mapped: TableMap, column: ColumnMap, there: TargetColumn) -> Form:
    """How the values of one mapped column become canonical texts."""
    return _read(there, mapped.reading(column, there), literal=column.literal, schema=column.schema)


def row_digest(row: Row, forms: Sequence[Form]) -> bytes:
    """The hash of one row, the same that Postgres makes of it."""
    texts = [None if value is None else canonical_text(form, value) for form, value in zip(forms, row, strict=True)]
    return _digest(_encode(texts))


def _read(column: TargetColumn, reading: ValueRules, *, literal: bool, schema: str) -> Form:
    plain = form_of(column, literal=literal)
    return plain if literal or reading == ValueRules() else chosen.form(column, reading, plain, schema)


def form_of(column: TargetColumn, *, literal: bool = False) -> Form:
    """How a value that is not NULL becomes a canonical text; the form may raise for values that do not fit."""
    if literal:
        return literal_text
    if column.base.startswith("_"):
        element = replace(column, base=column.base[1:])
        return array_form(element, form_of(element), fits)
    return _FORMS.get(column.base, _characters)


def _only(value: Value, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError
    return value


# --- one form a type --------------------------------------------------------------------------------------------------


def _characters(value: Value) -> str:
    return str(_only(value, str))


def _whole(bits: int) -> Form:
    def form(value: Value) -> str:
        number: int = _only(value, int)
        return str(number) if -(1 << bits - 1) <= number < 1 << bits - 1 else NEVER

    return form


def _bytes(value: Value) -> str:
    return bytes(_only(value, bytes)).hex()


def _bool(value: Value) -> str:
    return FLAGS.get(_only(value, int), NEVER)


def _real(layout: str) -> Form:
    def form(value: Value) -> str:
        if not isinstance(value, (int, float)):
            raise TypeError
        packed = struct.pack(layout, value)
        # Only what comes back the same is held exactly.
        return packed.hex() if struct.unpack(layout, packed)[0] == value else NEVER

    return form


def _numeric(value: Value) -> str:
    if not isinstance(value, (int, float)):
        raise TypeError
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _date(value: Value) -> str:
    return str((date.fromisoformat(_only(value, str)) - date(1970, 1, 1)).days)


def _timestamp(value: Value) -> str:
    moment = datetime.fromisoformat(_only(value, str))
    return NEVER if moment.tzinfo else str((moment.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND)


def _timestamptz(value: Value) -> str:
    day, rest = _only(value, str)[:11], _only(value, str)[11:]
    moment = datetime.fromisoformat(day + rest.replace(" ", ""))
    return str((moment - _EPOCH) // _MICROSECOND) if moment.tzinfo else NEVER


def _time(value: Value) -> str:
    moment = time.fromisoformat(_only(value, str))
    passed = timedelta(hours=moment.hour, minutes=moment.minute, seconds=moment.second, microseconds=moment.microsecond)
    return str(passed // _MICROSECOND)


def _json(value: Value) -> str:
    return value if isinstance(value, str) else repr(value) if isinstance(value, (int, float)) else NEVER


def _jsonb(value: Value) -> str:
    return jsonb_text(_json(value))


_FORMS: Final[dict[str, Form]] = {
    "int2": _whole(16),
    "int4": _whole(32),
    "int8": _whole(64),
    "float4": _real(">f"),
    "float8": _real(">d"),
    "numeric": _numeric,
    "bool": _bool,
    "bytea": _bytes,
    "json": _json,
    "jsonb": _jsonb,
    "date": _date,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "time": _time,
    "interval": lambda value: written_interval(value, None),
}
