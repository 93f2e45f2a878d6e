"""Headers on their way: what is of one connection stays there, all else passes as it came (RFC 9110, 7.6.1)."""

from collections.abc import Iterable, Mapping
from typing import Final

from multidict import CIMultiDict

RawHeaders = Iterable[tuple[bytes, bytes]]

FORWARDED_FOR: Final = "X-Forwarded-For"
SHADOW: Final = "X-Cdc-Shadow"  # by which the application can tell a request that no user waits for

_OF_ONE_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)


def end_to_end(headers: RawHeaders) -> "CIMultiDict[str]":
    """The headers that are meant for the other end, in their order, with those that come twice.

    Those have the spelling of the first: the HTTP library takes others for another header and keeps the last alone.
    """
    kept = CIMultiDict[str]()
    spelling: dict[bytes, str] = {}
    named: list[bytes] = []
    for key, value in headers:
        if (name := key.lower()) in _OF_ONE_CONNECTION:
            if name == b"connection":
                named += value.lower().split(b",")
            continue
        kept.add(spelling.setdefault(name, text(key)), text(value))
    for name in named:
        kept.popall(text(name.strip()), None)
    return kept


def for_baseline(headers: RawHeaders, client: str | None) -> "CIMultiDict[str]":
    """A request's headers as they go on; `client` is the address that it came from."""
    kept = end_to_end(headers)
    kept.popall("Expect", None)  # answered here: the body comes at once
    if client is not None:
        before = kept.popall(FORWARDED_FOR, [])
        kept[FORWARDED_FOR] = ", ".join([*before, client])
    return kept


def marked(headers: "CIMultiDict[str]") -> "CIMultiDict[str]":
    """The same request, marked as one that nobody waits for.

    Headers that the configuration has for a side are not added: what they allow, a user need not be allowed.
    """
    marked = headers.copy()
    marked[SHADOW] = "1"
    return marked


def wants_tunnel(headers: Mapping[str, str]) -> bool:
    """Whether a request asks to go on as a websocket; other upgrades are not offered to the baseline."""
    return headers.get("Upgrade", "").lower() == "websocket" and "upgrade" in headers.get("Connection", "").lower()


def text(raw: bytes) -> str:
    """Bytes of a head as the HTTP library has them."""
    return raw.decode("utf-8", "surrogateescape")
