"""Rows of a copy that stay behind, counted by table and reason, and by the causes that hold them back."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.facts.cause import ConfigLines
from cdc.facts.changes import Reason, Rejection
from cdc.facts.row_key import encode_key, shown_key
from cdc.facts.table_map import TableMap
from cdc.facts.values import KeyValues
from cdc.postgres.ddl.check_constraints import breaks_check
from cdc.sqlite.rows.source_orphans import KeptOut, Reference
from cdc.values.converter import Converted
from cdc.values.sizes import Sizes

MOST_KEYS: Final = 10_000  # told by name for each finding; the others are counted

# The cause that children have whose parent the file does not have, in whatever table.
NO_PARENT: Final = "the row that it refers to is not in SQLite"
_NO_PARENT_REMEDY: Final = "add the parent rows or correct the references in SQLite: each comes when its parent does"
_FOLLOWS_REMEDY: Final = "nothing to do: each comes as soon as its parent does"


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows of a table that stay behind for one reason; `keys` are of `MOST_KEYS` at most, as `shown_key` has them.

    Findings of one `cause` have the same wrong. It is empty for children that only follow a parent that stays behind.
    `choices` would hold the values that do not fit.
    """

    table: str
    column: str
    reason: Reason
    detail: str
    remedy: str
    rows: int
    keys: tuple[str, ...]
    cause: str = ""
    choices: tuple[ConfigLines, ...] = ()


class RehearsalNotes:
    """What stays behind, counted by table and reason, with the keys of some rows of each."""

    def __init__(self, kept_out: KeptOut) -> None:
        self._kept_out = kept_out
        self._rows: Counter[tuple[str, Rejection]] = Counter()
        self._keys: dict[tuple[str, Rejection], list[str]] = {}
        self._causes: dict[tuple[str, Rejection], str] = {}
        self._numbers: dict[str, int] = {}  # by cause; those that are for several are under no number
        self._not_noted: Counter[str] = Counter()  # by cause, rows whose keys were not asked for

    def add(self, mapped: TableMap, rejected: Sequence[tuple[KeyValues, Rejection]]) -> None:
        """Rows that Postgres cannot hold; one with several reasons comes once for each."""
        by_reason: dict[Rejection, list[KeyValues]] = {}
        for key, why in rejected:
            by_reason.setdefault(why, []).append(key)
        for why, keys in by_reason.items():
            self._note(mapped, why, keys, self._number(why.cause))
            self._causes[mapped.source.name, why] = why.cause

    def add_large(self, mapped: TableMap, converted: Converted, sizes: Sizes) -> None:
        """Rows that are larger than Postgres' limits; of those that only may be, no child becomes an orphan here."""
        wide = dict(sizes.too_wide(converted.rows))
        self.add(mapped, [(converted.keys[place], why) for place, why in wide.items()])
        for place, why in sizes.long_entries(converted.rows):
            if place not in wide:
                self._count(mapped, why, [converted.keys[place]])
                self._causes[mapped.source.name, why] = why.cause

    def add_breaking(self, mapped: TableMap, check: str, rows: int, keys: Sequence[KeyValues]) -> None:
        """So many rows break a CHECK that Postgres gets as well; the keys are those of some."""
        if rows:
            why = breaks_check(check)
            self.add(mapped, [(key, why) for key in keys])
            self._rows[mapped.source.name, why] += rows - len(keys)
            self._not_noted[why.cause] += rows - len(keys)

    def add_orphans(self, references: Sequence[Reference]) -> None:
        """Until no child is without its parent: an orphan that stays behind may have children of its own."""
        settled = False
        while not settled:
            settled = True
            for reference in references:
                while found := self._kept_out.orphans(reference):
                    self._add_orphans(reference, found)
                    settled = False
        self._kept_out.settle_causes(references, self._number(NO_PARENT))

    def _add_orphans(self, reference: Reference, found: Sequence[tuple[KeyValues, int | None]]) -> None:
        child, parent = reference.child, reference.parent.source.name
        columns = ", ".join(_source_names(child, reference.columns))
        gone = Rejection(columns, Reason.ORPHAN, f"the row in {parent} is not in SQLite", _NO_PARENT_REMEDY)
        follows = Rejection(columns, Reason.ORPHAN, f"the parent row in {parent} stays behind", _FOLLOWS_REMEDY)
        self._note(child, gone, [key for key, held_by in found if held_by is None], self._number(NO_PARENT))
        self._causes[child.source.name, gone] = NO_PARENT
        for number in {held_by for _, held_by in found if held_by is not None}:
            self._note(child, follows, [key for key, held_by in found if held_by == number], number)

    def counts(self) -> tuple[int, dict[str, int]]:
        """How many rows stay behind in all, and how many of them for each cause alone."""
        held = self._kept_out.counts()
        frees = {cause: held.get(number, 0) + self._not_noted[cause] for cause, number in self._numbers.items()}
        return sum(held.values()) + self._not_noted.total(), frees

    def findings(self) -> Iterator[Finding]:
        """What was found, by table and reason."""
        for (table, why), rows in self._rows.items():
            keys, cause = tuple(self._keys[table, why]), self._causes.get((table, why), "")
            yield Finding(table, why.column, why.reason, why.detail, why.remedy, rows, keys, cause)

    def _number(self, cause: str) -> int:
        return self._numbers.setdefault(cause, len(self._numbers) + 1)

    def _note(self, mapped: TableMap, why: Rejection, keys: Sequence[KeyValues], cause: int) -> None:
        if keys:
            self._kept_out.add(mapped, keys, cause)
            self._count(mapped, why, keys)

    def _count(self, mapped: TableMap, why: Rejection, keys: Sequence[KeyValues]) -> None:
        place = (mapped.source.name, why)
        self._rows[place] += len(keys)
        listed = self._keys.setdefault(place, [])
        table, columns = mapped.source.name, mapped.source.key.columns
        listed += [shown_key(encode_key(key), table, columns) for key in keys[: MOST_KEYS - len(listed)]]


def _source_names(mapped: TableMap, targets: Sequence[str]) -> list[str]:
    by_target = {c.target: c.source for c in mapped.columns}
    return [by_target[name] or name for name in targets]
