"""Which reads are served by the candidate: a share of clients, always the same ones, until something is wrong."""

import hashlib
import time
from collections.abc import Callable
from typing import Final

from loguru import logger

from cdc.facts.shadow import ENDS_CLEAN, Outcome

_PARTS: Final = 1 << 32


class Canary:
    """`share` of the clients, 0 to 1; for `pause_seconds` nobody once an answer differed, failed or was slow."""

    def __init__(self, share: float, pause_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._pause = pause_seconds
        self._clock = clock
        self._again_at = 0.0

    @property
    def serves(self) -> bool:
        """Whether anybody is served from the candidate now."""
        return self._share > 0 and self._clock() >= self._again_at

    def takes(self, client: str) -> bool:
        """Whether this client is one of the share, and is served from there now."""
        digest = hashlib.blake2b(client.encode("utf-8", "surrogateescape"), digest_size=4).digest()
        return self.serves and int.from_bytes(digest, "big") < self._share * _PARTS

    def saw(self, outcome: Outcome) -> None:
        """Take in what a pair came to: all go back to the baseline for a while when it speaks against the candidate."""
        if self._share == 0 or outcome.verdict not in ENDS_CLEAN:
            return
        if self.serves:
            told = logger.bind(endpoint=outcome.endpoint, verdict=outcome.verdict.value, seconds=self._pause)
            told.warning("all reads go back to the baseline")
        self._again_at = self._clock() + self._pause
