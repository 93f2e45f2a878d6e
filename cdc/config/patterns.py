"""Names of tables in the configuration: plain ones and shell patterns, both without regard to letter case."""

import fnmatch
import re
from collections.abc import Iterable
from typing import Final

_PATTERN: Final = re.compile(r"[*?\[]")
_WILD: Final = re.compile(r"\[[^]]*\]|[*?]")


def is_pattern(name: str) -> bool:
    """Whether a name stands for all that are like it; a table that is called just so is meant all the same."""
    return _PATTERN.search(name) is not None


def names(given: str, table: str) -> bool:
    """Whether a plain name or a pattern means this table."""
    return given.lower() == table.lower() or fnmatch.fnmatchcase(table.lower(), given.lower())


def nearest_first(given: Iterable[str], table: str) -> list[str]:
    """Those of the names and patterns that mean this table: its own name, then the patterns with most letters first."""
    meant = [name for name in given if names(name, table)]
    return sorted(meant, key=lambda name: (name.lower() != table.lower(), -len(_WILD.sub("", name)), name))
