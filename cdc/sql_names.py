"""The one place where names become SQL or TOML. Names of tables, columns and files are data of users, never pasted."""

import json
import re
from collections.abc import Iterable
from typing import Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def quote(name: str) -> str:
    """A name as a quoted identifier; both SQLite and Postgres double the quote inside."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """A text as a quoted literal for the few places where no parameter can be bound (DDL, trigger bodies)."""
    return "'" + text.replace("'", "''") + "'"


def qualified(schema: str, name: str) -> str:
    """A name with its schema, both quoted."""
    return f"{quote(schema)}.{quote(name)}"


def heading(*names: str) -> str:
    """The heading of a section of the configuration, such as `[tables."a b".columns.id]`, as TOML reads it."""
    return f"[{'.'.join(map(_key, names))}]"


def toml_text(text: str) -> str:
    """A text as a value in the configuration."""
    # JSON's strings are TOML's basic strings, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml_text(name)


def listed(columns: Iterable[str], alias: str = "") -> str:
    """Column names as a SQL list, with an alias before each when one is given."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(prefix + quote(name) for name in columns)
