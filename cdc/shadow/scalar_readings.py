"""How a rule reads two single values: as moments, numbers, or texts in which blanks do not count."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cdc.config import ShadowRule

_EMPTY: Final = (None, "")


def read_alike(rule: ShadowRule, baseline: Any, candidate: Any) -> bool:
    """Whether two values are the same as the rule reads them; false for what cannot be read so."""
    match rule.read:
        case "instant":
            ours, theirs = _instant(baseline), _instant(candidate)
            return ours is not None and ours == theirs
        case "number":
            return _numbers_alike(_number(baseline), _number(candidate), rule.tolerance or 0.0)
        case "text":
            both = isinstance(baseline, str) and isinstance(candidate, str)
            return both and baseline.split() == candidate.split()
        case "empty is null":
            return baseline in _EMPTY and candidate in _EMPTY
        case _:
            return False


def _instant(value: Any) -> datetime | None:
    """A moment as ISO 8601 writes it, with a blank for its T as well; without an offset it is one of UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _numbers_alike(ours: Decimal | None, theirs: Decimal | None, tolerance: float) -> bool:
    if ours is None or theirs is None:
        return False
    return ours == theirs or abs(ours - theirs) <= Decimal(tolerance) * max(abs(ours), abs(theirs))
