"""The file of an operator's queries: in SQLite's words, with Postgres' beside them where the application has both."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from cdc.errors import UsageError
from cdc.facts.values import Value

Parameters = Mapping[str, Value]

_HEADING: Final = re.compile(r"^-- *name: *(.+?) *$", re.MULTILINE)
_FORM: Final = (
    "write `[[query]]` with `name`, `sql`, and perhaps `target_sql`, `parameters`, `parameters_from`, `order`"
)


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One query. `parameters` are values by name, a query for each; `parameters_from` is SQL on SQLite that finds them.

    `order` says how answers are compared; where it is not given, as lists if the query has ORDER BY, else as sets.
    """

    name: str
    sql: str
    target_sql: str | None = None
    parameters: list[dict[str, int | float | str | None]] = msgspec.field(default_factory=list)
    parameters_from: str | None = None
    order: Literal["list", "set"] | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    query: list[Query]


def read_queries(path: Path) -> tuple[Query, ...]:
    """The queries of a TOML file, or of a SQL file with `-- name: NAME` over each; raises `UsageError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"the queries in {path} cannot be read: {reason}", remedy="name a readable file") from None
    queries = tuple(_from_sql(text)) if path.suffix == ".sql" else _from_toml(text, path)
    if not queries:
        raise UsageError(f"no query is in {path}", remedy="write `-- name: NAME` over each query of a .sql file")
    if twice := sorted({q.name for q in queries if sum(other.name == q.name for other in queries) > 1}):
        raise UsageError(f"two queries of {path} are called {twice[0]}", remedy="give each query a name of its own")
    return queries


def _from_sql(text: str) -> Iterator[Query]:
    pieces = _HEADING.split(text)[1:]
    for name, sql in zip(pieces[::2], pieces[1::2], strict=True):
        yield Query(name=name, sql=sql.strip().rstrip(";"))


def _from_toml(text: str, path: Path) -> tuple[Query, ...]:
    try:
        raw: dict[str, Any] = tomllib.loads(text)
        return tuple(msgspec.convert(raw, _File, strict=True).query)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as reason:
        raise UsageError(f"the queries in {path} are not written as they should: {reason}", remedy=_FORM) from None
