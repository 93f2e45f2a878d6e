"""The queries that read the rows of logged keys as they are now.

Keys are matched exactly, type and bytes: SQLite calls 'Ab' and 'aB' equal under NOCASE, and 1 and 1.0 in an untyped
column, but for replication they are different rows' names. Matching by the index first and then exactly keeps the
look-up a search in the primary key.
"""

from collections.abc import Iterator
from typing import Final

from cdc.facts.source_schema import KeyKind
from cdc.facts.table_map import TableMap
from cdc.sql_names import quote
from cdc.sqlite.rows import select

_LOGGED: Final = "_cdc_logged"  # a name that no column of the application has, which an expression might use


def _logged(place: int) -> str:
    return f"{_LOGGED}.{_LOGGED}{place}"


def queries(mapped: TableMap) -> Iterator[select.Query]:
    """Logged keys of a span, each once, with their rows: key, whether the row exists, then the row.

    Where a declared key can be NULL, rows with such a key are read by a second query, with the rowid for their key.
    """
    places = range(1, mapped.source_key_width + 1)
    rowid = f"k{len(places) + 1}"
    nullable = mapped.source.null_rowid is not None
    keys = ", ".join(f"k{p} AS {_LOGGED}{p}" for p in places)
    rest = (
        f"FROM (SELECT {keys} FROM _cdc_changelog "
        f"WHERE seq > ?1 AND seq <= ?2 AND tid = ?3 AND op <> '*'{f' AND {rowid} IS NULL' if nullable else ''} "
        f"GROUP BY {_exactly(mapped)}) AS {_LOGGED} "
        f"LEFT JOIN {quote(mapped.source.name)} ON {select.matches(mapped, _logged)}"
    )
    yield select.select(mapped, rest, [*map(_logged, places), _exists(mapped)])
    if nullable:
        rest = (
            f"FROM (SELECT DISTINCT {rowid} AS {_LOGGED}1 FROM _cdc_changelog "
            f"WHERE seq > ?1 AND seq <= ?2 AND tid = ?3 AND op <> '*' AND {rowid} IS NOT NULL) AS {_LOGGED} "
            f"LEFT JOIN {quote(mapped.source.name)} ON {select.matches_null(mapped, _logged(1))}"
        )
        yield select.select(mapped, rest, [*(_logged(1) for _ in places), _exists(mapped)])


def departures(mapped: TableMap) -> str:
    """SQL for those of the same keys that are gone and were rows, each with the Julian time when it left, or 0.

    An insertion is logged before it is known whether it inserts, so it says of no key that there ever was a row. Asked
    for only where a key is gone: to keep the times of all entries while they are sorted takes half as long again.
    """
    places = range(1, mapped.source_key_width + 1)
    keys = ", ".join(f"{_LOGGED}.k{p}" for p in places)
    known = f" AND {_LOGGED}.k{len(places) + 1} IS NULL" if mapped.source.null_rowid is not None else ""
    row = f"SELECT 1 FROM {quote(mapped.source.name)} WHERE {select.matches(mapped, lambda p: f'{_LOGGED}.k{p}')}"
    return (
        f"SELECT {keys}, max(coalesce({_LOGGED}.at, 0)) FROM _cdc_changelog AS {_LOGGED} "
        f"WHERE seq > ?1 AND seq <= ?2 AND tid = ?3 AND op IN ('D', 'R', 'U'){known} AND NOT EXISTS ({row}) "
        f"GROUP BY {_exactly(mapped)}"
    )


def _exactly(mapped: TableMap) -> str:
    """By which entries of one key are put together. Integers that are equal are the same, and are sorted faster."""
    if mapped.source.key.kind is not KeyKind.COLUMNS:
        return "k1"
    return ", ".join(f"typeof(k{p}), k{p} COLLATE BINARY" for p in range(1, mapped.source_key_width + 1))


def _exists(mapped: TableMap) -> str:
    table = mapped.source
    marker = table.rowid_alias or table.key.columns[0]
    return f"{quote(table.name)}.{quote(marker)} IS NOT NULL"
