"""Lines that an operator may add to the configuration for one column, and what they would change. Frozen, no I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Proposal:
    """What `[tables.TABLE.columns.COLUMN]` could say; `lines` are keys and their texts, without quotes.

    `why` says in words what it was learned from. `frees` counts the values that would keep their rows out of Postgres
    as the column is mapped now, and would not with these lines; `leaves` those that keep theirs out with them. With
    `frees` at 0 it is a choice: every row arrives either way, or `leaves` says how many no longer would. Where a
    proposal is not `exact`, values become others on their way, which is for a person to decide.
    """

    table: str
    column: str
    lines: tuple[tuple[str, str], ...]
    why: str
    frees: int = 0
    leaves: int = 0
    exact: bool = True
