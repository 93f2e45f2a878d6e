"""The schema script meets the database: what is there already, what is in the way, what is made."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import asyncpg

from cdc.errors import TargetMismatch, TargetNotEmpty
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.faults import crash_point
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.refusals import REFUSED
from cdc.postgres.connection.statements import load
from cdc.postgres.ddl.schema_script import add_column, drop_not_null, mark, not_null_columns, set_not_null
from cdc.postgres.tables.catalogue import read_tables
from cdc.postgres.tables.statement import EXISTS, Made, Statement

# Called once a statement, with None when it was done, else with the reason why it was not.
Outcome = Callable[[Statement, str | None], None]

# Called with a constraint that rows break, to take these rows out of its way.
Hold = Callable[[Statement], Awaitable[None]]

TABLES_AT_ONCE: Final = 100  # made in one transaction


@dataclass(frozen=True, slots=True)
class _Relation:
    is_table: bool
    owner_table: str | None
    comment: str | None


@dataclass(frozen=True, slots=True)
class _Present:
    """What a schema held when we looked; None stands for a schema that does not exist."""

    exists: bool
    relations: dict[str, _Relation]
    constraints: set[tuple[str, str]]


async def apply(
    connection: Connection,
    statements: Sequence[Statement],
    outcome: Outcome | None = None,
    hold: Hold | None = None,
    *,
    together: bool = True,
) -> list[Statement]:
    """Run the statements whose objects are not there yet, in their order; returns those that were run.

    `together` makes a table and what belongs to it there or nothing, and many in one transaction; otherwise each
    statement counts for itself. A second call goes on where the first ended. An optional statement may fail; its reason
    goes to `outcome`. A constraint that rows break is made after `hold` took them away, where it is given.
    Raises `TargetNotEmpty` when a name is taken, `TargetMismatch` when the rows break a constraint, other
    `TargetError`s otherwise.
    """
    with translated("creating the schema"):
        present = {schema: await _look(connection, schema) for schema in {s.schema for s in statements}}
        if not together:
            return await _apply_all(connection, statements, present, outcome, hold)
        applied: list[Statement] = []
        for portion in _portions(statements):
            async with connection.transaction():
                applied += await _apply_all(connection, portion, present, outcome, hold)
                crash_point("schema.before_commit")
        crash_point("schema.after_commit")
        return applied


def _portions(statements: Sequence[Statement]) -> Iterator[Sequence[Statement]]:
    """The statements of some tables at a time: each new table, index and sequence is locked to the transaction's end,
    and a server has room for some 6,400 locks of everybody.
    """
    first, tables = 0, set[tuple[str, str]]()
    for place, statement in enumerate(statements):
        table = (statement.schema, statement.table)
        if len(tables) == TABLES_AT_ONCE and table not in tables:
            yield statements[first:place]
            first, tables = place, set()
        tables.add(table)
    if statements:
        yield statements[first:]


async def _apply_all(
    connection: Connection,
    statements: Iterable[Statement],
    present: dict[str, _Present],
    outcome: Outcome | None,
    hold: Hold | None,
) -> list[Statement]:
    applied: list[Statement] = []
    for statement in statements:
        reason = _already(statement, present[statement.schema]) or await _run(connection, statement, hold)
        if reason is None:
            applied.append(statement)
        if outcome:
            outcome(statement, reason)
    return applied


async def _run(connection: Connection, statement: Statement, hold: Hold | None) -> str | None:
    """Run it in a transaction of its own (a savepoint inside another); the reason when an optional one failed."""
    if hold is not None and statement.kind is Made.CONSTRAINT and not statement.optional:
        with suppress(*REFUSED):  # most often no row breaks it, and nothing has to be looked for
            await _execute(connection, statement)
            return None
        await hold(statement)
    try:
        await _execute(connection, statement)
    except asyncpg.IntegrityConstraintViolationError as error:
        if statement.optional:
            return str(error.args[0])
        raise TargetMismatch(
            f"{statement.kind} {statement.object} on {statement.table} cannot be made: {error.args[0]}",
            remedy="the rows in Postgres break it: run `cdc verify --repair`, then try again",
        ) from error
    except (asyncpg.DataError, asyncpg.ProgramLimitExceededError, asyncpg.SyntaxOrAccessError) as error:
        if not statement.optional:
            raise
        return str(error.args[0])
    return None


async def _execute(connection: Connection, statement: Statement) -> None:
    async with connection.transaction():
        await connection.execute(statement.sql)


def _already(statement: Statement, present: _Present) -> str | None:
    """Why a statement need not run, None when it has to; raises `TargetNotEmpty` where another table has the name."""
    match statement.kind:
        case Made.SCHEMA:
            return EXISTS if present.exists else None
        case Made.TABLE | Made.COMMENT:
            return EXISTS if statement.object in present.relations else None
        case Made.CONSTRAINT | Made.CHECK | Made.FOREIGN_KEY if (
            statement.table,
            statement.object,
        ) in present.constraints:
            return EXISTS
        case Made.INDEX | Made.CONSTRAINT if statement.object in present.relations:
            _refuse_foreign(statement, present.relations[statement.object])
            return EXISTS
        case _:
            return None


def _refuse_foreign(statement: Statement, relation: _Relation) -> None:
    if relation.owner_table != statement.table:
        raise TargetNotEmpty(
            f"the name {statement.object} that {statement.kind} of {statement.table} needs is taken in schema "
            f"{statement.schema}",
            remedy="rename what has that name, or choose another `schema` in [target]",
        )


async def _look(connection: Connection, schema: str) -> _Present:
    queries = load("schema")
    exists = bool(await connection.fetchval(queries["schema_exists"], schema))
    relations = {
        r["name"]: _Relation(r["is_table"], r["owner_table"], r["comment"])
        for r in await connection.fetch(queries["relations"], schema)
    }
    constraints = {(r["table_name"], r["name"]) for r in await connection.fetch(queries["constraints"], schema)}
    return _Present(exists, relations, constraints)


async def preflight(connection: Connection, maps: Sequence[TableMap], own: Collection[str] = ()) -> None:
    """Raises `TargetNotEmpty` when a target's name is taken by what is not this source table's own replica.

    A table is our own when its comment says so, or when its name is in `own`.
    """
    taken: list[str] = []
    with translated("looking at the target schema"):
        for schema in {m.schema for m in maps}:
            present = await _look(connection, schema)
            for mapped in (m for m in maps if not m.adopted):
                relation = present.relations.get(mapped.target) if mapped.schema == schema else None
                if relation and mapped.target not in own and relation.comment != mark(mapped):
                    taken.append(f"{schema}.{mapped.target}")
    if taken:
        raise TargetNotEmpty(
            f"these tables would be created but exist already: {', '.join(sorted(taken))}",
            remedy="set `adopt = true` in [target] if the application's own migrations made them; else choose an empty "
            "`schema`, or drop them if they are old",
        )


async def missing_columns(connection: Connection, maps: Sequence[TableMap]) -> tuple[Statement, ...]:
    """The statements that add the mapped columns which existing target tables do not have."""
    return tuple(
        add_column(mapped, name)
        for mapped, target in await _own_targets(connection, maps)
        for name in mapped.target_columns
        if target.column(name) is None
    )


async def needless_not_null(connection: Connection, maps: Sequence[TableMap]) -> tuple[Statement, ...]:
    """The statements that let columns be NULL which may be so in SQLite by now: its rows would be refused."""
    found: list[Statement] = []
    for mapped, target in await _own_targets(connection, maps):
        free = set(mapped.target_columns) - {*mapped.key, *not_null_columns(mapped)}
        found += [drop_not_null(mapped, c.name) for c in target.columns if c.not_null and c.name in free]
    return tuple(found)


async def missing_not_null(connection: Connection, maps: Sequence[TableMap]) -> tuple[Statement, ...]:
    """The statements, each optional, that make columns NOT NULL which are so in SQLite and were added without it."""
    found: list[Statement] = []
    for mapped, target in await _own_targets(connection, maps):
        wanted = set(not_null_columns(mapped))
        found += [set_not_null(mapped, c.name) for c in target.columns if not c.not_null and c.name in wanted]
    return tuple(found)


async def _own_targets(connection: Connection, maps: Sequence[TableMap]) -> list[tuple[TableMap, TargetTable]]:
    """The tables of our making that are there, with their maps."""
    pairs: list[tuple[TableMap, TargetTable]] = []
    for schema in sorted({m.schema for m in maps}):
        own = [m for m in maps if m.schema == schema and not m.adopted]
        tables = await read_tables(connection, schema, [m.target for m in own])
        pairs += [(m, tables[m.target]) for m in own if m.target in tables]
    return pairs
