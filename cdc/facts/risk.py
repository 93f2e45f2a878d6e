"""What was found about a table before its first copy, in words for people. Frozen, no I/O."""

from dataclasses import dataclass
from typing import Final, Literal

from cdc.facts.cause import ConfigLines, What

Level = Literal["warning", "blocks", "quarantine", "note"]
LEVELS: Final[tuple[Level, ...]] = ("warning", "blocks", "quarantine", "note")  # in the order in which they are told


@dataclass(frozen=True, slots=True)
class Risk:
    """One finding: `blocks` stops the first copy, `quarantine` keeps rows out, `note` is for the operator to know.

    A `warning` stands before all others: rows arrive, and the application may still not find what it asks for.
    `column` is empty for what concerns the whole table. `keys` name the rows that it is about, as people write them;
    they may be fewer than `rows`. `cause` is the same for findings with the same wrong; empty, `text` stands for it.
    Rows that `follow` are held by nothing but a parent that stays behind. `choices` would free the rows. `what` is told
    of that is no table stands under its own name in `table`.
    """

    table: str
    column: str
    level: Level
    text: str
    remedy: str
    rows: int = 0
    keys: tuple[str, ...] = ()
    cause: str = ""
    follows: bool = False
    choices: tuple[ConfigLines, ...] = ()
    what: What = "table"
