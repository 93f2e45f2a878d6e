"""The phases of a move from SQLite to Postgres, and which may follow which."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from cdc.facts.side import Side


class Phase(StrEnum):
    """Where a source is on its way; `cdc status` shows the value.

    Postgres remembers `SNAPSHOT` to `FINALIZED`. From `CUTOVER` on applications write to it: first SQLite follows, then
    it does no more. The others are seen from outside: nothing was set up yet, replication was ended on purpose, or
    nobody who could tell can be asked.
    """

    NEW = "new"
    SNAPSHOT = "snapshot"
    SCHEMA = "schema"
    LOAD = "load"
    REPLICATE = "replicate"
    CUTOVER = "cutover"
    FINALIZED = "finalized"
    ENDED = "ended"
    UNKNOWN = "unknown"

    @property
    def active(self) -> Side:
        """The database that applications write to."""
        return Side.POSTGRES if self in {Phase.CUTOVER, Phase.FINALIZED} else Side.SQLITE

    @classmethod
    def _missing_(cls, value: object) -> "Phase":
        """What a newer version may have written is unknown to this one."""
        return cls.UNKNOWN


_FOLLOWED_BY: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.SNAPSHOT: frozenset({Phase.SCHEMA, Phase.LOAD}),
    Phase.SCHEMA: frozenset({Phase.SCHEMA, Phase.LOAD}),
    # A position that was lost together with the tables means that all begins anew, from either of these.
    Phase.LOAD: frozenset({Phase.SCHEMA, Phase.LOAD, Phase.REPLICATE}),
    Phase.REPLICATE: frozenset({Phase.SCHEMA, Phase.REPLICATE, Phase.CUTOVER}),
    Phase.CUTOVER: frozenset({Phase.CUTOVER, Phase.REPLICATE, Phase.FINALIZED}),
    Phase.FINALIZED: frozenset({Phase.FINALIZED}),
}


def may_follow(phase: Phase, before: Phase) -> bool:
    """Whether a source that is in phase `before` may come into `phase`; staying where it is counts as a step too."""
    return phase in _FOLLOWED_BY.get(before, frozenset())


def may_precede(phase: Phase) -> frozenset[Phase]:
    """The phases from which a source may come into `phase`."""
    return frozenset(before for before in _FOLLOWED_BY if may_follow(phase, before))
