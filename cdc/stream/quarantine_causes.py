"""What waits in quarantine, by causes: rows that only wait for another one are told under what holds that one back."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cdc.config import Config
from cdc.errors import CdcError
from cdc.facts.cause import ConfigLines
from cdc.facts.changes import Reason, nameless
from cdc.facts.row_key import decode_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.remedies import helps, outcomes
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.quarantine import QuarantinedRow
from cdc.postgres.record.record import Record
from cdc.postgres.tables.catalogue import read_tables
from cdc.sqlite.changelog import source_file

_QUOTED: Final = re.compile(r'"((?:[^"]|"")*)"')

RowId = tuple[str, str]  # source table and encoded key
ColumnId = tuple[str, str]  # source table and target column


@dataclass(frozen=True, slots=True)
class HeldCause:
    """Rows that wait for the same reason, in whatever table; `followers` wait for nothing but these, down to the last.

    `choices` suit the columns; whether they hold the values, `cdc plan` tries.
    """

    text: str
    remedy: str
    rows: tuple[QuarantinedRow, ...]
    followers: tuple[QuarantinedRow, ...] = ()
    choices: Mapping[ColumnId, tuple[ConfigLines, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FedTable:
    """A table with its target, as far as both are there."""

    mapped: TableMap
    target: TargetTable


async def fed_tables(record: Record, config: Config) -> tuple[list[str], dict[str, FedTable]]:
    """The names of the file's tables, and those that are fed by source name; none where that cannot be read now."""
    try:
        look = await asyncio.to_thread(source_file.look, config)
        maps = (await current_tables(record, config, look.schema)).fed
        targets = await read_tables(record.connection, config.target.schema, [m.target for m in maps])
    except CdcError:
        return [], {}
    fed = {m.source.name: FedTable(m, targets[m.target]) for m in maps if m.target in targets}
    return [table.name for table in look.schema.tables], fed


def causes(rows: Sequence[QuarantinedRow], fed: Mapping[str, FedTable]) -> list[HeldCause]:
    """What holds rows back, the causes of most rows first; each row is in one of them."""
    waits_for = dict(_held_parents(rows, fed))
    own: dict[tuple[str, str], list[QuarantinedRow]] = {}
    following: dict[tuple[str, str], list[QuarantinedRow]] = {}
    by_id = {_id(row): row for row in rows}
    for row in rows:
        root = by_id[_root(_id(row), waits_for)]
        (own if root is row else following).setdefault(_cause(root), []).append(row)
    found = [
        HeldCause(text, held[0].remedy, tuple(held), tuple(following.get((text, kind), ())), _choices(held, fed))
        for (text, kind), held in own.items()
    ]
    return sorted(found, key=lambda cause: -len(cause.rows) - len(cause.followers))


def followed_by(rows: Sequence[QuarantinedRow], fed: Mapping[str, FedTable]) -> dict[RowId, RowId]:
    """For each row whose parent waits in quarantine too: which one that is."""
    return dict(_held_parents(rows, fed))


def _id(row: QuarantinedRow) -> RowId:
    return row.source_table, row.key


def _cause(row: QuarantinedRow) -> tuple[str, str]:
    return nameless(row.detail, row.column_name), row.reason


def _root(row: RowId, waits_for: Mapping[RowId, RowId]) -> RowId:
    """The row at the end of a chain of rows that wait for each other; in a circle one of them, for all the same."""
    seen = [row]
    while (parent := waits_for.get(seen[-1])) is not None:
        if parent in seen:
            return min(seen[seen.index(parent) :])
        seen.append(parent)
    return seen[-1]


def _held_parents(rows: Iterable[QuarantinedRow], fed: Mapping[str, FedTable]) -> Iterator[tuple[RowId, RowId]]:
    """Orphans with the parent that waits as well, where it is known for sure: they refer to its primary key."""
    rows = list(rows)
    by_target = {f.target.name: f for f in fed.values()}
    held = {(row.source_table, text): _id(row) for row in rows if (text := _as_postgres_writes(row.key)) is not None}
    for row in rows:
        if row.reason != Reason.ORPHAN or row.waits_table is None or row.waits_for is None:
            continue
        _, target, *columns = (name.replace('""', '"') for name in _QUOTED.findall(row.waits_table))
        parent = by_target.get(target)
        if parent and tuple(columns) == parent.mapped.key == parent.target.primary_key and not parent.mapped.crosswalk:
            found = held.get((parent.mapped.source.name, row.waits_for))
            if found is not None:
                yield _id(row), found


def _as_postgres_writes(key: str) -> str | None:
    """The columns of a key as text of Postgres, None where a type could have it written otherwise."""
    values = decode_key(key)
    if not all(type(value) in (int, str) for value in values):
        return None
    return "\x1f".join(map(str, values))


def _choices(
    rows: Iterable[QuarantinedRow], fed: Mapping[str, FedTable]
) -> dict[tuple[str, str], tuple[ConfigLines, ...]]:
    places = {(row.source_table, row.column_name): row.detail for row in rows if row.reason == Reason.VALUE}
    found: dict[ColumnId, tuple[ConfigLines, ...]] = {}
    for (table, name), detail in sorted(places.items()):
        there = fed.get(table)
        column = there and next((c for c in there.mapped.columns if c.target == name), None)
        target = there and there.target.column(name)
        if there and column and target:
            found[table, name] = tuple(o.choice for o in outcomes(there.mapped, column, target) if helps(o, detail))
    return {place: choices for place, choices in found.items() if choices}
