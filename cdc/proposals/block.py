"""What a first configuration is made of. Frozen, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TARGET: Final = ("target",)
FORMATS: Final = ("formats",)


@dataclass(frozen=True, slots=True)
class Block:
    """Lines, each `key = value`, for the section of these names, and why. A `choice` takes effect once it is chosen."""

    section: tuple[str, ...]
    lines: tuple[str, ...]
    why: str
    choice: bool = False


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A table that stays behind, or as a `choice` may; `rows` are those that it holds."""

    table: str
    rows: int
    why: str
    choice: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """All that was found. `warnings` come first: the application may not find what it asks for. `remarks` are to know.

    `dropped_values` are those of columns that are skipped.
    """

    tables: int
    rows: int
    exclusions: tuple[Exclusion, ...] = ()
    blocks: tuple[Block, ...] = ()
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    dropped_values: int = 0

    @property
    def decided(self) -> tuple[Block, ...]:
        """The lines that take effect as they are."""
        return tuple(block for block in self.blocks if not block.choice)

    @property
    def left_out(self) -> tuple[Exclusion, ...]:
        """The tables that stay behind."""
        return tuple(excluded for excluded in self.exclusions if not excluded.choice)

    @property
    def choices(self) -> int:
        """How many things a person may choose."""
        return sum(block.choice for block in self.blocks) + sum(excluded.choice for excluded in self.exclusions)


def column_section(table: str, column: str) -> tuple[str, ...]:
    """The section of one column."""
    return ("tables", table, "columns", column)


def merged(blocks: Sequence[Block]) -> list[tuple[tuple[str, ...], list[Block]]]:
    """The blocks by section, each section once, in the order in which they first come."""
    by_section: dict[tuple[str, ...], list[Block]] = {}
    for block in blocks:
        by_section.setdefault(block.section, []).append(block)
    return list(by_section.items())
