"""What a schema script is made of: statements that know what they make, and names that Postgres takes."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cdc.sql_names import qualified, quote, quote_literal

LONGEST_NAME_BYTES: Final = 63
CHECK_MARK: Final = "cdc: a CHECK that SQLite has"  # the comment by which one of ours is known from others
EXISTS: Final = "it exists"  # why a statement need not run
_HASH_LENGTH: Final = 8


class Made(StrEnum):
    """What a statement makes or does."""

    SCHEMA = "schema"
    TABLE = "table"
    COLUMN = "column"
    COMMENT = "comment"
    CONSTRAINT = "constraint"
    CHECK = "check"
    FOREIGN_KEY = "foreign key"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; `object` is the name of what it makes, `table` the target table it belongs to.

    `optional` marks what may fail without harm to the data: an ordinary index. `body` is what a constraint says.
    """

    object: str
    sql: str
    kind: Made
    schema: str
    table: str = ""
    optional: bool = False
    body: str = ""


def comment_on_check(schema: str, table: str, name: str) -> str:
    """The statement that marks a CHECK as ours: it goes when SQLite has it no longer."""
    return f"COMMENT ON CONSTRAINT {quote(name)} ON {qualified(schema, table)} IS {quote_literal(CHECK_MARK)}"


@dataclass(frozen=True, slots=True)
class Deviation:
    """Something of the source that the target does not have, or has in another form, and why."""

    table: str
    object: str
    reason: str

    def __str__(self) -> str:
        return f"{self.table}.{self.object}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Script:
    """The statements before rows are loaded, those after, and what was left out."""

    before_load: tuple[Statement, ...]
    after_load: tuple[Statement, ...]
    notes: tuple[Deviation, ...]

    @property
    def sql(self) -> str:
        """The whole script as text that psql runs."""
        return "".join(f"{s.sql};\n" for s in (*self.before_load, *self.after_load))


@dataclass(slots=True)
class Names:
    """Hands out names of relations in one schema: each once, none longer than Postgres keeps, always the same."""

    taken: set[str] = field(default_factory=set)

    def take(self, label: str, *identity: str) -> str:
        """`label`, or its beginning with a hash where it is too long or taken; `identity` feeds the hash."""
        name = shorten(label, *identity)
        if name in self.taken:
            name = _hashed(label, *identity)
        self.taken.add(name)
        return name


def shorten(label: str, *identity: str) -> str:
    """A name of at most 63 bytes, cut at a character and ended by a hash of the whole where it was longer."""
    return label if len(label.encode()) <= LONGEST_NAME_BYTES else _hashed(label, *identity)


def _hashed(label: str, *identity: str) -> str:
    digest = hashlib.sha256("\x1f".join((label, *identity)).encode()).hexdigest()[:_HASH_LENGTH]
    kept = label.encode()[: LONGEST_NAME_BYTES - _HASH_LENGTH - 1].decode(errors="ignore")
    return f"{kept}_{digest}"
