"""What is written during a rehearsal: what the changelog tells of the application's busiest time lately. Pure."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.facts.row_rewrite import LoggedWrite, RowRewrite
from cdc.facts.source_schema import Affinity, KeyKind
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.facts.values import KeyValues

MOST_RECORDED: Final = 20_000  # entries of the changelog
FEWEST_RECORDED: Final = 20  # with fewer, next to nothing would be written while a switch is made
WINDOW_SECONDS: Final = 10.0  # of the record, which are repeated for as long as the rehearsal takes
ONE_MOMENT_SECONDS: Final = 0.0015  # entries that are no further apart go for one transaction
MOST_ROWS: Final = 200  # of one transaction
MADE_PER_SECOND: Final = 20.0
MADE_KEYS: Final = 50  # rows of each table that a made load writes to


@dataclass(frozen=True, slots=True)
class LoadRow:
    """A row of a transaction: which table, the how-manieth row of those that the load writes to, and whether anew."""

    table: str
    place: int
    replaces: bool


@dataclass(frozen=True, slots=True)
class LoadTransaction:
    """What is committed at once, `after` so many seconds from the beginning of the window."""

    after: float
    rows: tuple[LoadRow, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """Transactions of a window of `seconds`, repeated again and again, and the keys of the rows that they write to.

    `recorded` is how many entries of the changelog it was read from; 0 where too few were, and it is made up.
    """

    seconds: float
    transactions: tuple[LoadTransaction, ...]
    keys: Mapping[str, tuple[KeyValues, ...]]
    recorded: int

    @property
    def rows_per_second(self) -> float:
        """How many rows are written in a second, on average."""
        return sum(len(transaction.rows) for transaction in self.transactions) / self.seconds

    @property
    def words(self) -> str:
        """What it is, for people."""
        if not self.transactions:
            return "nothing is written: no table has rows"
        pace = f"{self.rows_per_second:.1f} rows a second"
        if not self.recorded:
            few = f"fewer than {FEWEST_RECORDED} writes"
            return f"made up, for the changelog tells of {few}: {pace}, of {len(self.keys)} tables"
        return f"as the application wrote in its busiest {self.seconds:g} s of {self.recorded:,} entries: {pace}"


def load_of(writes: Sequence[LoggedWrite], tables: Sequence[str]) -> Load:
    """What was recorded, oldest first; where that is too little, a load on these tables that is made up."""
    return recorded_load(writes) if len(writes) >= FEWEST_RECORDED else made_load(tables)


def recorded_load(writes: Sequence[LoggedWrite]) -> Load:
    """The busiest window of what was recorded, oldest first."""
    window = _busiest(writes)
    places: defaultdict[str, dict[KeyValues, int]] = defaultdict(dict)
    transactions = tuple(_transaction(part, window[0].at, places) for part in _transactions(window))
    keys = {table: tuple(known) for table, known in places.items()}
    return Load(WINDOW_SECONDS, transactions, keys, len(writes))


def made_load(tables: Sequence[str]) -> Load:
    """A modest load on some tables in turn; which rows they are is for whoever has the file."""
    if not tables:
        return Load(1.0, (), {}, 0)
    count = len(tables) * MADE_KEYS
    turns = itertools.islice(itertools.cycle(tables), count)
    transactions = tuple(
        LoadTransaction(n / MADE_PER_SECOND, (LoadRow(table, n // len(tables), False),))
        for n, table in enumerate(turns)
    )
    return Load(count / MADE_PER_SECOND, transactions, dict.fromkeys(tables, ()), 0)


def rewrites_of(maps: Sequence[TableMap], targets: Mapping[str, TargetTable]) -> dict[str, RowRewrite]:
    """How rows of each table may be written once more, by source table; none of those that Postgres keys otherwise."""
    parents = {key.parent.lower() for mapped in maps for key in mapped.source.foreign_keys}
    parents_there = {key.parent for target in targets.values() for key in target.foreign_keys}
    return {
        m.source.name: _rewrite(m, targets[m.target], m.source.name.lower() in parents or m.target in parents_there)
        for m in maps
        if m.target in targets and not m.crosswalk
    }


def _rewrite(mapped: TableMap, target: TargetTable, is_parent: bool) -> RowRewrite:
    text = next((c for c in mapped.columns if _takes_any_text(mapped, c, target.column(c.target))), None)
    types = {column.name: column.type for column in target.columns}
    key = mapped.source.key
    return RowRewrite(
        mapped=mapped,
        text=(text.source, text.target) if text is not None and text.source is not None else None,
        replaceable=not (is_parent or key.kind is KeyKind.ROWID or key.nullable),
        key_types=tuple(types[name] for name in mapped.key),
        stored=tuple(column.name for column in target.columns if not column.generated),
    )


def _takes_any_text(mapped: TableMap, column: ColumnMap, there: TargetColumn | None) -> bool:
    """Whether nothing that a table declares on either side would mind another text."""
    source = mapped.source
    if column.source is None or there is None or column.literal or column.schema or column.reading.loses:
        return False
    here = source.column(column.source)
    bound = {term.column for index in source.indexes if index.unique for term in index.terms}
    bound |= {name for key in source.foreign_keys for name in key.columns} | set(source.key.columns)
    free = column.source not in bound and not here.generated and not source.checks
    return free and here.affinity is Affinity.TEXT and there.base == "text" and not there.generated


def _busiest(writes: Sequence[LoggedWrite]) -> Sequence[LoggedWrite]:
    """The window with the most entries."""
    begin, best = 0, (0, 0)
    for end, write in enumerate(writes, 1):
        while write.at - writes[begin].at > WINDOW_SECONDS:
            begin += 1
        best = max(best, (begin, end), key=lambda window: window[1] - window[0])
    return writes[slice(*best)]


def _transactions(writes: Sequence[LoggedWrite]) -> Iterator[list[LoggedWrite]]:
    part: list[LoggedWrite] = []
    for write in writes:
        if part and (write.at - part[-1].at > ONE_MOMENT_SECONDS or len(part) >= MOST_ROWS):
            yield part
            part = []
        part.append(write)
    if part:
        yield part


def _transaction(
    writes: Sequence[LoggedWrite], began: float, places: defaultdict[str, dict[KeyValues, int]]
) -> LoadTransaction:
    """Each row once: an insert, and a delete, is one that is written anew."""
    rows: dict[tuple[str, int], bool] = {}
    for write in writes:
        known = places[write.table]
        row = write.table, known.setdefault(write.key, len(known))
        rows[row] = rows.get(row, False) or write.op != "U"
    return LoadTransaction(writes[0].at - began, tuple(LoadRow(*row, replaces) for row, replaces in rows.items()))
