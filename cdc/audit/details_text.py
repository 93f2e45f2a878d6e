"""The details of an entry in words, for people."""

from collections.abc import Mapping
from typing import Final

from cdc.audit.chain import Detail

MOST_KEYS: Final = 10  # of a list; who wants all of them reads the entry


def details_text(details: Mapping[str, Detail]) -> str:
    """`table content, rows 3, keys 1, 2, 3`; what is not known is left out."""
    return ", ".join(f"{name} {_detail(value)}" for name, value in details.items() if value is not None)


def _detail(value: object) -> str:
    match value:
        case Mapping():
            return "; ".join(f"{name} ({details_text(of)})" for name, of in value.items() if isinstance(of, Mapping))
        case bool():
            return "yes" if value else "no"
        case list():
            more = f" and {len(value) - MOST_KEYS:,} more" if len(value) > MOST_KEYS else ""
            return ", ".join(map(str, value[:MOST_KEYS])) + more
        case _:
            return str(value)
