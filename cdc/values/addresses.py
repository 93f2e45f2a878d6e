"""Addresses of networks and of cards: the one text that Postgres shows of each, or any usual one by a format."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values.encoder import Encoder, Unfit, expect, singly
from cdc.values.family import Family, Format, PostgresType, Promise, Returning, ValueForm
from cdc.values.texts import AS_TEXT

_WRONG: Final = "is a text of another form"
_IP: Final = re.compile(r"(?P<address>[0-9A-Fa-f:.]+)(?:/(?P<bits>[0-9]{1,3}))?")
_MAC_FORMS: Final = {
    octets: re.compile(
        rf"[0-9a-fA-F]{{2}}(?:(?P<sign>[:-])[0-9a-fA-F]{{2}}(?:(?P=sign)[0-9a-fA-F]{{2}}){{{octets - 2}}})"
        rf"|[0-9a-fA-F]{{4}}(?:\.[0-9a-fA-F]{{4}}){{{octets // 2 - 1}}}|[0-9a-fA-F]{{{2 * octets}}}"
    )
    for octets in (6, 8)
}

# --- networks ---------------------------------------------------------------------------------------------------------


def _inet(text: str) -> str:
    """An address as Postgres shows it, with its bits where they are not all."""
    address, bits = _parsed(text)
    return _shown(address) + (f"/{bits}" if bits != address.max_prefixlen else "")


def _cidr(text: str) -> str:
    """A network as Postgres shows it, with its bits; raises `Unfit` where bits beyond these are set."""
    address, bits = _parsed(text)
    if int(address) & ((1 << address.max_prefixlen - bits) - 1):
        raise Unfit("is a text of a network whose address has more bits than the network")
    return f"{_shown(address)}/{bits}"


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _parsed(text: str) -> tuple[_Address, int]:
    found = _IP.fullmatch(text)
    try:
        address = ipaddress.ip_address(found["address"]) if found else None
    except ValueError:
        address = None
    bits = int(found["bits"]) if found and found["bits"] else None
    if address is None or (bits is not None and bits > address.max_prefixlen):
        raise Unfit(_WRONG if text else "is an empty text")
    return address, address.max_prefixlen if bits is None else bits


def _shown(address: _Address) -> str:
    """As Postgres does: of IPv6 the first of the longest runs of zeros is left out, and an IPv4 in it shows as one."""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    groups = [int(group, 16) for group in address.exploded.split(":")]
    first, length = _longest_zeros(groups)
    if first == 0 and (length == 6 or (length == 5 and groups[5] == 0xFFFF)):
        last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return f"::{'ffff:' if length == 5 else ''}{last}"
    before, after = groups[:first], groups[first + length :]
    joined = [":".join(f"{group:x}" for group in part) for part in (before, after)]
    return "::".join(joined) if length else joined[0]


def _longest_zeros(groups: Sequence[int]) -> tuple[int, int]:
    """Where the first of the longest runs of two or more zeros begins, and how long it is."""
    runs = [list(run) for zero, run in groupby(range(len(groups)), lambda place: groups[place] == 0) if zero]
    longest = max(runs, key=len, default=[])
    return (longest[0], len(longest)) if len(longest) > 1 else (len(groups), 0)


# --- cards ------------------------------------------------------------------------------------------------------------


def _mac(octets: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not _MAC_FORMS[octets].fullmatch(text):
            raise Unfit(_WRONG if text else "is an empty text")
        digits = re.sub("[^0-9a-f]", "", text.lower())
        return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2))

    return read


# --- types and the format ---------------------------------------------------------------------------------------------


def _type(name: str, read: Callable[[str], str], fixed: tuple[int, int] | None = None) -> PostgresType:
    def scalar(value: Value) -> str:
        text = expect(value, str)
        if read(text) != text:
            raise Unfit("is a text that would read back otherwise")
        return text

    encoder = Encoder(f"{name} texts as Postgres shows them", singly(scalar), scalar)
    returning = Returning(read, lambda _: (AS_TEXT,))
    return PostgresType(name, name, lambda _: encoder, returning, fixed=fixed, same_when_equal=True)


_READ: Final = {"inet": _inet, "cidr": _cidr, "macaddr": _mac(6), "macaddr8": _mac(8)}
INET: Final = _type("inet", _inet)
CIDR: Final = _type("cidr", _cidr)
MACADDR: Final = _type("macaddr", _READ["macaddr"], fixed=(6, 4))
MACADDR8: Final = _type("macaddr8", _READ["macaddr8"], fixed=(8, 4))
TYPES: Final = (INET, CIDR, MACADDR, MACADDR8)


def _any_notation(target: TargetColumn) -> Encoder:
    read = _READ[target.base]

    def scalar(value: Value) -> str:
        return read(expect(value, str))

    return Encoder(f"{target.base} texts in any usual form", singly(scalar), scalar)


def _notations(target: TargetColumn) -> tuple[ValueForm, ...]:
    if target.base in (INET.base, CIDR.base):
        return AS_TEXT, ValueForm("with all its bits", "text", _with_bits), ValueForm("in full", "text", _in_full)
    cases = ((str.lower, "lower case"), (str.upper, "upper case"))
    return tuple(
        ValueForm(f"{name} with {sign or 'nothing'}", "text", _joined(case, sign))
        for sign in (":", "-", "")
        for case, name in cases
    )


def _with_bits(text: str) -> str:
    address, bits = _parsed(text)
    return f"{_shown(address)}/{bits}"


def _in_full(text: str) -> str:
    address, bits = _parsed(text)
    return address.exploded + (f"/{bits}" if "/" in text and bits != address.max_prefixlen else "")


def _joined(case: Callable[[str], str], sign: str) -> Callable[[str], Value]:
    return lambda text: case(text.replace(":", sign))


FAMILY: Final = Family(
    types=TYPES,
    formats=(
        Format(
            "address",
            "addresses in any notation: IPv6 in full, in capitals, with all its bits; octets of a card with colons, "
            "hyphens, dots or nothing between",
            TYPES,
            _any_notation,
            _notations,
        ),
    ),
    promises=(
        Promise(
            (INET.name, CIDR.name),
            "the text that Postgres shows: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::1`",
            "`192.0.2.1/32`, capitals, `::0001`: they would read back otherwise; `10.0.0.1/8` in `cidr`",
        ),
        Promise((MACADDR.name, MACADDR8.name), "octets in lower case with colons", "capitals, hyphens"),
    ),
)
