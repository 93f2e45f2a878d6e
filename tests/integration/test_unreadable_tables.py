"""One table that cannot be read, named or checked here waits alone, or alone loses what it cannot have."""

import apsw
import pytest
from pairs import Pair, replicated

NAMES = [
    *[
        "  ",
        "two\n\nlines",
        "a.b",
        'q"uote',
        "it's",
        "$tid",
        "new",
        "old",
        "oid",
        "_cdc_gone",
        "_cdc_key",
        "_cdc_rowid",
    ],
    *[
        "q[x]",
        "Äö",
        "select",
        "a;b",
        "%s",
        "{x}",
        "tab\there",
        "\x7f",
        "_rowid_",
        "\\",
        "$$",
        "$1",
        "pg_x",
        "source_id",
    ],
    *["t", "s", "x", "key", "a--b", "/*", "*/", "now"],
]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def test_names_of_any_kind_are_followed(tmp_path, database) -> None:
    made = []
    for name in NAMES:
        n = quoted(name)
        made.append(f"CREATE TABLE {n}({n} TEXT NOT NULL PRIMARY KEY, v TEXT UNIQUE)")
        made.append(f"INSERT INTO {n} VALUES ('a', '1'), ('b', '2')")
    async with replicated(tmp_path, database, *made) as pair:
        for name in NAMES:
            n = quoted(name)
            pair.app.execute(f"REPLACE INTO {n} VALUES ('c', '1'); UPDATE {n} SET {n} = 'd' WHERE {n} = 'b'")
        await pair.replica.sync()
        assert await pair.differences() == []
