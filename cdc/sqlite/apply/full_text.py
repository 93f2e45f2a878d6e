"""Full-text indexes that take their texts from another table: what came back is not in them, for no trigger ran.

Triggers of the application would find an index that does not fit its table, and SQLite calls that malformed.
"""

import re
from typing import Final

import apsw

from cdc.sql_names import quote
from cdc.sqlite.connection.errors import translated

# https://www.sqlite.org/fts5.html, sections 4.4.3 and 6.10: an external content table is named by `content`.
_OF_ANOTHER_TABLE: Final = re.compile(r"USING\s+fts5\s*\(.*\bcontent\s*=\s*['\"]?[^'\"\s,)]", re.IGNORECASE | re.DOTALL)


def rebuild_indexes(connection: apsw.Connection) -> list[str]:
    """Make each of them anew, in the caller's transaction; returns their names."""
    with translated("making full-text indexes anew"):
        found = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND rootpage = 0"
        ).fetchall()
        names = [str(name) for name, sql in found if _OF_ANOTHER_TABLE.search(str(sql))]
        for name in names:
            own = quote(name)
            connection.execute(f"INSERT INTO {own}({own}) VALUES ('rebuild')")
    return names
