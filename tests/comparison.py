"""Whether Postgres holds what SQLite holds, told by reading both in a way of its own.

Nothing of the code under test is used, except how a key is written in the quarantine: `cdc.facts.row_key.encode_key`.
Each value becomes one canonical text on either side. Rows in quarantine are taken out, after a check that they deserve
it: the row is in SQLite, not in Postgres, and its reason is real.
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import apsw
import asyncpg

from cdc.facts.row_key import encode_key
from cdc.facts.values import InvalidText, NullKey, Value

UNFIT = "unfit"  # a value that its column in Postgres cannot hold
NULL = "null"

Connection = Any  # asyncpg.Connection, whose type has a parameter
Texts = tuple[str, ...]


async def differences(
    source: apsw.Connection, dsn: str, schema: str = "public", *, ignored: Iterable[str] = ()
) -> list[str]:
    """What differs between a SQLite file and a schema of Postgres, over a connection of its own."""
    target = await asyncpg.connect(dsn, server_settings={"datestyle": "ISO"})
    try:
        return await Comparison(source, target, schema, ignored=ignored).differences()
    finally:
        await target.close()


@dataclass(frozen=True)
class Column:
    """A column of Postgres: `kind` is its type's name, `literal` says that it keeps SQL literals of SQLite."""

    name: str
    kind: str
    not_null: bool
    literal: bool


@dataclass(frozen=True)
class ForeignKey:
    """Columns of a child that refer to columns of a parent in the same schema."""

    columns: Texts
    parent: str
    parent_columns: Texts


@dataclass
class Target:
    """A table of Postgres as its catalogue tells it."""

    name: str
    columns: list[Column]
    key: Texts
    foreign_keys: list[ForeignKey] = field(default_factory=list)

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


@dataclass(frozen=True)
class Held:
    """A row of the quarantine."""

    table: str
    key: str
    reason: str


class Comparison:
    """Compares one SQLite file with one schema of Postgres. The connections must be in no transaction.

    `catalogue` is read with each comparison unless `fixed` says that nobody alters tables meanwhile.
    """

    def __init__(
        self,
        source: apsw.Connection,
        target: Connection,
        schema: str = "public",
        *,
        fixed: bool = False,
        ignored: Iterable[str] = (),
    ) -> None:
        self._source = source
        self._target = target
        self._schema = schema
        self._fixed = fixed
        self._ignored = set(ignored)  # source tables
        self._known: dict[str, Target] = {}

    async def differences(self) -> list[str]:
        """What differs, in words; empty when Postgres holds exactly what it should."""
        if not (self._fixed and self._known):
            self._known = await read_catalogue(self._target, self._schema, self._source_id())
        held = await self._held()
        there = {name: await self._rows(target) for name, target in self._known.items()}
        here = self._source_rows()
        found = [f"table {name} is not in Postgres" for name in here if name not in self._known]
        for name, rows in here.items():
            if target := self._known.get(name):
                mine = {h.key: h for h in held if h.table == name}
                found += list(_compare(target, rows, there[name], mine))
                found += [problem async for problem in self._unjust(target, rows, mine, there)]
        gone = (h for h in held if h.table not in here)
        return found + [f"{h.table} {h.key!r} is in quarantine, but there is no such table" for h in gone]

    # --- reading ---

    def _source_id(self) -> str:
        return str(self._source.execute("SELECT source_id FROM _cdc_state").get)

    async def _held(self) -> list[Held]:
        query = "SELECT source_table, key, reason FROM cdc.quarantine WHERE source_id = $1"
        rows = await self._target.fetch(query, self._source_id())
        return [Held(*row) for row in rows if row["source_table"] not in self._ignored]

    async def _rows(self, target: Target) -> dict[Texts, Texts]:
        """Rows by key, each value as its canonical text."""
        wanted = ", ".join(_canonical_sql(column) for column in target.columns)
        records = await self._target.fetch(f"SELECT {wanted} FROM {_name(self._schema)}.{_name(target.name)}")
        rows: dict[Texts, Texts] = {}
        places = [[c.name for c in target.columns].index(k) for k in target.key]
        for record in records:
            row = tuple(_from_target(c, text) for c, text in zip(target.columns, record, strict=True))
            rows[tuple(row[place] for place in places)] = row
        return rows

    def _source_rows(self) -> dict[str, list[dict[str, Value]]]:
        """Every row of every table in one snapshot, as exact values by column; the rowid is there as `rowid`."""
        self._source.execute("BEGIN")
        try:
            return {name: list(self._read_table(name)) for name in self._tables() if name not in self._ignored}
        finally:
            self._source.execute("ROLLBACK")

    def _tables(self) -> list[str]:
        found = self._source.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cdc\\_%' ESCAPE '\\'"
        )
        return [str(row[0]) for row in found]

    def _read_table(self, table: str) -> Iterator[dict[str, Value]]:
        listed = self._source.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1", (table,))
        names = [str(row[0]) for row in listed]
        wanted = {name: _name(name) for name in names}
        if rowid := self._rowid(table, names):
            wanted["_cdc_rowid"] = rowid
        exact = ", ".join(f"typeof({c}), CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END"
                          for c in wanted.values())  # fmt: skip
        codec = {"UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}.get(str(self._source.pragma("encoding")), "utf-8")
        for row in self._source.execute(f"SELECT {exact} FROM {_name(table)}"):
            values = (_exact(kind, found, codec) for kind, found in zip(row[::2], row[1::2], strict=True))
            yield dict(zip(wanted, values, strict=True))

    def _rowid(self, table: str, names: Sequence[str]) -> str | None:
        kind = self._source.execute("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)).get
        hidden = {name.lower() for name in names}
        return None if kind else next((n for n in ("_rowid_", "rowid", "oid") if n not in hidden), None)

    # --- the quarantine ---

    async def _unjust(
        self,
        target: Target,
        rows: Sequence[Mapping[str, Value]],
        held: Mapping[str, Held],
        there: Mapping[str, Mapping[Texts, Texts]],
    ) -> Any:
        """Quarantined keys that should not be there, in words."""
        by_key = {_source_key(target, row): row for row in rows}
        for key, entry in held.items():
            row = by_key.get(key)
            if row is None:
                yield f"{target.name} {key!r} is in quarantine, but not in SQLite"
                continue
            texts = _texts(target, row)
            if tuple(texts[k] for k in target.key) in there[target.name]:
                yield f"{target.name} {key!r} is in quarantine, but in Postgres too"
            if not await self._deserved(target, texts, entry.reason, there):
                yield f"{target.name} {key!r} is in quarantine as {entry.reason} without cause"

    async def _deserved(
        self, target: Target, texts: Mapping[str, str], reason: str, there: Mapping[str, Mapping[Texts, Texts]]
    ) -> bool:
        if reason == "value":
            return any(
                texts[c.name] == UNFIT or (texts[c.name] == NULL and c.not_null)
                for c in target.columns
                if c.name in texts
            )
        if reason == "orphan":
            return any(_without_parent(texts, key, self._known[key.parent], there) for key in target.foreign_keys)
        return UNFIT not in texts.values() and await self._refused(target, texts)

    async def _refused(self, target: Target, texts: Mapping[str, str]) -> bool:
        """Whether Postgres refuses the row now, tried for real and taken back."""
        columns = [c for c in target.columns if c.name in texts]
        made = ", ".join(_value_sql(c, place) for place, c in enumerate(columns, 1))
        names = ", ".join(_name(c.name) for c in columns)
        values = [_parameter(c, texts[c.name]) for c in columns]
        attempt = self._target.transaction()
        await attempt.start()
        try:
            await self._target.execute("SET CONSTRAINTS ALL IMMEDIATE")
            table = f"{_name(self._schema)}.{_name(target.name)}"
            await self._target.execute(f"INSERT INTO {table} ({names}) VALUES ({made})", *values)
        except asyncpg.PostgresError:
            return True
        finally:
            await attempt.rollback()
        return False


def _compare(
    target: Target, rows: Sequence[Mapping[str, Value]], there: Mapping[Texts, Texts], held: Mapping[str, Held]
) -> Iterator[str]:
    """Differences between the rows that should be in Postgres and those that are."""
    wanted: dict[Texts, Mapping[str, str]] = {}
    for row in rows:
        if _source_key(target, row) not in held:
            texts = _texts(target, row)
            wanted[tuple(texts[k] for k in target.key)] = texts
    if len(rows) != len(there) + len(held):
        yield f"{target.name} has {len(rows)} rows in SQLite, {len(there)} in Postgres and {len(held)} in quarantine"
    for key in wanted.keys() - there.keys():
        yield f"{target.name} {key} is in SQLite only: {dict(wanted[key])}"
    for key in there.keys() - wanted.keys():
        yield f"{target.name} {key} is in Postgres only: {there[key]}"
    for key in wanted.keys() & there.keys():
        for column, found in zip(target.columns, there[key], strict=True):
            if column.name in wanted[key] and wanted[key][column.name] != found:
                yield f"{target.name} {key} column {column.name}: SQLite {wanted[key][column.name]}, Postgres {found}"


def _without_parent(
    texts: Mapping[str, str], key: ForeignKey, parent: Target, there: Mapping[str, Mapping[Texts, Texts]]
) -> bool:
    referred = tuple(texts[c] for c in key.columns)
    places = [[c.name for c in parent.columns].index(c) for c in key.parent_columns]
    present = {tuple(row[place] for place in places) for row in there[parent.name].values()}
    return NULL not in referred and referred not in present


def _source_key(target: Target, row: Mapping[str, Value]) -> str:
    """The row's key in quarantine; several rows can have a NULL in their declared key, and are known by rowid."""
    key = [row[name] for name in target.key]
    if None in key and isinstance(rowid := row.get("_cdc_rowid"), int):
        return encode_key([NullKey(rowid) for _ in key])
    return encode_key(key)


# --- one value, two ways ----------------------------------------------------------------------------------------------


def _texts(target: Target, row: Mapping[str, Value]) -> dict[str, str]:
    return {c.name: _from_source(c, row[c.name]) for c in target.columns if c.name in row}


def _from_source(column: Column, value: Value) -> str:
    """The canonical text of a SQLite value for a column, `UNFIT` when the column cannot hold it."""
    if value is None:
        return NULL
    if column.literal:
        return "=" + encode_key([value])
    if isinstance(value, InvalidText):
        return UNFIT
    return _KINDS.get(column.kind, _as_text)(value)


def _as_integer(low: int, high: int) -> Callable[[Value], str]:
    return lambda value: f"i{value}" if type(value) is int and low <= value <= high else UNFIT


def _as_double(value: Value) -> str:
    if type(value) is int and int(float(value)) != value:
        return UNFIT
    return "r" + struct.pack(">d", value).hex() if isinstance(value, int | float) else UNFIT


def _as_decimal(value: Value) -> str:
    if not isinstance(value, int | float) or str(value) == "-0.0":
        return UNFIT
    return f"d{Decimal(str(value)).normalize():e}"


def _as_flag(value: Value) -> str:
    return f"i{value}" if type(value) is int and value in (0, 1) else UNFIT


def _as_bytes(value: Value) -> str:
    return "b" + value.hex() if isinstance(value, bytes) else UNFIT


def _as_text(value: Value) -> str:
    return f"t{value}" if isinstance(value, str) and "\x00" not in value else UNFIT


def _as_document(value: Value) -> str:
    try:
        return _document(value if isinstance(value, str) else json.dumps(value))
    except (ValueError, TypeError):
        return UNFIT


def _as_binary_document(value: Value) -> str:
    """What jsonb keeps whole: no object with a key twice, no character that Postgres has not."""
    found = _as_document(value)
    return UNFIT if found != UNFIT and (_DOUBLED in found or not _storable(json.loads(found[1:]))) else found


_DOUBLED = "a key twice \N{SNOWMAN WITHOUT SNOW}"  # in place of an object, where one would be lost


def _document(text: str) -> str:
    """A document with its keys in order and each number exact, however it was written."""
    parsed = json.loads(
        text, parse_int=_number, parse_float=_number, parse_constant=_no_number, object_pairs_hook=_object
    )
    return "j" + json.dumps(parsed, sort_keys=True, ensure_ascii=False)


def _object(pairs: list[tuple[str, Any]]) -> Any:
    return dict(pairs) if len(dict(pairs)) == len(pairs) else [_DOUBLED, *sorted(map(repr, pairs))]


def _storable(parsed: Any) -> bool:
    match parsed:
        case str():
            return "\0" not in parsed and not any(0xD800 <= ord(c) <= 0xDFFF for c in parsed)
        case list():
            return all(map(_storable, parsed))
        case dict():
            return all(_storable(key) and _storable(value) for key, value in parsed.items())
    return True


def _number(text: str) -> Any:
    """A number as a list, which no text is taken for: sign, digits without zeros at the end, exponent."""
    sign, digits, exponent = Decimal(text).as_tuple()
    kept = "".join(map(str, digits)).lstrip("0").rstrip("0")
    dropped = len("".join(map(str, digits)).lstrip("0")) - len(kept)
    return ["number", sign if kept else 0, kept, int(exponent) + dropped if kept else 0]


def _no_number(_: str) -> Any:
    raise ValueError


def _as_moment(value: Value) -> str:
    if not isinstance(value, str):
        return UNFIT
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return UNFIT
    return "m" + (found.astimezone(UTC) if found.tzinfo else found).strftime("%Y-%m-%d %H:%M:%S.%f")


def _as_uuid(value: Value) -> str:
    try:
        return f"t{UUID(value)}" if isinstance(value, str) else UNFIT
    except ValueError:
        return UNFIT


_KINDS: dict[str, Callable[[Value], str]] = {
    "int2": _as_integer(-(2**15), 2**15 - 1),
    "int4": _as_integer(-(2**31), 2**31 - 1),
    "int8": _as_integer(-(2**63), 2**63 - 1),
    "float8": _as_double,
    "numeric": _as_decimal,
    "bool": _as_flag,
    "bytea": _as_bytes,
    "json": _as_document,
    "jsonb": _as_binary_document,
    "timestamp": _as_moment,
    "timestamptz": _as_moment,
    "uuid": _as_uuid,
}


def _exact(kind: Any, value: Any, codec: str = "utf-8") -> Value:
    """What SQLite stores, where a text was read as its bytes."""
    if kind != "text":
        return value  # type: ignore[no-any-return]
    try:
        return bytes(value).decode(codec)
    except UnicodeDecodeError:
        return InvalidText(bytes(value))


def _canonical_sql(column: Column) -> str:
    name = _name(column.name)
    match column.kind:
        case "float8":
            return f"encode(float8send({name}), 'hex')"
        case "bytea":
            return f"encode({name}, 'hex')"
        case "bool":
            return f"{name}::int::text"
        case "timestamp":
            return f"to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US')"
        case "timestamptz":
            return f"to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
        case _:
            return f"{name}::text"


def _from_target(column: Column, text: str | None) -> str:
    if text is None:
        return NULL
    if column.literal:
        return "=" + encode_key([_evaluated(text)])
    match column.kind:
        case "numeric":
            return f"d{Decimal(text).normalize():e}"
        case "json" | "jsonb":
            return _document(text)
        case kind:
            return _PREFIXES.get(kind, "t") + text


_PREFIXES = {"int2": "i", "int4": "i", "int8": "i", "bool": "i", "float8": "r", "bytea": "b"} | dict.fromkeys(
    ("timestamp", "timestamptz"), "m"
)
_calculator = apsw.Connection(":memory:")


def _evaluated(literal: str) -> Value:
    """What a SQL literal means, told by SQLite itself."""
    row = _calculator.execute(
        f"WITH v(x) AS (SELECT {literal}) SELECT typeof(x), CASE typeof(x) WHEN 'text' THEN CAST(x AS BLOB) ELSE x END "
        "FROM v"
    ).get
    return _exact(row[0], row[1])


def _value_sql(column: Column, place: int) -> str:
    return f"decode(${place}::text, 'hex')" if column.kind == "bytea" else f"${place}::text::{column.kind}"


def _parameter(column: Column, text: str) -> str | None:
    """A canonical text as what `_value_sql` reads."""
    if text == NULL:
        return None
    return repr(struct.unpack(">d", bytes.fromhex(text[1:]))[0]) if column.kind == "float8" else text[1:]


# --- Postgres' catalogue ----------------------------------------------------------------------------------------------

_COLUMNS = """
SELECT table_name, column_name, udt_name, is_nullable = 'NO' AS not_null FROM information_schema.columns
WHERE table_schema = $1 ORDER BY table_name, ordinal_position
"""
_KEYS = """
SELECT t.relname::text AS child, c.contype::text AS kind, p.relname::text AS parent,
    ARRAY(SELECT attname::text FROM unnest(c.conkey) WITH ORDINALITY k(n, i)
          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = n ORDER BY i) AS columns,
    ARRAY(SELECT attname::text FROM unnest(c.confkey) WITH ORDINALITY k(n, i)
          JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = n ORDER BY i) AS parent_columns
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid LEFT JOIN pg_class p ON p.oid = c.confrelid
WHERE c.connamespace = $1::text::regnamespace AND c.contype IN ('p', 'f') ORDER BY c.contype DESC
"""


async def read_catalogue(connection: Connection, schema: str, source_id: str) -> dict[str, Target]:
    """The tables of a schema; which columns keep literals is told by what the stream remembers."""
    decided = json.loads(
        await connection.fetchval("SELECT columns::text FROM cdc.mapping WHERE source_id = $1", source_id)
    )
    found: dict[str, Target] = {}
    for row in await connection.fetch(_COLUMNS, schema):
        target = found.setdefault(row["table_name"], Target(row["table_name"], [], ()))
        literal = decided.get(target.name, {}).get(row["column_name"], {}).get("literal", False)
        target.columns.append(Column(row["column_name"], row["udt_name"], row["not_null"], literal))
    for row in await connection.fetch(_KEYS, _name(schema)):
        child = found[row["child"]]
        if row["kind"] == "p":
            child.key = tuple(row["columns"])
        else:
            child.foreign_keys.append(ForeignKey(tuple(row["columns"]), row["parent"], tuple(row["parent_columns"])))
    return found


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
