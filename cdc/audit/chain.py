"""An entry of the audit trail, and the chain that seals it: each hash is over the hash before it and the entry's text.

The text is a JSON object of ASCII that begins with the entry's number `n`, which counts from 1. Both places where the
trail is kept, the file and Postgres, have a chain of their own by the same rule.
"""

import functools
import getpass
import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

_MARK: Final = ', "hash": "'

Detail = str | int | float | bool | None | Sequence[str] | Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry: `at` is ISO 8601 in UTC, `actor` is user@host, `details` hold names, keys and counts, never values.

    `n` is None before the entry has its place in a chain; `copy_of` is its number in the chain it was copied from.
    """

    at: str
    actor: str
    action: str
    result: str
    details: Mapping[str, Detail] = field(default_factory=dict)
    copy_of: int | None = None
    n: int | None = None

    @property
    def body(self) -> str:
        """The entry as JSON without its number."""
        fields: dict[str, Any] = {"at": self.at, "actor": self.actor, "action": self.action, "result": self.result}
        if self.copy_of is not None:
            fields["copy_of"] = self.copy_of
        return json.dumps({**fields, "details": self.details})

    def to_json(self) -> dict[str, Any]:
        """The entry as `cdc audit --json` tells it."""
        return {"n": self.n, **json.loads(self.body)}


def entry(action: str, result: str, details: Mapping[str, Detail] | None = None) -> AuditEntry:
    """An entry of now, by whoever runs this process."""
    return AuditEntry(entry_time(), actor(), action, result, dict(details or {}))


def entry_time() -> str:
    """Now, as entries tell it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def decode(text: str) -> AuditEntry | None:
    """The entry that a text holds, None when it holds none."""
    try:
        decoded = AuditEntry(**json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None
    parts = (decoded.at, decoded.actor, decoded.action, decoded.result)
    numbers = (decoded.n, decoded.copy_of)
    sound = all(isinstance(p, str) for p in parts) and all(n is None or type(n) is int for n in numbers)
    return decoded if sound and isinstance(decoded.details, dict) else None


@functools.cache
def actor() -> str:
    """Who this is, as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number and no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


# --- the chain --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: the number of its newest entry and that entry's hash; 0 and "" before the first."""

    n: int = 0
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Sealed:
    """The text of an entry with its number, and the hash that seals it (None when it was written without one)."""

    text: str
    hash: str | None


def seal(previous: str, text: str) -> str:
    """The hash of an entry that follows the hash `previous`."""
    # A damaged line may hold bytes that are no text; `split_line` keeps them, and the hash is over them as they are.
    return hashlib.sha256((previous + text).encode("utf-8", "surrogateescape")).hexdigest()


def link(head: Head, next_entry: AuditEntry) -> tuple[Head, Sealed]:
    """The entry as the next one of a chain, and the chain's new head."""
    text = f'{{"n": {head.n + 1}, {next_entry.body[1:]}'
    after = Head(head.n + 1, seal(head.hash, text))
    return after, Sealed(text, after.hash)


def line_of(sealed: Sealed) -> str:
    """A sealed entry as a line of the file."""
    return f'{sealed.text[:-1]}{_MARK}{sealed.hash}"}}\n'


def split_line(line: bytes) -> Sealed:
    """What `line_of` made this line from; lines without a hash, or with something else in its place, have none."""
    text = line.rstrip(b"\n").decode("utf-8", "surrogateescape")
    body, mark, end = text.rpartition(_MARK)
    # 64 digits, and the end of the object.
    if mark and len(end) == 66 and end.endswith('"}'):
        return Sealed(body + "}", end[:-2])
    return Sealed(text, None)
