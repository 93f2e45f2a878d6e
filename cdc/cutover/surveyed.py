"""What one look at both sides of a switch found."""

from dataclasses import dataclass

from cdc.facts.phase import Phase
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.observe.status import Status
from cdc.postgres.record.switch import SwitchState
from cdc.sqlite.changelog.source_file import Look
from cdc.sqlite.fence.fence import FenceState


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What one look at both sides found."""

    status: Status
    look: Look
    phase: Phase
    maps: tuple[TableMap, ...]
    targets: dict[str, TargetTable]
    fence: FenceState
    switch: SwitchState
