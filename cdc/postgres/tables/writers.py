"""Who else may write to a table, as far as Postgres knows: sessions of others, roles, triggers and rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.facts.target_schema import TargetTable
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.statements import load
from cdc.sql_names import qualified

MOST: Final = 10  # of a kind
_SQL: Final = load("writers")


@dataclass(frozen=True, slots=True)
class OtherSession:
    """Sessions of one program: how many, under which role, from where (None for a socket, or unknown).

    `writing` says that one of them has written to the table in a transaction that still lasts.
    """

    name: str
    role: str
    address: str | None
    sessions: int
    writing: bool

    def __str__(self) -> str:
        """For people."""
        several = f"{self.sessions} sessions, " if self.sessions > 1 else ""
        address = f" from {self.address}" if self.address else ""
        return f"{self.name} ({several}role {self.role}{address}{', writes to it now' if self.writing else ''})"


@dataclass(frozen=True, slots=True)
class Writers:
    """What Postgres knows of one table: who is connected, which other roles may write, what reacts to a write."""

    sessions: tuple[OtherSession, ...] = ()
    roles: tuple[str, ...] = ()
    reactions: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What is known, in a line for each kind."""
        kinds = (
            ("connected to this database now", self.sessions),
            ("other roles that may write to it", self.roles),
            ("triggers and rules on it", self.reactions),
        )
        return [f"{what}: {', '.join(map(str, known))}" for what, known in kinds if known]

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        return {
            "sessions": [
                {"name": s.name, "role": s.role, "address": s.address, "sessions": s.sessions, "writing": s.writing}
                for s in self.sessions
            ],
            "roles": list(self.roles),
            "triggers_and_rules": list(self.reactions),
        }


async def writers_of(connection: Connection, target: TargetTable) -> Writers:
    """Who else may write to a table now. Raises `TargetError`."""
    name = qualified(target.schema, target.name)
    with translated(f"asking who writes to {name}"):
        sessions = await connection.fetch(_SQL["sessions"], name, MOST)
        roles = await connection.fetch(_SQL["roles"], name, MOST)
    return Writers(
        tuple(OtherSession(*row) for row in sessions),
        tuple(f"{row['role']} (superuser)" if row["superuser"] else row["role"] for row in roles),
        await reactions_of(connection, target.schema, target.name),
    )


async def reactions_of(connection: Connection, schema: str, table: str) -> tuple[str, ...]:
    """The triggers and rules that react when the table is written to."""
    name = qualified(schema, table)
    with translated(f"asking what reacts to writes to {name}"):
        rows = await connection.fetch(_SQL["reactions"], name)
    return tuple(f"{row['kind']} {row['name']}{' (always)' if row['always'] else ''}" for row in rows)


async def guarded(connection: Connection, schema: str, tables: Sequence[str]) -> list[str]:
    """Those of the tables that are to be settled anew: by triggers that we may disable, rules, or hidden rows."""
    with translated("asking what reacts to writes"):
        return [row[0] for row in await connection.fetch(_SQL["guarded"], schema, list(tables))]
