"""Which rows of the attacked database its application leaves alone, so that damage to them stays: every tenth."""

from typing import Final

EVERY: Final = 10
REST: Final = 3


def is_quiet(key: int) -> bool:
    """Whether the application never writes the row of that key."""
    return key % EVERY == REST
