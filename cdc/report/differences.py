"""Every time both were found not to be alike, and how that ended. Pure, from comparisons and the audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cdc.audit.chain import AuditEntry
from cdc.facts.counted import counted
from cdc.postgres.record.verification import EQUAL, Verification

MOST_NAMED: Final = 10
_REPAIRS: Final = ("changed", "deleted", "added")


@dataclass(frozen=True, slots=True)
class FoundDifference:
    """A comparison that was not equal; `ended` is the first one after it that found the same tables equal."""

    found: Verification
    ended: Verification | None
    repaired: int
    came_back: int

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        mended = f"{counted(self.repaired, 'row')} repaired; " if self.repaired else ""
        if self.ended is None:
            return f"{mended}open: not compared as equal since"
        return f"{mended}compared again and equal"

    def to_json(self) -> dict[str, Any]:
        """As the document has it."""
        found = self.found
        return {
            "at": told_time(found.finished_at),
            "tables": list(found.names[:MOST_NAMED]),
            "more_tables": max(0, len(found.names) - MOST_NAMED),
            "result": found.result,
            "different": found.different,
            "missing": found.missing,
            "extra": found.extra,
            "came_back": self.came_back,
            "repaired": self.repaired,
            "ended_at": told_time(self.ended.finished_at) if self.ended else None,
            "ending": self.ending,
            "open": self.ended is None,
        }


def find_differences(comparisons: Sequence[Verification], entries: Sequence[AuditEntry]) -> list[FoundDifference]:
    """Each comparison that was not equal, the oldest first; `comparisons` have the newest first."""
    in_order = list(reversed(comparisons))
    return [
        _followed(found, in_order[place + 1 :], entries)
        for place, found in enumerate(in_order)
        if found.result != EQUAL
    ]


def _followed(found: Verification, later: Sequence[Verification], entries: Sequence[AuditEntry]) -> FoundDifference:
    ended = next((c for c in later if c.result == EQUAL and (c.complete or set(found.names) <= set(c.names))), None)
    until = ended.finished_at if ended else datetime.max.replace(tzinfo=UTC)
    during = [e for e in entries if e.details.get("table") in found.names and _between(e, found.started_at, until)]
    repairs = [e for e in during if e.action == "repair rows"]
    came_back = [e for e in during if e.action == "find a difference"]
    return FoundDifference(
        found,
        ended,
        sum(_sum(e, *_REPAIRS) for e in repairs),
        max((_sum(e, "came_back") for e in came_back), default=0),
    )


def _between(entry: AuditEntry, since: datetime, until: datetime) -> bool:
    try:
        at = datetime.fromisoformat(entry.at)
    except ValueError:
        return False
    return since <= (at if at.tzinfo else at.replace(tzinfo=UTC)) <= until


def _sum(entry: AuditEntry, *names: str) -> int:
    values = (entry.details.get(name) for name in names)
    return sum(value for value in values if isinstance(value, int))


def told_time(at: datetime | None) -> str | None:
    """A moment as documents have it: ISO 8601 in UTC, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds") if at else None
