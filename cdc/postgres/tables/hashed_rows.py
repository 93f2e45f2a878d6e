"""Postgres' side of the comparison: rows as hashes of canonical texts, computed by the server, so few bytes travel.

The rules stand in `cdc.canonical.rules`; these are the same rules as SQL, and nothing of the apply path is used.
"""

import json
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from cdc.facts.key_range import ALL_KEYS, KeyRange, has_ranges
from cdc.facts.row_key import decode_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.facts.values import Value
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.tables.key_map import Crosswalk
from cdc.postgres.tables.shares import own_rows
from cdc.sql_names import qualified, quote

FETCHED_ROWS: Final = 5_000

_FORMS: Final = {
    "float4": "encode(float4send({0}), 'hex')",
    "float8": "encode(float8send({0}), 'hex')",
    "numeric": "trim_scale({0})::text",
    "bytea": "encode({0}, 'hex')",
    "date": "CASE WHEN isfinite({0}) THEN ({0} - date '1970-01-01')::text ELSE {0}::text END",
    "timestamp": "CASE WHEN isfinite({0}) THEN (extract(epoch FROM {0}) * 1000000)::bigint::text ELSE {0}::text END",
    "timestamptz": "CASE WHEN isfinite({0}) THEN (extract(epoch FROM {0}) * 1000000)::bigint::text ELSE {0}::text END",
    "interval": "encode(interval_send({0}), 'hex')",
    "inet": "abbrev({0})",
    "time": "(extract(epoch FROM {0}) * 1000000)::bigint::text",
}
# What is joined of values of a fixed width, or whose length is joined with them; see `cdc.canonical.ordered_rows`.
_FIXED: Final = {
    **dict.fromkeys(("int2", "int4", "int8"), "int8send({0})"),
    "float8": "float8send({0})",
    "bool": "boolsend({0})",
    "timestamp": "timestamp_send({0})",
    "timestamptz": "timestamptz_send({0})",
    "bytea": "int4send(octet_length({0})) || {0}",
}
_NOTHING: Final = f"'\\x{bytes(32).hex()}'::bytea"
# How a key is made again from its canonical text, so that its index can be searched.
_FROM_TEXT: Final = {
    **{kind: f"{{0}}::{kind}" for kind in ("int2", "int4", "int8", "float8", "numeric", "bool", "text", "varchar")},
    "bytea": "decode({0}, 'hex')",
    "bpchar": "{0}::bpchar",
}


@dataclass(frozen=True, slots=True)
class Sum:
    """How many rows a bucket has, and their hashes combined so that their order does not matter."""

    rows: int
    combined: int


@dataclass(frozen=True, slots=True)
class RangeHash:
    """How many rows a range of keys has, and the hash of them in the order of their keys, None where it has none."""

    rows: int
    hash: bytes | None


@asynccontextmanager
async def snapshot(connection: Connection) -> AsyncIterator[None]:
    """One state of Postgres for all that is read inside."""
    with translated("reading Postgres for the comparison"):
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield


@asynccontextmanager
async def letting_go(connection: Connection) -> AsyncIterator[None]:
    """Let the locks on what is read inside go at its end, and keep the `snapshot` that it is in.

    Every table and index that is read stays locked to the end of a transaction, and a server has room for some 6,400
    locks of everybody: fewer than a comparison of 2,000 tables takes.
    """
    await connection.execute("SAVEPOINT cdc_read")
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("ROLLBACK TO SAVEPOINT cdc_read; RELEASE SAVEPOINT cdc_read")


async def total(connection: Connection, schema: str, relation: str, columns: Sequence[TargetColumn]) -> Sum:
    """The rows of a table or view as one sum, in which a row that is there twice counts twice."""
    row = _array([_form(column) for column in columns])
    hashed = f"SELECT sha256(convert_to({row}, 'UTF8')) AS d FROM {qualified(schema, relation)} AS t"
    whole = await connection.fetchrow(
        f"SELECT count(*) AS rows, coalesce(sum({_HASH}::numeric), 0)::text AS combined FROM ({hashed} OFFSET 0) AS h"
    )
    assert whole is not None
    return Sum(whole["rows"], int(whole["combined"]))


class TargetRows:
    """One table of Postgres, or a range of its keys, as hashes of its rows."""

    def __init__(
        self, connection: Connection, source_id: str, mapped: TableMap, target: TargetTable, keys: KeyRange = ALL_KEYS
    ) -> None:
        self._connection = connection
        literal = {c.target for c in mapped.columns if c.literal}
        columns = [column for name in mapped.target_columns if (column := target.column(name)) is not None]
        self._key = [column for name in mapped.key if (column := target.column(name)) is not None]
        self._literal_key = [column.name in literal for column in self._key]
        self._crosswalk = Crosswalk(source_id, mapped.source.name, "", self._key) if mapped.crosswalk else None
        key = _array([_form(column) for column in self._key] if self._crosswalk is None else [self._named()])
        self.key_form = key  # SQL over a row `t` that has the columns of the key
        row = _array([_form(column) for column in columns])
        self._hashed = (
            f"SELECT {key} AS key, sha256(convert_to({key}, 'UTF8')) AS kd, sha256(convert_to({row}, 'UTF8')) AS d "
            f"FROM {own_rows(mapped)}"
        )
        shown = _array([f"t.{quote(column.name)}::text" for column in columns])
        self._plain = f"SELECT {key} AS key, {row} AS texts, {shown} AS shown FROM {own_rows(mapped)}"
        self._some_hashed = f"{self._hashed}{self._where(keys)}"
        self._name = target.name
        self._from = own_rows(mapped)
        self._columns = columns
        self.ranged = has_ranges(mapped, target)  # whether `hash_within` and `rows_within` can be asked

    async def sums(self) -> dict[int, Sum]:
        """Each bucket that is not empty."""
        # OFFSET 0 keeps the planner from computing the hashes once for every place where they are used.
        sql = (
            f"SELECT {_BUCKET} AS bucket, count(*) AS rows, bit_xor({_HASH}) AS combined "
            f"FROM ({self._some_hashed} OFFSET 0) AS h GROUP BY 1"
        )
        with translated(f"comparing table {self._name}"):
            buckets = await self._connection.fetch(sql)
        return {r["bucket"]: Sum(r["rows"], r["combined"] & 0xFFFFFFFFFFFFFFFF) for r in buckets}

    async def rows(self, buckets: Sequence[int]) -> AsyncIterator[list[tuple[str, bytes]]]:
        """Key text and hash of every row in some buckets, a batch at a time; inside `snapshot` only."""
        sql = f"SELECT key, d FROM ({self._some_hashed} OFFSET 0) AS h WHERE {_BUCKET} = ANY($1::int[])"
        with translated(f"comparing table {self._name}"):
            cursor = await self._connection.cursor(sql, list(buckets))
            while batch := await cursor.fetch(FETCHED_ROWS):
                yield [(r["key"], r["d"]) for r in batch]

    async def hash_within(self, keys: KeyRange, but: Sequence[int], most: int) -> RangeHash:
        """The rows of a range without some keys; of more than `most` rows it is only told that there are more."""
        where, bound = self._within(keys, but)
        key = f"t.{quote(self._key[0].name)}"
        names = ", ".join(f"t.{quote(column.name)}" for column in self._columns)
        hashes = " || ".join(_column_hash(column, key) for column in self._columns)
        # The limit bounds the server's memory, whatever somebody wrote to the range.
        sql = (
            f"SELECT count(*) AS rows, CASE WHEN count(*) > 0 THEN sha256({hashes}) END AS hash "
            f"FROM (SELECT {names} FROM {self._from} {where} ORDER BY {key} LIMIT ${len(bound) + 1}) AS t"
        )
        with translated(f"comparing table {self._name}"):
            range_ = await self._connection.fetchrow(sql, *bound, most + 1)
        assert range_ is not None
        return RangeHash(range_["rows"], range_["hash"])

    async def rows_within(self, keys: KeyRange, but: Sequence[int]) -> AsyncIterator[list[tuple[str, bytes]]]:
        """Key text and hash of every row of a range without some keys, a batch at a time; inside `snapshot` only."""
        where, bound = self._within(keys, but)
        with translated(f"comparing table {self._name}"):
            cursor = await self._connection.cursor(f"{self._hashed} {where}", *bound)
            while batch := await cursor.fetch(FETCHED_ROWS):
                yield [(r["key"], r["d"]) for r in batch]

    async def look_up(self, keys: Sequence[Sequence[str | None]]) -> dict[str, bytes]:
        """Hash by key text of the rows that exist among some keys, given as canonical texts.

        Where a collation calls different keys equal, rows that were not asked for come along.
        """
        return {row["key"]: row["d"] for row in await self._rows_of(self._hashed, keys)}

    async def look_at(
        self, keys: Sequence[Sequence[str | None]]
    ) -> dict[str, tuple[list[str | None], list[str | None]]]:
        """The same rows column by column: canonical texts, and the values as Postgres shows them."""
        rows = await self._rows_of(self._plain, keys)
        return {row["key"]: (json.loads(row["texts"]), json.loads(row["shown"])) for row in rows}

    async def _rows_of(self, query: str, keys: Sequence[Sequence[str | None]]) -> list[asyncpg.Record]:
        if not keys:
            return []
        with translated(f"comparing keys of table {self._name}"):
            if self._crosswalk or any(column.base not in _FROM_TEXT for column in self._key):
                sql = f"SELECT * FROM ({query} OFFSET 0) AS h WHERE key = ANY($1::text[])"
                return await self._connection.fetch(sql, [_json_array(key) for key in keys])
            arrays = [list(map(_input, part)) for part in self._parts(keys)]
            return await self._connection.fetch(f"{query} JOIN {self._wanted()}", *arrays)

    def source_key(self, texts: Sequence[str | None]) -> tuple[Value, ...]:
        """A source key that means a row here, for rows that SQLite does not have."""
        if self._crosswalk:
            return decode_key(texts[0] or "")
        pairs = zip(self._key, self._literal_key, texts, strict=True)
        return tuple(_source_value(column.base, literal, text) for column, literal, text in pairs)

    def _where(self, keys: KeyRange) -> str:
        column = f"t.{quote(self._key[0].name)}" if self._key else ""
        after = [f"{column} > {int(keys.after)}"] if keys.after is not None else []
        last = [f"{column} <= {int(keys.last)}"] if keys.last is not None else []
        return f" WHERE {' AND '.join([*after, *last])}" if after or last else ""

    def _within(self, keys: KeyRange, but: Sequence[int]) -> tuple[str, list[object]]:
        column = f"t.{quote(self._key[0].name)}"
        limits = [
            ("{} > ${}::bigint", keys.after),
            ("{} <= ${}::bigint", keys.last),
            ("{} <> ALL(${}::bigint[])", but or None),
        ]
        asked = [(condition, bound) for condition, bound in limits if bound is not None]
        conditions = [condition.format(column, n) for n, (condition, _) in enumerate(asked, 1)]
        return f"WHERE {' AND '.join(conditions)}" if asked else "", [bound for _, bound in asked]

    def _named(self) -> str:
        """The source key of a row as the crosswalk knows it; rows that others wrote have none, and show their own."""
        assert self._crosswalk is not None
        own = _array([_form(column) for column in self._key])
        return f"coalesce({self._crosswalk.source_key('t')}, 't' || {own})"

    def _parts(self, keys: Sequence[Sequence[str | None]]) -> list[list[tuple[str, str | None]]]:
        columns = list(zip(*keys, strict=True))
        return [[(c.base, text) for text in part] for c, part in zip(self._key, columns, strict=True)]

    def _wanted(self) -> str:
        marks = ", ".join(f"${n}::text[]" for n in range(1, len(self._key) + 1))
        names = ", ".join(f"k{n}" for n in range(1, len(self._key) + 1))
        same = [f"t.{quote(c.name)} = {_FROM_TEXT[c.base].format(f'k.k{n}')}" for n, c in enumerate(self._key, 1)]
        return f"unnest({marks}) AS k({names}) ON {' AND '.join(same)}"


_BUCKET: Final = "((get_byte(kd, 0) << 4) | (get_byte(kd, 1) >> 4))"  # shifts bind no tighter here
_HASH: Final = "('x' || encode(substring(d FROM 1 FOR 8), 'hex'))::bit(64)::bigint"


def _form(column: TargetColumn) -> str:
    value = f"t.{quote(column.name)}"
    if not column.base.startswith("_"):
        return _FORMS.get(column.base, "{0}::text").format(value)
    element = _FORMS.get(column.base[1:], "{0}::text").format("e")
    texts = f"coalesce(array_to_json(array_agg({element} ORDER BY n))::text, '[]')"
    elements = f"SELECT {texts} FROM unnest({value}) WITH ORDINALITY AS u(e, n)"
    return f"CASE WHEN {value} IS NOT NULL THEN coalesce(array_dims({value}), '') || ({elements}) END"


def _column_hash(column: TargetColumn, key: str) -> str:
    value = f"t.{quote(column.name)}"
    fixed = _FIXED.get(column.base)
    # A connection of ours speaks UTF-8, whatever the database is written in.
    joined, between = (fixed.format(value), "") if fixed else (f"textsend({_form(column)})", "00")
    values = f"string_agg({joined}, '\\x{between}'::bytea ORDER BY {key})"
    nulls = f"string_agg(int8send({key}), '\\x'::bytea ORDER BY {key}) FILTER (WHERE {value} IS NULL)"
    return " || ".join(f"coalesce(sha256({joined}), {_NOTHING})" for joined in (values, nulls))


def _array(forms: Sequence[str]) -> str:
    return f"array_to_json(ARRAY[{', '.join(forms)}]::text[])::text"


def _input(typed: tuple[str, str | None]) -> str | None:
    kind, text = typed
    if kind == "float8" and text is not None and "\x00" not in text:
        return repr(struct.unpack(">d", bytes.fromhex(text))[0])
    # A value that the column cannot hold is nobody's key; NULL finds no row.
    return None if text is None or "\x00" in text else text


def _json_array(texts: Sequence[str | None]) -> str:
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))


def _source_value(kind: str, literal: bool, text: str | None) -> Value:
    if text is None:
        return None
    if literal:
        return _from_literal(text)
    return _VALUES.get(kind, str)(text)


def _number(text: str) -> Value:
    return int(text) if text.lstrip("-").isdigit() else float(text)


_VALUES: Final[dict[str, Callable[[str], Value]]] = {
    **dict.fromkeys(("int2", "int4", "int8"), int),
    "float4": lambda text: float(struct.unpack(">f", bytes.fromhex(text))[0]),
    "float8": lambda text: float(struct.unpack(">d", bytes.fromhex(text))[0]),
    "numeric": _number,
    "bool": lambda text: int(text == "true"),
    "bytea": bytes.fromhex,
}


def _from_literal(text: str) -> Value:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if text.startswith("x'"):
        return bytes.fromhex(text[2:-1])
    if text.startswith("CAST("):
        return bytes.fromhex(text[7 : text.index("'", 7)]).decode("utf-8", "replace")
    return _number(text)
