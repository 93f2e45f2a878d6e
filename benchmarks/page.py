"""The tables of docs/benchmarks.md, made from the recorded run. The words around them are written by hand.

python -m benchmarks.page
"""

import re
from typing import Final

from benchmarks import record, tables
from benchmarks.machine import ROOT
from benchmarks.record import Record
from benchmarks.tables import Table

PAGE: Final = ROOT / "docs" / "benchmarks.md"
_PLACE: Final = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(page: str, recorded: Record) -> str:
    """The page with the tables of a recorded run in the places that are marked for them."""
    return _PLACE.sub(lambda found: f"{found[1]}\n{_text(_table(found[2], recorded))}\n\n{found[3]}", page)


def _table(name: str, recorded: Record) -> Table:
    if name == "machine":
        return Table(("", ""), list(recorded.machine.items()))
    if name == "goals":
        return tables.plain([figure for figure in recorded.figures if figure.reach])
    return tables.of_benchmark(name, recorded.figures)


def _text(table: Table) -> str:
    if not table.lines:
        return "Not in the recorded run yet."
    lines = (table.columns, ("---",) * len(table.columns), *table.lines)
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def write() -> None:
    """Bring the page up to date with the recorded run."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), record.load()), encoding="utf-8")


if __name__ == "__main__":
    write()
