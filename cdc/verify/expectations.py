"""Questions whose answers the operator knows: asked of both databases, beside the comparison of rows."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from cdc.config import Config, Expectation
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection
from cdc.postgres.record.record import Record
from cdc.postgres.tables.hashed_rows import snapshot
from cdc.sqlite.rows.question import ask

ATTEMPTS: Final = 50  # while a daemon runs, because what changed the answer may be on its way to Postgres
WAIT_SECONDS: Final = 0.2

Answer = int | float | str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """An expectation and what both databases said."""

    name: str
    expected: int | str
    source: Answer
    target: Answer

    @property
    def met(self) -> bool:
        """Whether both gave the expected answer."""
        return self.source == self.expected == self.target

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        return {
            "name": self.name,
            "expected": self.expected,
            "source": self.source,
            "target": self.target,
            "met": self.met,
        }


async def ask_both(record: Record, config: Config) -> tuple[Answered, ...]:
    """Every expectation. The two are not read at one moment: answers that differ are asked for again, for a while."""
    return tuple([await _settled(record, config, wanted) for wanted in config.verify.expect])


def unmet(answers: Sequence[Answered]) -> tuple[Answered, ...]:
    """The expectations that were not met."""
    return tuple(found for found in answers if not found.met)


async def _settled(record: Record, config: Config, wanted: Expectation) -> Answered:
    found = await _once(record.connection, config, wanted)
    for _ in range(ATTEMPTS - 1):
        if found.source == found.target or not await record.daemon_runs():
            break
        await asyncio.sleep(WAIT_SECONDS)
        found = await _once(record.connection, config, wanted)
    return found


async def _once(connection: Connection, config: Config, wanted: Expectation) -> Answered:
    source = await asyncio.to_thread(ask, config.source, wanted.name, wanted.sql)
    async with snapshot(connection):
        with translated(f"asking Postgres: {wanted.name}"):
            target = await connection.fetchval(wanted.target_sql or wanted.sql)
    return Answered(wanted.name, wanted.answer, _plain(source), _plain(target))


def _plain(value: object) -> Answer:
    """One form for what the two write differently: true and 1, 5 as a numeric and as an integer."""
    match value:
        case bool():
            return int(value)
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case None | int() | float() | str():
            return value
        case _:
            return str(value)
