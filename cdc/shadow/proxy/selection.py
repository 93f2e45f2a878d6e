"""Which questions of users are put to the candidate as well."""

import fnmatch
import random
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cdc.config import ShadowSection
from cdc.shadow.requests import HttpRequest, refusal

REPEATABLE: Final = frozenset({"GET", "HEAD"})  # whatever `methods` says: another one is asked once, by its user
_REMEMBERED: Final = 4_096


class Selection:
    """By method and path, then by chance where a path has a rate."""

    def __init__(self, section: ShadowSection, chance: Callable[[], float] = random.random) -> None:
        self._section = section
        self._chance = chance
        self.may_be_asked = lru_cache(_REMEMBERED)(self._may_be_asked)

    def _may_be_asked(self, method: str, target: str) -> bool:
        return method in REPEATABLE and not refusal(HttpRequest(method, target), self._section)

    def drawn(self, path: str) -> bool:
        """Whether this question is among the share of its path that is compared."""
        rates = self._section.proxy.rates
        share = next((rate.share for rate in rates if fnmatch.fnmatchcase(path, rate.path)), 1.0)
        return share >= 1 or self._chance() < share
