"""Addresses as Postgres shows them, made of the notations that applications use."""

import re
import socket
from typing import Final

_BITS: Final = re.compile(r"(?P<address>[0-9a-fA-F:.]+)(/(?P<bits>\d{1,3}))?", re.ASCII)
_ZEROS: Final = re.compile(r"\b0(:0\b)+")
_OCTETS: Final = {"macaddr": 6, "macaddr8": 8}


def address_text(value: object, base: str) -> str:
    """The one text of an address under a type; raises `ValueError` or `TypeError` for what is none."""
    if not isinstance(value, str):
        raise TypeError
    return _card(value, _OCTETS[base]) if base in _OCTETS else _network(value, base)


def is_shown(value: object, base: str) -> bool:
    """Whether it is the very text that Postgres shows."""
    try:
        return address_text(value, base) == value
    except (ValueError, TypeError):
        return False


def _card(text: str, octets: int) -> str:
    digits = text.lower()
    for sign, width in ((":", 2), ("-", 2), (".", 4)):
        if sign in digits:
            groups = digits.split(sign)
            if any(len(group) != width for group in groups):
                raise ValueError
            digits = "".join(groups)
            break
    if len(digits) != 2 * octets:
        raise ValueError
    if re.search("[^0-9a-f]", digits):
        raise ValueError
    return ":".join(digits[place : place + 2] for place in range(0, 2 * octets, 2))


def _network(text: str, base: str) -> str:
    written = _BITS.fullmatch(text)
    if written is None:
        raise ValueError
    packed = _packed(written["address"])
    most = len(packed) * 8
    bits = int(written["bits"] or most)
    if bits > most or (base == "cidr" and int.from_bytes(packed, "big") % 2 ** (most - bits)):
        raise ValueError
    shown = ".".join(map(str, packed)) if most == 32 else _groups(packed)
    return shown if base == "inet" and bits == most else f"{shown}/{bits}"


def _packed(address: str) -> bytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if family == socket.AF_INET and not re.fullmatch(r"(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}", address, re.ASCII):
        raise ValueError
    try:
        return socket.inet_pton(family, address)
    except OSError:
        raise ValueError from None


def _groups(packed: bytes) -> str:
    if packed[:12] == bytes(12) and packed[12:14] != bytes(2):
        return f"::{'.'.join(map(str, packed[12:]))}"
    if packed[:12] == bytes(10) + b"\xff\xff":
        return f"::ffff:{'.'.join(map(str, packed[12:]))}"
    plain = ":".join(f"{packed[place] << 8 | packed[place + 1]:x}" for place in range(0, 16, 2))
    runs = sorted(_ZEROS.finditer(plain), key=lambda run: -len(run[0]))  # the first of the longest stays the first
    if not runs:
        return plain
    return f"{plain[: runs[0].start()].rstrip(':')}::{plain[runs[0].end() :].lstrip(':')}"
