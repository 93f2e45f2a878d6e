"""Functions that expressions of the operator may use beside SQLite's own, and functions of the operator in Python.

They exist on connections of this tool alone. Their names begin with `cdc_`, so that no generated column or index of the
application which names a function of its own gets one of these instead.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final

import apsw

from cdc.facts.table_map import TableMap
from cdc.values.user_functions import Stored

_NAMESPACES: Final = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}
_VALUE_IN_MESSAGE: Final = re.compile(r"[:'\"].*", re.DOTALL)


class FunctionFailed(Exception):
    """A function could not compute a value; the text names the function and the kind of error, and no value."""


# What reading a row may end in because of its values: an expression fails, or a text is not valid.
FAILURES: Final = (apsw.SQLError, apsw.TooBigError, FunctionFailed, UnicodeDecodeError)


def why(error: Exception) -> str:
    """The reason of such a failure in words, without a value that SQLite may have put into its message."""
    if isinstance(error, UnicodeDecodeError):
        return "a text that it works on is not valid UTF-8"
    return str(error) if isinstance(error, FunctionFailed) else _VALUE_IN_MESSAGE.sub("", str(error)).strip()


def add_helpers(connection: apsw.Connection) -> None:
    """Add what SQLite lacks and identifiers are made of; each is NULL where an argument is."""
    for name, arguments, call in _HELPERS:
        _add(connection, name, arguments, name, call)


def provide(connection: apsw.Connection, maps: Iterable[TableMap]) -> None:
    """Add the operator's own functions, which the columns of some tables are computed by."""
    for function in (c.function for m in maps for c in m.columns if c.function):
        _add(connection, function.name, len(function.columns), function.told_as, function.call)


def _add(connection: apsw.Connection, name: str, arguments: int, told_as: str, call: Callable[..., Stored]) -> None:
    def guarded(*values: Stored) -> Stored:
        try:
            return call(*values)
        except Exception as error:  # noqa: BLE001 (the code is not ours: whatever it raises is about this row)
            raise FunctionFailed(f"{told_as} raised {type(error).__name__}") from None

    connection.create_scalar_function(name, guarded, arguments, deterministic=True)


# --- helpers ----------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    """A text or an integer as text; a real has no one form."""
    if not isinstance(value, (str, int)):
        raise TypeError
    return str(value)


def _digest(algorithm: str) -> Callable[[Any], str | None]:
    def digest(value: Any) -> str | None:
        if value is None:
            return None
        data = value if isinstance(value, bytes) else _text(value).encode()
        return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()

    return digest


def _named_uuid(make: Callable[[uuid.UUID, str], uuid.UUID]) -> Callable[[Any, Any], str | None]:
    def named(namespace: Any, name: Any) -> str | None:
        if namespace is None or name is None:
            return None
        return str(make(_NAMESPACES.get(namespace) or uuid.UUID(namespace), _text(name)))

    return named


_HELPERS: Final[tuple[tuple[str, int, Callable[..., Stored]], ...]] = (
    ("cdc_uuid3", 2, _named_uuid(uuid.uuid3)),
    ("cdc_uuid5", 2, _named_uuid(uuid.uuid5)),
    ("cdc_md5", 1, _digest("md5")),
    ("cdc_sha1", 1, _digest("sha1")),
    ("cdc_sha256", 1, _digest("sha256")),
)
