"""Figures as a table on the terminal, and the command line of a single benchmark."""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rich.console import Console
from rich.table import Table

from benchmarks import tables
from benchmarks.figures import Figure, encode

Size = TypeVar("Size")


@dataclass(frozen=True)
class Sizes(Generic[Size]):
    """How much is measured: in full; in little, to see that everything works; and to compare with recorded ratios.

    What `check` leaves out it leaves out as whole figures: a figure it has is measured as in full.
    """

    full: Size
    quick: Size
    check: Size | None = None


def show(figures: Sequence[Figure]) -> None:
    """One table for each benchmark on standard output."""
    console = Console(width=None if Console().is_terminal else 160, markup=False)
    for table in tables.by_benchmark(figures):
        shown = Table(*table.columns)
        for line in table.lines:
            shown.add_row(*line)
        console.print(shown)


def tell(step: str) -> None:
    """Show on standard error how far a long benchmark is."""
    print(f"  {step}", file=sys.stderr, flush=True)


def main(measure: Callable[[Size], list[Figure]], sizes: Sizes[Size]) -> None:
    """The command line of one benchmark: `--quick`, `--check`, `--json`, and an option for each number of its size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a smaller size, to see that everything works")
    if sizes.check is not None:
        parser.add_argument("--check", action="store_true", help="only what is compared with recorded ratios")
    parser.add_argument("--json", action="store_true", help="print a list of figures instead of a table")
    full: Any = sizes.full
    numbers = [f.name for f in dataclasses.fields(full) if isinstance(getattr(full, f.name), int)]
    for name in numbers:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=f"default {getattr(full, name):,}")
    options = parser.parse_args()
    size: Any = sizes.quick if options.quick else sizes.check if getattr(options, "check", False) else full
    given = {name: number for name in numbers if (number := getattr(options, name)) is not None}
    figures = measure(dataclasses.replace(size, **given))
    if options.json:
        print(encode(figures).decode())
    else:
        show(figures)
