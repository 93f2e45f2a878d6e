"""An answer of the application as both sides are compared by it: decoded, and without the address of its own side."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from typing import Final

LARGEST_BODY: Final = 32 * 1024 * 1024  # bytes, decoded
SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
TOO_LARGE: Final = f"its body is larger than {LARGEST_BODY // 2**20} MB"

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS  # as zlib has it


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, headers as they came, and the body as it was before it was compressed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header, of several of that name one after the other, None where there is none."""
        values = [value.strip() for given, value in self.headers if given.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
    def media_type(self) -> str:
        """The type of the body in lower case, empty where nothing is said."""
        return parsed_type(self.header("content-type") or "")[0]

    @property
    def charset(self) -> str | None:
        """In which encoding the body is said to be, in lower case."""
        return parsed_type(self.header("content-type") or "")[1]


def parsed_type(value: str) -> tuple[str, str | None]:
    """Media type and charset of a content-type, both in lower case."""
    if not value:
        return "", None
    message = Message()
    message["content-type"] = value
    charset = message.get_content_charset()
    return value.partition(";")[0].strip().lower(), charset


def as_compared(status: int, headers: Iterable[tuple[str, str]], body: bytes, base_url: str) -> HttpAnswer:
    """An answer as it came over the wire from `base_url`, made comparable with one from elsewhere.

    Raises `ValueError` for a body that is not encoded as it says, or is larger than `LARGEST_BODY`.
    """
    kept = tuple((name, _located(value, base_url) if _is_address(name) else value) for name, value in headers)
    answer = HttpAnswer(status, kept, body)
    try:
        plain = _decoded(body, (answer.header("content-encoding") or "").lower())
    except zlib.error:
        raise ValueError("its body is not compressed as it says") from None
    return HttpAnswer(status, kept, plain)


def _is_address(header: str) -> bool:
    return header.lower() in ("location", "content-location")


def _located(value: str, base_url: str) -> str:
    """An address of this side as a path, so that it is the same on the other one."""
    base = base_url.rstrip("/")
    rest = value.removeprefix(base)
    return (rest or "/") if rest != value and rest[:1] in ("", "/", "?", "#") else value


def _decoded(body: bytes, encoding: str) -> bytes:
    if not body or encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ValueError(f"it is encoded as {encoding}, which was not asked for")
    try:
        plain = _inflated(body, _GZIP_OR_ZLIB)
    except zlib.error:
        plain = _inflated(body, -zlib.MAX_WBITS)  # deflate without a head, as some servers have always sent it
    if len(plain) > LARGEST_BODY:
        raise ValueError(TOO_LARGE)
    return plain


def _inflated(body: bytes, window_bits: int) -> bytes:
    return zlib.decompressobj(window_bits).decompress(body, LARGEST_BODY + 1)
