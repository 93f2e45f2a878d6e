"""Whether the schema of a file is still the one that was looked at: its identity, from one cheap statement."""

import hashlib
from dataclasses import dataclass
from typing import Final

import apsw

from cdc.sqlite.connection.errors import translated

# As bytes, because names and comments need not be valid texts.
# rowid shows a trigger that was dropped and created anew with the same text, which leaves a gap in what was logged.
_SIGNATURE: Final = """
SELECT (SELECT schema_version FROM pragma_schema_version), CAST(group_concat(entry, char(10)) AS BLOB) FROM (
    SELECT rowid || ' ' || type || ' ' || quote(name) || ' ' || quote(tbl_name) || ' ' || ifnull(sql, '') AS entry
    FROM sqlite_schema ORDER BY rowid
)
"""

# Without what is ours, and what SQLite makes by itself, such as the statistics of ANALYZE.
_APPLICATION: Final = """
SELECT CAST(group_concat(entry, char(10)) AS BLOB) FROM (
    SELECT type || ' ' || quote(name) || ' ' || sql AS entry FROM sqlite_schema
    WHERE sql IS NOT NULL AND name NOT LIKE '\\_cdc\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY type, name
)
"""


@dataclass(frozen=True, slots=True)
class Signature:
    """Equal signatures mean the same schema: nothing was added, dropped, altered or created anew in between.

    `schema_version` alone also moves on VACUUM, and does not move when triggers are deleted with writable_schema.
    """

    schema_version: int
    objects: bytes


def signature(connection: apsw.Connection) -> Signature:
    """The schema's identity in this snapshot, from one cheap statement."""
    with translated("reading the schema"):
        version, objects = connection.execute(_SIGNATURE).fetchall()[0]
        return Signature(int(str(version)), objects if isinstance(objects, bytes) else b"")


def application_schema(connection: apsw.Connection) -> str:
    """A name for the application's schema: another one once it adds, drops or alters something, and by nothing else."""
    with translated("reading the schema"):
        texts = connection.execute(_APPLICATION).get
    return hashlib.sha256(texts if isinstance(texts, bytes) else b"").hexdigest()[:16]
