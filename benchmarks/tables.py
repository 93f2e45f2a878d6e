"""Figures as tables, for the terminal and for the page alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Figure, amount

# Benchmarks whose figures make a grid: they are called "line: column".
GRIDS: Final = frozenset({"latency", "writer", "growth"})


@dataclass(frozen=True)
class Table:
    """A title for each column, and the lines."""

    columns: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]


def by_benchmark(figures: Sequence[Figure]) -> list[Table]:
    """One table for each benchmark."""
    names = dict.fromkeys(figure.id.partition(".")[0] for figure in figures)
    return [of_benchmark(name, figures) for name in names]


def of_benchmark(name: str, figures: Sequence[Figure]) -> Table:
    """The table of one benchmark among all figures."""
    own = [figure for figure in figures if figure.id.startswith(f"{name}.")]
    return _grid(own) if name in GRIDS else plain(own)


def plain(figures: Sequence[Figure]) -> Table:
    """A line for each figure; columns in which nothing stands are left out."""
    columns: dict[str, Callable[[Figure], str]] = {
        "what": lambda f: f"{f.what} ({f.note})" if f.note else f.what,
        "measured": lambda f: f.measured,
        "beside": lambda f: "" if f.beside is None else amount(f.beside),
        "ratio": lambda f: "" if f.ratio is None else _ratio(f.ratio),
        "reach": lambda f: f.reach,
        "reached": lambda f: {True: "yes", False: "no", None: ""}[f.reached],
    }
    filled = {name: text for name, text in columns.items() if any(map(text, figures))}
    return Table(tuple(filled), [tuple(text(figure) for text in filled.values()) for figure in figures])


def _grid(figures: Sequence[Figure]) -> Table:
    """A line for each thing that was measured and a column for each of its figures."""
    lines: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        what, _, column = figure.what.rpartition(": ")
        lines.setdefault(what, {})[column] = figure
    columns = list(dict.fromkeys(column for line in lines.values() for column in line))
    rows = [(what, *(_cell(line.get(column)) for column in columns)) for what, line in lines.items()]
    return Table(("", *columns), rows)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    notes = ("" if figure.ratio is None else f"ratio {_ratio(figure.ratio)}", figure.note)
    told = ", ".join(note for note in notes if note)
    return f"{figure.measured} ({told})" if told else figure.measured


def _ratio(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio < 0.1 else f"{ratio:.2f}"
