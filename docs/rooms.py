"""The rooms of the package, read off its sources: which there are, what they use, and a picture of it.

A room is a folder of `cdc/`; within the two that hold one engine each, a folder of theirs. What nearly everything uses
is drawn as the ground, and a line is left out where another way leads there: what is left is what holds the house.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

import cdc

PACKAGE: Final = Path(cdc.__file__).parent
ENGINES: Final = ("sqlite", "postgres")
GROUND: Final = ("facts", "host", "resources")  # and the files that lie in no room

_BEGIN: Final = "<!-- rooms: written by `make docs` -->"
_END: Final = "<!-- end -->"
_BOX: Final = (150, 34)
_GAP: Final = (26, 52)
_FONT: Final = 'font-family="sans-serif" font-size="13"'


@dataclass(frozen=True, slots=True)
class Room:
    """A room: its name with dots, what its `__init__` says of it, its files, and the rooms that it imports."""

    name: str
    sign: str
    files: tuple[str, ...]
    uses: frozenset[str]

    @property
    def folder(self) -> str:
        """Where it is, from the top of the repository."""
        return f"cdc/{self.name.replace('.', '/')}"


def rooms() -> dict[str, Room]:
    """Every room by name, in the order of names."""
    files: dict[str, list[Path]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        if name := room_of(file.relative_to(PACKAGE).with_suffix("").parts):
            files.setdefault(name, []).append(file)
    return {name: _room(name, own) for name, own in sorted(files.items())}


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module, given by its parts within the package; empty for one that lies in none."""
    depth = 2 if parts[0] in ENGINES else 1
    return ".".join(parts[:depth]) if len(parts) > depth else ""


def _room(name: str, files: list[Path]) -> Room:
    signs = [ast.get_docstring(ast.parse(f.read_text("utf-8"))) for f in files if f.name == "__init__.py"]
    uses = {room_of(parts) for file in files for parts in _imports(file)}
    names = tuple(file.name for file in files if file.name != "__init__.py")
    folders = {used for used in uses if used and (PACKAGE / used.replace(".", "/")).is_dir()}
    return Room(name, inspect.cleandoc(signs[0] or ""), names, frozenset(folders - {name}))


def _imports(file: Path) -> Iterator[tuple[str, ...]]:
    """The modules of ours that a file imports, wherever it does so, by their parts within the package."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (tuple(module.split(".")[1:]) for module in modules if module.startswith("cdc."))


# --- the picture ------------------------------------------------------------------------------------------------------


def floors(drawn: dict[str, Room]) -> dict[str, int]:
    """The floor of each room: one above the highest that it uses, from 0."""
    found: dict[str, int] = {}
    below = {name: set(room.uses & set(drawn)) for name, room in drawn.items()}
    while len(found) < len(drawn):
        ready = {name: used for name, used in below.items() if name not in found and used <= set(found)}
        assert ready, "rooms use each other in a circle"
        found |= {name: 1 + max((found[other] for other in used), default=-1) for name, used in ready.items()}
    return found


def essential(drawn: dict[str, Room]) -> list[tuple[str, str]]:
    """Which room uses which, without what follows from others: a room is drawn to the nearest only."""
    below = {name: set(room.uses & set(drawn)) for name, room in drawn.items()}
    reach: dict[str, set[str]] = {}
    for name in sorted(drawn, key=floors(drawn).__getitem__):
        reach[name] = below[name].union(*(reach[used] for used in below[name]))
    lines = ((name, used) for name in drawn for used in below[name])
    return sorted((a, b) for a, b in lines if not any(b in reach[other] for other in below[a] - {b}))


def picture() -> str:
    """The house as SVG: SQLite's rooms on the left, Postgres' on the right, the way up is the way of imports."""
    drawn = {name: room for name, room in rooms().items() if name not in GROUND}
    levels = floors(drawn)
    by_floor = [list(own) for _, own in groupby(sorted(drawn, key=lambda n: (levels[n], _side(n))), levels.__getitem__)]
    columns = 1 + max(map(len, by_floor))
    width = columns * (_BOX[0] + _GAP[0]) + _GAP[0]
    height = (len(by_floor) + 1) * (_BOX[1] + _GAP[1])
    places: dict[str, tuple[float, float]] = {}
    for floor, names in enumerate(by_floor):
        y = height - (floor + 2) * (_BOX[1] + _GAP[1]) + _GAP[1] / 2
        places |= {name: (x, y) for name, x in zip(names, _across(names, width), strict=True)}
    lines = [_line(places[a], places[b]) for a, b in essential(drawn)]
    boxes = [_box(name, *place) for name, place in sorted(places.items())]
    flat = sorted(f.stem for f in PACKAGE.glob("*.py") if not f.stem.startswith("__"))
    ground = f"the ground: {', '.join((*GROUND, *flat))}"
    y = height - _BOX[1] - _GAP[1] / 2
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {_FONT}>',
            "<!-- Written by `make docs` from the imports. -->",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *lines,
            f'<rect x="{_GAP[0]}" y="{y:g}" width="{width - 2 * _GAP[0]}" height="{_BOX[1]}" fill="#eeeeee"/>',
            f'<text x="{width / 2:g}" y="{y + 22:g}" text-anchor="middle">{escape(ground)}</text>',
            *boxes,
            "</svg>\n",
        )
    )


def _across(names: list[str], width: float) -> list[float]:
    """Where the rooms of a floor stand: SQLite's from the left, Postgres' up to the right, the others between."""
    step = _BOX[0] + _GAP[0]
    left, right = (sum(_side(name)[0] == side for name in names) for side in (0, 2))
    between = len(names) - left - right
    first = (width - between * step + step) / 2
    ends = width - (_GAP[0] + _BOX[0] / 2)
    return [
        *(_GAP[0] + _BOX[0] / 2 + n * step for n in range(left)),
        *(first + n * step for n in range(between)),
        *(ends - n * step for n in reversed(range(right))),
    ]


def _side(name: str) -> tuple[int, str]:
    engine = name.partition(".")[0]
    return (0 if engine == "sqlite" else 2 if engine == "postgres" else 1, name)


def _line(upper: tuple[float, float], lower: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = upper, lower
    y1, bend = y1 + _BOX[1], _GAP[1] * 0.8
    curve = f"M{x1:g} {y1:g} C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
    return f'<path d="{curve}" fill="none" stroke="#999999"/>'


def _box(name: str, x: float, y: float) -> str:
    fill = {"sqlite": "#dcecf8", "postgres": "#e3e2f5"}.get(name.partition(".")[0], "#f6efd9")
    rect = f'<rect x="{x - _BOX[0] / 2:g}" y="{y:g}" width="{_BOX[0]}" height="{_BOX[1]}" rx="5" fill="{fill}"'
    return f'{rect} stroke="#555555"/><text x="{x:g}" y="{y + 22:g}" text-anchor="middle">{escape(name)}</text>'


# --- the paragraphs ---------------------------------------------------------------------------------------------------


def with_paragraphs(page: str) -> str:
    """A page that people write, with the paragraphs of now between two marks."""
    before, rest = page.split(_BEGIN)
    return f"{before}{_BEGIN}\n\n{paragraphs()}\n\n{_END}{rest.split(_END)[1]}"


def paragraphs() -> str:
    """One paragraph a room, from the top of the house: its sign, its files, and what it stands on in the picture."""
    known = rooms()
    upper = {name: room for name, room in known.items() if name not in GROUND}
    levels, stands_on = floors(upper), essential(upper)
    order = sorted(known, key=lambda name: (-levels.get(name, -1), _side(name)))
    return "\n\n".join(_paragraph(known[name], [b for a, b in stands_on if a == name]) for name in order)


def _paragraph(room: Room, below: list[str]) -> str:
    sign = " ".join(room.sign.split())
    files = ", ".join(f"`{name}`" for name in room.files)
    listed = f" Files: {files}." if files else ""
    stands = f" Stands on {', '.join(below)}." if below else ""
    return f"**`{room.folder}/`** {sign}{listed}{stands}"
