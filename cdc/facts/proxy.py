"""How the shadow proxy stands: what its metrics, its control socket and its supervisor are told."""

from collections.abc import Mapping
from dataclasses import dataclass

from cdc.facts.shadow import Verdict
from cdc.facts.timings import Timings


@dataclass(frozen=True, slots=True)
class ProxyFacts:
    """What a proxy counts, and how it stands. `active` and `breaker` are one of `sides` and of `breaker_states`.

    `waiting` writes wait and `writing` are under way, `held` ever waited; `added` is what the proxy itself
    takes of the time of reads.
    """

    requests: int
    verdicts: Mapping[Verdict, int]
    not_compared: Mapping[str, int]
    added: Timings
    pairs_waiting: int
    waiting: int
    writing: int
    held: int
    active: str
    sides: tuple[str, ...]
    breaker: str
    breaker_states: tuple[str, ...]
    serves_candidate: bool
    silent_seconds: float
