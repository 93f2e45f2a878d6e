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

# Entries of rows that were there: deleted, replaced, or given another key. Some number, whatever the time is.
_LEFT: Final = "max(CASE WHEN op IN ('D', 'R', 'U') THEN coalesce(at, 0) END)"


def _logged(place: int) -> str:
    return f"{_LOGGED}.{_LOGGED}{place}"


def queries(mapped: TableMap) -> Iterator[select.Query]:
    """Logged keys of a span, each once, with their rows: key, whether the row exists, when it left, then the row.

    The time of a deletion is Julian, as the changelog has it; NULL where the row exists, or where nothing says that
    there ever was one: an insertion is logged before it is known whether it inserts.

    Where a declared key can be NULL, rows with such a key are read by a second query, with the rowid for their key.
    """
    places = range(1, mapped.source_key_width + 1)
    rowid = f"k{len(places) + 1}"
    nullable = mapped.source.null_rowid is not None
    keys = ", ".join(f"k{p} AS {_LOGGED}{p}" for p in places)
    # Integers that are equal are the same; sorting by them alone saves a tenth of the read.
    exact = ", ".join(f"typeof(k{p}), k{p} COLLATE BINARY" for p in places)
    if mapped.source.key.kind is not KeyKind.COLUMNS:
        exact = "k1"
    rest = (
        f"FROM (SELECT {keys}, {_LEFT} AS {_LOGGED}left FROM _cdc_changelog "
        f"WHERE seq > ?1 AND seq <= ?2 AND tid = ?3 AND op <> '*'{f' AND {rowid} IS NULL' if nullable else ''} "
        f"GROUP BY {exact}) AS {_LOGGED} LEFT JOIN {quote(mapped.source.name)} ON {select.matches(mapped, _logged)}"
    )
    exists = _exists(mapped)
    yield select.select(
        mapped, rest, [*map(_logged, places), exists, f"CASE WHEN NOT ({exists}) THEN {_LOGGED}left END"]
    )
    if nullable:
        rest = (
            f"FROM (SELECT DISTINCT {rowid} AS {_LOGGED}1 FROM _cdc_changelog "
            f"WHERE seq > ?1 AND seq <= ?2 AND tid = ?3 AND op <> '*' AND {rowid} IS NOT NULL) AS {_LOGGED} "
            f"LEFT JOIN {quote(mapped.source.name)} ON {select.matches_null(mapped, _logged(1))}"
        )
        yield select.select(mapped, rest, [*(_logged(1) for _ in places), exists, "NULL"])


def _exists(mapped: TableMap) -> str:
    table = mapped.source
    marker = table.rowid_alias or table.key.columns[0]
    return f"{quote(table.name)}.{quote(marker)} IS NOT NULL"
