"""Headers on their way: what is of one connection stays there, all else passes as it came (RFC 9110, 7.6.1)."""

from collections.abc import Mapping, Sequence
from typing import Final

from multidict import CIMultiDict

RawHeaders = Sequence[tuple[bytes, bytes]]

FORWARDED_FOR: Final = "X-Forwarded-For"
SHADOW: Final = b"X-Cdc-Shadow"  # by which the application can tell a request that no user waits for

_OF_ONE_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)


def end_to_end(headers: RawHeaders) -> RawHeaders:
    """The headers that are meant for the other end, in their order, with those that come twice."""
    kept = [header for header in headers if header[0].lower() not in _OF_ONE_CONNECTION]
    if len(kept) == len(headers):
        return kept
    named = {
        name.strip() for key, value in headers if key.lower() == b"connection" for name in value.lower().split(b",")
    }
    return [header for header in kept if header[0].lower() not in named]


def for_baseline(headers: RawHeaders, client: str | None) -> RawHeaders:
    """A request's headers as they go on; `client` is the address that it came from."""
    forwarded = FORWARDED_FOR.lower().encode()
    # Expect is answered here: the body comes at once.
    kept = [header for header in end_to_end(headers) if header[0].lower() not in (b"expect", forwarded)]
    before = [value for key, value in headers if key.lower() == forwarded]
    if client is not None:
        before.append(client.encode())
    return [*kept, (FORWARDED_FOR.encode(), b", ".join(before))] if before else kept


def marked(headers: RawHeaders) -> RawHeaders:
    """The same request, marked as one that nobody waits for.

    Headers that the configuration has for a side are not added: what they allow, a user need not be allowed.
    """
    return [*(header for header in headers if header[0].lower() != SHADOW.lower()), (SHADOW, b"1")]


def value_of(headers: RawHeaders, name: bytes) -> bytes | None:
    """The value of the first header of a name, which is given in lower case."""
    for key, value in headers:
        if len(key) == len(name) and key.lower() == name:
            return value
    return None


def for_library(headers: RawHeaders) -> "CIMultiDict[str]":
    """Headers as the HTTP library takes them.

    Those that come twice have the spelling of the first: it takes others for another header and keeps the last alone.
    """
    kept = CIMultiDict[str]()
    spelling: dict[bytes, str] = {}
    for key, value in headers:
        kept.add(spelling.setdefault(key.lower(), text(key)), text(value))
    return kept


def block(headers: RawHeaders) -> bytes:
    """Headers on the wire."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def wants_tunnel(headers: Mapping[str, str]) -> bool:
    """Whether a request asks to go on as a websocket; other upgrades are not offered to the baseline."""
    return headers.get("Upgrade", "").lower() == "websocket" and "upgrade" in headers.get("Connection", "").lower()


def text(raw: bytes) -> str:
    """Bytes of a head as the HTTP library has them."""
    return raw.decode("utf-8", "surrogateescape")
