"""What benchmarks answer with: figures, each beside what is to be reached, as a table or as JSON; and their options."""

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

Size = TypeVar("Size")


@dataclass(frozen=True)
class Figure:
    """One measurement; what is to be reached is either a ratio at least or a value at most, or nothing."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    least_ratio: float | None = None
    most: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the figure is as good as it should be; None where nothing was set."""
        if self.least_ratio is not None and self.ratio is not None:
            return self.ratio >= self.least_ratio
        return None if self.most is None else self.value <= self.most

    @property
    def reach(self) -> str:
        """What is to be reached, in words."""
        if self.least_ratio is not None:
            return f"ratio {self.least_ratio:.2f}"
        return "" if self.most is None else f"at most {self.most:g} {self.unit}"


def show(figures: Iterable[Figure]) -> None:
    """One table of all figures on standard output."""
    table = Table("what", "measured", "ratio", "reach", "reached")
    for figure in figures:
        digits = 2 if figure.value < 100 else 0
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        reached = {True: "yes", False: "no", None: ""}[figure.reached]
        table.add_row(figure.what, f"{figure.value:,.{digits}f} {figure.unit}", ratio, figure.reach, reached)
    Console(width=None if Console().is_terminal else 120).print(table)


def as_json(figures: Sequence[Figure]) -> str:
    """All figures as one JSON list."""
    return json.dumps([{**dataclasses.asdict(f), "reached": f.reached} for f in figures])


def main(measure: Callable[[Size], list[Figure]], full: Size, quick: Size) -> None:
    """The command line of one benchmark: an option for each number of its size, `--quick` and `--json`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a smaller size, to see that everything works")
    parser.add_argument("--json", action="store_true", help="print a list of figures instead of a table")
    sizes: Any = full
    for field in dataclasses.fields(sizes):
        parser.add_argument(f"--{field.name}", type=int, help=f"default {getattr(full, field.name):,}")
    options = parser.parse_args()
    size: Any = quick if options.quick else full
    given = {f.name: number for f in dataclasses.fields(sizes) if (number := getattr(options, f.name)) is not None}
    figures = measure(dataclasses.replace(size, **given))
    if options.json:
        print(as_json(figures))
    else:
        show(figures)
