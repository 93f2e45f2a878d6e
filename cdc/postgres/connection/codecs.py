"""Codecs that a connection needs before it carries replicated values exactly.

The driver's own date codecs write the largest and the smallest Python date as infinity and minus infinity. Both are
common in applications: 9999-12-31 means for ever, and 0001-01-01 is a zero time in Go and .NET. Its codec of intervals
knows no months. And citext, an extension's type, and the addresses of cards have no binary codec, without which COPY
refuses them.
"""

import datetime
import struct
import weakref
from collections.abc import Callable
from typing import Any, Final

import asyncpg

_DAY: Final = struct.Struct("!i")
_SPAN: Final = struct.Struct("!qii")
_MICROSECONDS: Final = struct.Struct("!q")
_EPOCH_DAY: Final = datetime.date(2000, 1, 1).toordinal()
_EPOCH: Final = datetime.datetime(2000, 1, 1)
_EPOCH_UTC: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
# What Postgres stores for its infinities.
_DAY_INFINITIES: Final = {-0x80000000: datetime.date.min, 0x7FFFFFFF: datetime.date.max}
_INFINITE: Final = frozenset({-0x8000000000000000, 0x7FFFFFFFFFFFFFFF})

_CITEXT: Final = """
SELECT n.nspname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typname = 'citext' AND t.typtype = 'b'
"""

_exact: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


async def use_exact_codecs(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Let the connection write dates and timestamps as the numbers that a converter makes, and citext at all.

    Python's dates and datetimes still work as parameters and come back from queries. Costs a few round trips the
    first time, nothing after that. Lets the driver's errors through.
    """
    if connection in _exact:
        return
    for name, encode, decode in _CODECS:
        await connection.set_type_codec(name, schema="pg_catalog", encoder=encode, decoder=decode, format="binary")
    for extension in await connection.fetch(_CITEXT):
        await connection.set_builtin_type_codec("citext", schema=extension["nspname"], codec_name="text")
    _exact.add(connection)


def _encode_day(value: int | datetime.date) -> bytes:
    return _DAY.pack(value if isinstance(value, int) else value.toordinal() - _EPOCH_DAY)


def _decode_day(data: bytes) -> datetime.date:
    (number,) = _DAY.unpack(data)
    return _DAY_INFINITIES.get(number) or datetime.date.fromordinal(number + _EPOCH_DAY)


def _moment(epoch: datetime.datetime) -> tuple[Callable[[Any], bytes], Callable[[bytes], datetime.datetime]]:
    def encode(value: Any) -> bytes:
        try:
            return _MICROSECONDS.pack(value)  # the one that is in a hurry
        except struct.error:
            return _MICROSECONDS.pack((value - epoch) // _MICROSECOND)

    def decode(data: bytes) -> datetime.datetime:
        (number,) = _MICROSECONDS.unpack(data)
        if number in _INFINITE:
            return (datetime.datetime.min if number < 0 else datetime.datetime.max).replace(tzinfo=epoch.tzinfo)
        return epoch + datetime.timedelta(microseconds=number)

    return encode, decode


def _encode_span(value: tuple[int, int, int] | datetime.timedelta) -> bytes:
    if isinstance(value, datetime.timedelta):
        value = (0, value.days, value.seconds * 1_000_000 + value.microseconds)
    months, days, microseconds = value
    return _SPAN.pack(microseconds, days, months)


def _decode_span(data: bytes) -> datetime.timedelta:
    microseconds, days, months = _SPAN.unpack(data)
    return datetime.timedelta(days=days + 30 * months, microseconds=microseconds)


def _encode_octets(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _decode_octets(data: bytes) -> str:
    return data.hex(":")


_CODECS: Final[tuple[tuple[str, Callable[[Any], bytes], Callable[[bytes], Any]], ...]] = (
    ("date", _encode_day, _decode_day),
    ("timestamp", *_moment(_EPOCH)),
    ("timestamptz", *_moment(_EPOCH_UTC)),
    ("interval", _encode_span, _decode_span),
    ("macaddr", _encode_octets, _decode_octets),
    ("macaddr8", _encode_octets, _decode_octets),
)
