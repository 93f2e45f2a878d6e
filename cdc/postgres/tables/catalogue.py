"""What Postgres says about its tables: after the schema exists, the only truth about types and constraints."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from cdc.facts.target_schema import (
    ObjectKind,
    ObjectPlace,
    SchemaObject,
    TargetColumn,
    TargetForeignKey,
    TargetTable,
    TargetUnique,
)
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load

TWIN: Final = "_cdc_twin_of_"  # begins the name of an index that is to take the place of a key's own
STANDS_FOR: Final = "cdc: in place of "  # begins the comment of an index that took it; a constraint follows

_ACTIONS: Final = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}

_Record = Any  # asyncpg.Record; its stubs make every value Any


async def read_tables(
    connection: Connection, schema: str, names: Sequence[str] | None = None
) -> dict[str, TargetTable]:
    """The tables of a schema by name, all of them or only `names`; a name that is no table there is left out.

    Reads in three statements: call it in one repeatable read transaction where others may alter tables meanwhile.
    """
    chosen = None if names is None else list(names)
    queries = load("catalogue")
    with translated(f"reading the tables of schema {schema}"):
        columns = await connection.fetch(queries["tables"], schema, chosen)
        uniques = _grouped(await connection.fetch(queries["uniques"], schema, chosen))
        foreign_keys = _grouped(await connection.fetch(queries["foreign_keys"], schema, chosen))
    return {
        name: TargetTable(
            schema=schema,
            name=name,
            columns=tuple(_column(r) for r in records if r["name"] is not None),
            uniques=tuple(_unique(r) for r in uniques.get(name, ())),
            foreign_keys=tuple(_foreign_key(r) for r in foreign_keys.get(name, ())),
            user_triggers=tuple(records[0]["triggers"]),
            rules=tuple(records[0]["rules"]),
            partitioned=records[0]["partitioned"],
            row_security=records[0]["row_security"],
            owned=records[0]["owned"],
        )
        for name, records in _grouped(columns).items()
    }


async def names_alike(connection: Connection, schema: str, names: Sequence[str]) -> list[str]:
    """The tables of a schema with one of these names in small letters, whatever the case of theirs."""
    with translated(f"looking for tables in schema {schema}"):
        return [row["name"] for row in await connection.fetch(load("catalogue")["alike"], schema, names)]


async def read_objects(connection: Connection, schema: str, names: Sequence[str]) -> dict[ObjectPlace, SchemaObject]:
    """All parts of some tables of a schema, in one statement; a table that is not there has none.

    A key that has another form while an application writes is shown as what it stands for, and no twin is shown.
    """
    with translated(f"reading the tables of schema {schema}"):
        records = await connection.fetch(load("catalogue")["objects"], schema, list(names), STANDS_FOR, TWIN)
    return {
        ObjectPlace(r["table_name"], ObjectKind(r["kind"]), r["name"]): SchemaObject(r["definition"], r["usable"])
        for r in records
    }


def _grouped(records: Sequence[_Record]) -> dict[str, list[_Record]]:
    groups: defaultdict[str, list[_Record]] = defaultdict(list)
    for record in records:
        groups[record["table_name"]].append(record)
    return groups


def _column(r: _Record) -> TargetColumn:
    return TargetColumn(
        name=r["name"],
        type=r["type"],
        base=r["base"],
        domain_of=r["domain_of"],
        oid=r["oid"],
        not_null=r["not_null"],
        has_default=r["has_default"],
        generated=r["generated"],
        identity=r["identity"],
        length=r["length"],
        precision=r["precision"],
        scale=r["scale"],
        collation=r["collation"],
        deterministic=r["deterministic"],
        labels=tuple(r["labels"]),
    )


def _unique(r: _Record) -> TargetUnique:
    return TargetUnique(
        name=r["name"],
        columns=tuple(r["columns"]),
        primary=r["is_primary"],
        deferrable=r["deferrable"],
        partial=r["partial"],
    )


def _foreign_key(r: _Record) -> TargetForeignKey:
    return TargetForeignKey(
        name=r["name"],
        columns=tuple(r["columns"]),
        parent_schema=r["parent_schema"],
        parent=r["parent"],
        parent_columns=tuple(r["parent_columns"]),
        on_delete=_ACTIONS[r["on_delete"]],
        on_update=_ACTIONS[r["on_update"]],
        deferrable=r["deferrable"],
    )
