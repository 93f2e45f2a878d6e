"""What every kind of schema change says of itself, and the facts that it is seen by.

A kind is one file of this room. It says how it is seen and when a person has to decide first, both without touching a
database, what happens before rows are read again, and what once every row is there. `cdc.evolve.kinds` has their order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from cdc.config import Config
from cdc.evolve.replica import Replica
from cdc.facts.leftover import Leftover
from cdc.facts.source_schema import Table
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.known import Decisions
from cdc.mapping.revision import Revision
from cdc.postgres.record.waiting_tables import Waiting
from cdc.sqlite.changelog.source_file import Look


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """The application's file as it is now, and what the stream remembers of it.

    `decided` are the remembered columns of the tables that were fed until now, `leftovers` those of what was fed once.
    `known_version` is SQLite's schema counter when capture was last whole, None when that is not known yet. `maps` are
    of the tables that are fed now, by their names in SQLite; `rekeyed` tables have another key than their copy.
    `awaited` adopted tables cannot be fed, because a migration of the application has yet to run in Postgres.
    `revisions` are columns of `maps` that were mapped otherwise until now. `targets` stand in Postgres, by their names
    there.
    """

    config: Config
    look: Look
    decided: Decisions
    known_version: int | None
    leftovers: tuple[Leftover, ...] = ()
    maps: Mapping[str, TableMap] = field(default_factory=dict)
    rekeyed: frozenset[str] = frozenset()
    awaited: Mapping[str, Waiting] = field(default_factory=dict)
    revisions: tuple[Revision, ...] = ()
    targets: Mapping[str, TargetTable] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables of the file that can be fed: rows of a rekeyed one cannot be found in its copy."""
        return tuple(table for table in self.look.schema.tables if table.name not in self.rekeyed)

    @property
    def captured(self) -> frozenset[str]:
        """The tables whose changes are logged."""
        capture = self.look.capture
        return frozenset(table.name for table in capture.tables.values()) if capture else frozenset()

    @property
    def lacks_choices(self) -> bool:
        """Whether an older version decided, which did not keep by what choice."""
        fed = (self.decided.get(name, {}).get(c.target) for name, m in self.maps.items() for c in m.columns)
        return any(decision is not None and "choice" not in decision for decision in fed)

    @property
    def counter_steps(self) -> int:
        """How far SQLite's schema counter moved since capture was last whole; 0 while that is not known."""
        return 0 if self.known_version is None else self.look.counter - self.known_version

    @property
    def is_other_schema(self) -> bool:
        """Whether anything of the schema may be another since then, indexes and constraints alone included."""
        return self.known_version is None or self.counter_steps != 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """A change of one kind, with all the tables that it was seen at. A kind overrides what concerns it.

    `reasons` tell why the stream cannot go on as it was; without any, the change is looked at beside others only.
    `resync` are source tables whose changes may not all have been logged: they are read as a whole with the next batch.
    `needs_capture` says that capture has to be made whole.

    The daemon may die between any two steps: each can be taken again, and the next daemon sees what is left to do.
    """

    reasons: tuple[str, ...] = ()
    resync: tuple[str, ...] = ()
    needs_capture: bool = False

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """The change, None where there is none of this kind."""
        return None

    def refuse(self) -> None:
        """Raises `SchemaDrift` when a person has to decide before anything can go on."""

    async def let_go(self, replica: Replica) -> bool:
        """Before the rows, leave what is gone as it is; returns whether rows in quarantine may fit since."""
        return False

    async def extend(self, replica: Replica) -> None:
        """Before the rows, and after all is let go, make what they need."""

    @classmethod
    async def after_rows(cls, replica: Replica, targets: Mapping[str, TargetTable]) -> None:
        """Once every row is there, make what waited for that.

        Which changes there were is not remembered: it goes by what is missing in `targets`, the tables by their names
        in Postgres.
        """


def is_fed_no_longer(table: str) -> str:
    """The reason told for a table that is lost or rekeyed: from the file alone these cannot always be told apart."""
    return f"table {table} is gone, was renamed, or has another key"
