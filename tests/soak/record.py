"""The last soak, written into the page of faults: how often each was tried, and what came of it."""

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counts import Counts

PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
_CELL: Final = re.compile(r"<!-- (\w+) -->[^|]*\|")
_SECTION: Final = re.compile(r"(<!-- soak -->\n).*(<!-- end of soak -->)", re.DOTALL)


def machine() -> str:
    """What it ran on."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def with_soak(page: str, counts: Counts, words: list[str]) -> str:
    """The page with the counts in the places that are marked for them, and the words in its last section."""
    counted = _CELL.sub(lambda found: f"<!-- {found[1]} --> {counts.strikes[found[1]]:,} |", page)
    text = "\n".join([f"{datetime.now(UTC):%Y-%m-%d}, {machine()}", *words])
    return _SECTION.sub(lambda found: f"{found[1]}\n```text\n{text}\n```\n\n{found[2]}", counted)


def write(counts: Counts, words: list[str]) -> None:
    """Bring the page up to date with a soak."""
    PAGE.write_text(with_soak(PAGE.read_text(encoding="utf-8"), counts, words), encoding="utf-8")
