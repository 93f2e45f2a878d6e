"""What pages are made of: tables of Markdown, and pages that people write but for the parts between two marks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
NOTICE: Final = "<!-- Written by `make docs`; edit the sources it is made from. -->"
_PART_END: Final = "<!-- end -->"


def table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table with these headings; a `|` in a cell does not end it."""
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def own_block(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table between empty lines, without which some readers of Markdown take the marks around it for a part of it."""
    return f"\n{table(columns, rows)}\n"


def with_parts(name: str, parts: Mapping[str, str]) -> str:
    """A page that people write, with the parts that are made from the program, by the word that their mark begins with.

    Raises `ValueError` where a page has not each mark once.
    """
    page = (FOLDER / name).read_text(encoding="utf-8")
    for word, part in parts.items():
        begin = f"<!-- {word}: written by `make docs` -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{part}\n{_PART_END}{rest.partition(_PART_END)[2]}"
    return page
