"""The triggers of the fence: which tables need them, which stand as they would be made now, and what is to be done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from cdc.config import Config
from cdc.facts.values import InvalidText
from cdc.sql_names import quote
from cdc.sqlite.capture.schema_objects import FENCE_TRIGGER, StoredTrigger, triggers_by_table
from cdc.sqlite.capture.trigger_sql import template
from cdc.sqlite.rows.exact_values import fetch_values
from cdc.sqlite.schema.read import OUR_TABLES
from cdc.sqlite.schema.shadow_tables import guests_of_virtual_tables

_EVENTS: Final = {"i": "INSERT", "u": "UPDATE", "d": "DELETE"}
_OBJECTS: Final = "SELECT name, type FROM pragma_table_list WHERE schema = 'main' ORDER BY name"
_VIRTUAL: Final = "a virtual table cannot carry triggers"
_INVALID_NAME: Final = "its name is not valid UTF-8"


@dataclass(frozen=True, slots=True)
class FencePlan:
    """What has to be done so that exactly the wanted triggers stand: nothing when both are empty.

    `drop` are names of triggers, `create` the tables that lack whole ones by the number in their triggers' names.
    `unfenceable` tells of tables that cannot carry them, with the reason.
    """

    drop: tuple[str, ...]
    create: Mapping[int, str]
    unfenceable: Mapping[str, str]

    @property
    def lacking(self) -> tuple[str, ...]:
        """The tables without whole triggers, in name order."""
        return tuple(self.create.values())


def trigger_sql(number: int, table: str, form: str = "fence") -> dict[str, str]:
    """The triggers of one table by name, word for word as SQLite stores them; `form` is the template's name."""
    names = {f"_cdc_fence_{number}_{suffix}": event for suffix, event in _EVENTS.items()}
    made_from, on = template(form), quote(table)
    return {name: made_from.substitute(trigger=quote(name), event=event, table=on) for name, event in names.items()}


def standing(connection: apsw.Connection, config: Config) -> dict[str, str]:
    """The triggers of a fence that stands alone, by name: for every table that can carry one."""
    tables, _ = _tables(connection, config)
    return {
        name: sql for n, table in enumerate(tables, 1) for name, sql in trigger_sql(n, table, "standing_fence").items()
    }


def plan(connection: apsw.Connection, config: Config) -> FencePlan:
    """What the schema lacks as it is now; every table of the application is fenced, also one that is not replicated."""
    tables, unfenceable = _tables(connection, config)
    by_table = triggers_by_table(connection)
    present = [t for of_table in by_table.values() for t in of_table if FENCE_TRIGGER.fullmatch(t.name)]
    kept: set[str] = set()
    lacking: list[str] = []
    for table in tables:
        whole = _whole(table, by_table.get(table.lower(), ()))
        kept.update(whole)
        if not whole:
            lacking.append(table)
    drop = tuple(t.name for t in present if t.name not in kept)
    fresh = max(map(_number, present), default=0) + 1
    return FencePlan(drop, dict(enumerate(lacking, fresh)), unfenceable)


def _whole(table: str, own: Sequence[StoredTrigger]) -> frozenset[str]:
    """The names of the three triggers of one number that stand on the table as they would be made, empty without."""
    texts = {t.name: t.sql for t in own if FENCE_TRIGGER.fullmatch(t.name)}
    for number in {_number(t) for t in own if t.name in texts}:
        wanted = trigger_sql(number, table)
        if wanted.items() <= texts.items():
            return frozenset(wanted)
    return frozenset()


def carry_out(connection: apsw.Connection, due: FencePlan) -> None:
    """Drop and make what is due, within a transaction that may alter the schema."""
    for name in due.drop:
        connection.execute(f"DROP TRIGGER {quote(name)}")
    for number, table in due.create.items():
        for sql in trigger_sql(number, table).values():
            connection.execute(sql)


def _number(trigger: StoredTrigger) -> int:
    found = FENCE_TRIGGER.fullmatch(trigger.name)
    assert found is not None
    return int(found[1])


def _tables(connection: apsw.Connection, config: Config) -> tuple[Sequence[str], dict[str, str]]:
    """The tables that carry a fence in name order, and those that cannot, with the reason."""
    fenceable: list[str] = []
    unfenceable: dict[str, str] = {}
    for name, kind in fetch_values(connection, _OBJECTS):
        if isinstance(name, InvalidText):
            if kind == "table":
                unfenceable[name.data.decode("utf-8", "replace")] = _INVALID_NAME
        elif kind == "virtual":
            unfenceable[str(name)] = _VIRTUAL
        elif kind == "table" and not str(name).lower().startswith("sqlite_") and str(name).lower() not in OUR_TABLES:
            fenceable.append(str(name))
    # A connection that knows the virtual table's module may refuse a schema with triggers on tables of its own.
    guests = guests_of_virtual_tables(connection, fenceable, config)
    unfenceable |= {name: guest.reason for name, guest in guests.items()}
    return [name for name in fenceable if name not in guests], unfenceable
