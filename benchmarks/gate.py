"""The regression gate: ratios measured now against the recorded ones.

Times differ from machine to machine and ratios hardly, so only ratios are compared, and of those only the steady ones.
"""

from collections.abc import Iterable
from typing import Final

from benchmarks.figures import Figure

MOST_FALL: Final = 0.20


def fallen(recorded: Iterable[Figure], measured: Iterable[Figure], names: Iterable[str]) -> list[str]:
    """What is worse than recorded by more than `MOST_FALL`, or gone, in words; empty when all is well.

    Only figures of the benchmarks of these `names` are looked for. One that is new, or that was recorded without a
    value (a peer that was not installed), has nothing to be compared with.
    """
    now = {figure.id: figure for figure in measured}
    wanted = tuple(f"{name}." for name in names)
    lines = [_judge(then, now.get(then.id)) for then in recorded if then.id.startswith(wanted)]
    return [line for line in lines if line is not None]


def _judge(then: Figure, now: Figure | None) -> str | None:
    if not then.steady or then.ratio is None:
        return None
    if now is None:
        return f"{then.id}: recorded with a ratio of {then.ratio:.2f}, but not measured now"
    if now.ratio is None:
        return f"{then.id}: recorded with a ratio of {then.ratio:.2f}, but without one now ({now.note or 'no reason'})"
    fall = 1 - now.ratio / then.ratio
    if fall <= MOST_FALL:
        return None
    return f"{then.id}: ratio {now.ratio:.2f}, recorded {then.ratio:.2f}, {fall:.0%} less ({then.what})"
