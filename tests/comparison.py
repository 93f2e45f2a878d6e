"""Whether Postgres holds what SQLite holds, told by reading both in a way of its own.

Nothing of the code under test is used, except how a key is written in the quarantine: `cdc.facts.row_key.encode_key`.
Each value becomes one canonical text on either side. Rows in quarantine are taken out, after a check that they deserve
it: the row is in SQLite, not in Postgres, and its reason is real.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apsw
import asyncpg
from compared_tables import Connection, ForeignKey, Target, Texts, quoted, read_catalogue
from compared_values import NULL, UNFIT, canonical_sql, exact, from_target, parameter, texts_of, value_sql

from cdc.facts.row_key import encode_key
from cdc.facts.values import NullKey, Value


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
        wanted = ", ".join(canonical_sql(column) for column in target.columns)
        records = await self._target.fetch(f"SELECT {wanted} FROM {quoted(self._schema)}.{quoted(target.name)}")
        rows: dict[Texts, Texts] = {}
        places = [[c.name for c in target.columns].index(k) for k in target.key]
        for record in records:
            row = tuple(from_target(c, text) for c, text in zip(target.columns, record, strict=True))
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
        wanted = {name: quoted(name) for name in names}
        if rowid := self._rowid(table, names):
            wanted["_cdc_rowid"] = rowid
        columns = ", ".join(f"typeof({c}), CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END"
                            for c in wanted.values())  # fmt: skip
        codec = {"UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}.get(str(self._source.pragma("encoding")), "utf-8")
        for row in self._source.execute(f"SELECT {columns} FROM {quoted(table)}"):
            values = (exact(kind, found, codec) for kind, found in zip(row[::2], row[1::2], strict=True))
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
            texts = texts_of(target, row)
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
        if reason == "returned":
            return bool(await self._target.fetchval("SELECT EXISTS (SELECT FROM cdc.tombstone WHERE waits)"))
        if reason == "orphan":
            return any(_without_parent(texts, key, self._known[key.parent], there) for key in target.foreign_keys)
        return UNFIT not in texts.values() and await self._refused(target, texts)

    async def _refused(self, target: Target, texts: Mapping[str, str]) -> bool:
        """Whether Postgres refuses the row now, tried for real and taken back."""
        columns = [c for c in target.columns if c.name in texts]
        made = ", ".join(value_sql(c, place) for place, c in enumerate(columns, 1))
        names = ", ".join(quoted(c.name) for c in columns)
        values = [parameter(c, texts[c.name]) for c in columns]
        attempt = self._target.transaction()
        await attempt.start()
        try:
            await self._target.execute("SET CONSTRAINTS ALL IMMEDIATE")
            table = f"{quoted(self._schema)}.{quoted(target.name)}"
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
            texts = texts_of(target, row)
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
