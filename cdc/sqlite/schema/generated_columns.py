"""Generated columns that another version of SQLite would compute otherwise.

A VIRTUAL column is computed by whoever reads it: here by the SQLite that this tool carries, elsewhere by the
application's own. How a real becomes a text, how numbers are rounded and what JSON functions take has changed between
versions. The application's version cannot be known, but Python's own SQLite is a second one to ask.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Final

import apsw

from cdc.facts.source_schema import Table
from cdc.sql_names import quote
from cdc.sqlite.schema.create_text import tokens

OTHER_VERSION: Final = sqlite3.sqlite_version
# Functions that make a text of a number, and those whose answers have changed.
_TEXTUAL: Final = frozenset(
    (
        *(
            "concat",
            "concat_ws",
            "format",
            "group_concat",
            "hex",
            "instr",
            "length",
            "like",
            "lower",
            "ltrim",
            "printf",
        ),
        *("quote", "replace", "rtrim", "substr", "substring", "trim", "unicode", "upper"),
    )
)
_CHANGED: Final = ("date", "datetime", "format", "julianday", "printf", "round", "strftime", "time", "unixepoch")


def disagreeing(connection: apsw.Connection, table: Table) -> Mapping[str, int]:
    """In how many rows the second version computes another value, by VIRTUAL column; meant for a file nobody writes.

    Columns are left out where it cannot tell: it is the same version, or cannot read the table.
    """
    names = [c.name for c in table.columns if c.generated == "virtual"]
    if not names or apsw.sqlite_lib_version() == OTHER_VERSION:
        return {}
    places = [table.rowid_alias] if table.rowid_alias is not None else [quote(c) for c in table.key.columns]
    # A real as it is, for its bytes are those of a text of it; a text as its bytes, which need not be valid.
    class_and_value = "typeof({0}), CASE typeof({0}) WHEN 'text' THEN CAST({0} AS BLOB) ELSE {0} END"
    exact = ", ".join(class_and_value.format(quote(name)) for name in names)
    sql = f"SELECT {exact} FROM {quote(table.name)} ORDER BY {', '.join(places)}"
    try:
        with closing(sqlite3.connect(f"{Path(connection.filename).as_uri()}?mode=ro", uri=True)) as other:
            return _differences(names, connection.execute(sql), iter(other.execute(sql)))
    except (sqlite3.Error, apsw.SQLError):
        return {}


def _differences(names: list[str], ours: Iterator[tuple[object, ...]], theirs: Iterator[object]) -> Mapping[str, int]:
    disagreements = Counter[str](dict.fromkeys(names, 0))
    for mine, other in zip(ours, theirs, strict=True):
        if mine != other:
            pairs = zip(_values(mine), _values(other), strict=True)
            disagreements.update(name for name, (a, b) in zip(names, pairs, strict=True) if a != b)
    return disagreements


def _values(row: object) -> list[tuple[object, object]]:
    assert isinstance(row, tuple)
    return list(zip(row[::2], row[1::2], strict=True))


def changed_between_versions(expression: str) -> bool:
    """Whether an expression uses what versions answer differently, whatever it is applied to."""
    called = _called(expression)
    return any(name in _CHANGED or name.startswith("json") for name in called)


def makes_text_of_numbers(expression: str) -> bool:
    """Whether an expression may make a text of a real, for which versions of SQLite choose other digits."""
    parsed = tokens(expression)
    joined = any(a.text == b.text == "|" and a.end == b.start for a, b in pairwise(parsed))
    cast = any(a.word == "AS" and b.word in {"TEXT", "VARCHAR", "CHAR", "CLOB"} for a, b in pairwise(parsed))
    return joined or cast or any(t.word in {"LIKE", "GLOB"} for t in parsed) or bool(_called(expression) & _TEXTUAL)


def _called(expression: str) -> frozenset[str]:
    parsed = tokens(expression)
    return frozenset(
        (a.name or "").lower() for a, b in pairwise(parsed) if a.kind in {"word", "quoted"} and b.text == "("
    )
