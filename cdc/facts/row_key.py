"""Keys as text: exact, reversible, and written the same by Postgres, so that either side can name a source row."""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from cdc.facts.secret_names import MASKED, is_called_secret
from cdc.facts.values import Failed, InvalidText, KeyValues, NullKey, Value


def encode_value(value: Value) -> str:
    """A SQLite value as text that `decode_value` turns back exactly, type and all bits: `i5`, `tabc`.

    Reals and blobs are written as the hexadecimal of their bytes (reals big-endian), which Postgres can produce too.
    """
    match value:
        case None | NullKey():
            return "n" if value is None else f"n{value.rowid}"
        case bool() | int():
            return f"i{int(value)}"
        case float():
            return "r" + struct.pack(">d", value).hex()
        case str():
            return f"t{value}"
        case bytes():
            return "b" + value.hex()
        case InvalidText(data):
            return "x" + data.hex()
        case Failed():
            raise ValueError("a value that could not be computed identifies no row")


def decode_value(text: str) -> Value:
    """The value that `encode_value` made this text from."""
    kind, body = text[:1], text[1:]
    match kind:
        case "n":
            return NullKey(int(body)) if body else None
        case "i":
            return int(body)
        case "r":
            real: float = struct.unpack(">d", bytes.fromhex(body))[0]
            return real
        case "t":
            return body
        case "b":
            return bytes.fromhex(body)
        case "x":
            return InvalidText(bytes.fromhex(body))
        case _:
            raise ValueError(f"not an encoded value: {text[:20]!r}")


_SEPARATOR: Final = "\x1f"
_ESCAPE: Final = "\x1b"


def _escape(text: str) -> str:
    # Postgres text holds no NUL, so NUL is escaped along with the separator.
    return text.replace(_ESCAPE, _ESCAPE + "e").replace(_SEPARATOR, _ESCAPE + "s").replace("\x00", _ESCAPE + "0")


def _unescape(text: str) -> str:
    return text.replace(_ESCAPE + "0", "\x00").replace(_ESCAPE + "s", _SEPARATOR).replace(_ESCAPE + "e", _ESCAPE)


def encode_key(key: Sequence[Value]) -> str:
    """A key as one text without NUL, exact and reversible; equal texts mean identical keys."""
    return _SEPARATOR.join(_escape(encode_value(v)) for v in key)


def encode_keys(keys: Iterable[Sequence[Value]]) -> list[str]:
    """Many keys as `encode_key` writes them, several times as fast where they are a number or a plain text each."""
    return [_encode_plain(key[0]) or encode_key(key) if len(key) == 1 else encode_key(key) for key in keys]


def _encode_plain(value: Value) -> str:
    """A number or a text in which nothing is to be escaped; else nothing."""
    if type(value) is int:
        return f"i{value}"
    return f"t{value}" if type(value) is str and value.isprintable() else ""


def decode_key(text: str) -> KeyValues:
    """The key that `encode_key` made this text from."""
    return tuple(decode_value(_unescape(part)) for part in text.split(_SEPARATOR))


def show_key(text: str) -> str:
    """An encoded key in a form for people: `5`, `'yt:abc'`, `('a', 2)`."""
    return _as_one([_show(v) for v in decode_key(text)])


def shown_key(text: str, table: str, columns: Sequence[str]) -> str:
    """The same for a screen or a log, with `***` for texts and blobs that their column or table calls secret.

    `columns` are those of the key in SQLite, as far as they are known.
    """
    values = decode_key(text)
    names = columns if len(columns) == len(values) else [""] * len(values)
    hidden = [is_called_secret(table) or is_called_secret(name) for name in names]
    shown = [
        MASKED if secret and isinstance(value, str | bytes | InvalidText) else _show(value)
        for secret, value in zip(hidden, values, strict=True)
    ]
    return _as_one(shown)


def in_order(text: str) -> tuple[tuple[int, float, str], ...]:
    """By which encoded keys are put in an order for people: numbers by their size, then texts, then all else."""
    return tuple(_rank(value) for value in decode_key(text))


def _rank(value: Value) -> tuple[int, float, str]:
    match value:
        case int() | float():
            return 0, value, ""
        case str():
            return 1, 0, value
        case _:
            return 2, 0, encode_value(value)


def _as_one(shown: Sequence[str]) -> str:
    return shown[0] if len(shown) == 1 else f"({', '.join(shown)})"


def _show(value: Value) -> str:
    match value:
        case None:
            return "NULL"
        case NullKey(rowid):
            return f"NULL (rowid {rowid})"
        case bytes():
            return f"x'{value.hex()}'"
        case InvalidText(data):
            return f"invalid text x'{data.hex()}'"
        case _:
            return repr(value)
