"""Where reads and writes go, and what one flag says of it. No I/O."""

from dataclasses import dataclass
from typing import Any

from cdc.config import FollowedSwitch
from cdc.facts.side import Side


@dataclass(frozen=True, slots=True)
class FlagState:
    """Where an application reads and writes."""

    reads: Side
    writes: Side

    @property
    def allowed(self) -> bool:
        """Whether this may be: writes never go to Postgres before reads do, for nobody would see what was written."""
        return not (self.writes is Side.POSTGRES and self.reads is Side.SQLITE)

    def __str__(self) -> str:
        return f"reads {self.reads}, writes {self.writes}"

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        return {"reads": self.reads.value, "writes": self.writes.value}


AT_FIRST = FlagState(Side.SQLITE, Side.SQLITE)


@dataclass(frozen=True, slots=True)
class Saying:
    """What one flag says, None where it says nothing; `problem` is why it says less than it should."""

    reads: Side | None = None
    writes: Side | None = None
    problem: str | None = None


def side_of(state: FlagState, switch: FollowedSwitch) -> Side:
    """The side of a flag that follows reads, writes, or both: that is Postgres once both are there."""
    match switch:
        case "reads":
            return state.reads
        case "writes":
            return state.writes
        case _:
            return Side.POSTGRES if state.reads is state.writes is Side.POSTGRES else Side.SQLITE


def saying_of(side: Side, switch: FollowedSwitch) -> Saying:
    """What a flag that follows reads, writes or both says by standing at a side."""
    match switch:
        case "reads":
            return Saying(reads=side)
        case "writes":
            return Saying(writes=side)
        case _:
            # Of an application that has one switch for both, reads may be elsewhere before: another flag tells.
            return Saying(reads=Side.POSTGRES if side is Side.POSTGRES else None, writes=side)


def follows(switch: FollowedSwitch) -> frozenset[str]:
    """What a flag follows, of `reads` and `writes`."""
    return frozenset({"reads", "writes"} if switch == "both" else {switch})


def moved(before: FlagState | Saying, after: FlagState | Saying) -> frozenset[str]:
    """What differs, of `reads` and `writes`."""
    return frozenset(name for name in ("reads", "writes") if getattr(before, name) != getattr(after, name))
