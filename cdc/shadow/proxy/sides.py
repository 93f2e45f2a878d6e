"""Both instances of the application, and where their databases stand."""

from dataclasses import dataclass

from cdc.shadow.proxy.positions import SourcePosition, TargetPosition
from cdc.shadow.proxy.switch import ActiveSide
from cdc.shadow.proxy.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Sides:
    """What users and pairs are answered by."""

    baseline: Upstream
    candidate: Upstream
    source: SourcePosition
    target: TargetPosition

    def of(self, side: ActiveSide) -> Upstream:
        """One of them."""
        return self.baseline if side is ActiveSide.BASELINE else self.candidate
