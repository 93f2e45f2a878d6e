"""Which tables are compared next in the background, and how far they are then: decisions, without a database."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from cdc.facts.key_range import KeyRange
from cdc.facts.table_map import TableMap
from cdc.postgres.record.verified_tables import VerifiedTable
from cdc.verify.report import TableReport

SLICE_ROWS: Final = 20_000  # a tenth of a second of one core
SLICE_TABLES: Final = 50
PUT_OFF_SECONDS: Final = 60.0  # for a table that cannot be compared now, and after an error
IDLE_SECONDS: Final = 600.0  # an idle file is left alone for so long, unless something is due before
SHORTEST_SECONDS: Final = 0.05
# When a table is compared anew that has a difference, for somebody may have repaired it, or that was written to.
AGAIN: Final = timedelta(seconds=30)
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """What is compared of one table now, and what was known of it before."""

    mapped: TableMap
    before: VerifiedTable


def due_at(table: VerifiedTable, within: timedelta, *, sooner: Set[str] = frozenset()) -> datetime:
    """When a table is to be compared again; at once where a pass is under way, or there was none yet."""
    if table.began_at is not None or table.since is None:
        return _NEVER
    return table.since + (min(within, AGAIN) if table.name in sooner else within)


def choose(
    maps: Sequence[TableMap],
    known: Mapping[str, VerifiedTable],
    now: datetime,
    within: timedelta,
    *,
    sooner: Set[str] = frozenset(),
    put_off: Set[str] = frozenset(),
) -> list[Part]:
    """The tables of the next slice: those whose pass is under way first, then those that were compared longest ago.

    Small tables go together, as far as is known how many rows they have; one that was never compared goes alone.
    Tables in `sooner` are due again soon, those in `put_off` are not. Empty when nothing is due: every other table was
    compared `within` that time.
    """
    parts = [Part(m, known.get(m.source.name, VerifiedTable(m.source.name))) for m in maps]
    due = [p for p in parts if p.before.name not in put_off and due_at(p.before, within, sooner=sooner) <= now]
    due.sort(key=lambda part: (part.before.began_at is None, part.before.since or _NEVER))
    chosen: list[Part] = []
    rows = 0
    for part in due[:SLICE_TABLES]:
        expected = part.before.rows if part.before.since else SLICE_ROWS
        if chosen and rows + expected > SLICE_ROWS:
            break
        chosen.append(part)
        rows += expected
    return chosen


def nothing_due(
    known: Mapping[str, VerifiedTable], now: datetime, within: timedelta, *, sooner: Set[str], put_off: Set[str]
) -> float:
    """How many seconds nobody needs to look: until the first table is due that is not put off, but not for ever."""
    dues = [due_at(table, within, sooner=sooner) for table in known.values() if table.name not in put_off]
    longest = PUT_OFF_SECONDS if put_off else IDLE_SECONDS
    return min([longest, *(max(SHORTEST_SECONDS, (due - now).total_seconds()) for due in dues)])


def advanced(before: VerifiedTable, report: TableReport, keys: KeyRange | None, began: datetime) -> VerifiedTable:
    """How far a table is after a slice of it, the whole of it where it has no ranges (`keys` is None)."""
    rows = before.rows_so_far + report.matched + report.different + report.missing + report.pending
    differences = before.differences_so_far + report.differences
    pass_began = before.began_at or began
    if keys is None or keys.last is None:
        return VerifiedTable(before.name, pass_began, rows, differences)
    return replace(before, began_at=pass_began, after_key=keys.last, rows_so_far=rows, differences_so_far=differences)
