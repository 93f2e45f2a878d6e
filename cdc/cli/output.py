"""What commands print: aligned tables for people, one JSON object for programs. Colour only on a terminal."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import click
from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cdc.facts.counted import counted

LONGEST_KEY: Final = 40  # characters of a key on a screen
_PIPED_WIDTH: Final = 10_000  # what goes to a file or a program is never folded or cut


def console() -> Console:
    """Where answers go. Nothing in them is markup: names and keys belong to users."""
    piped = not sys.stdout.isatty()
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=False, width=_PIPED_WIDTH if piped else None)


def show(renderable: RenderableType) -> None:
    """Print something of rich's, without the blanks that it fills lines up with."""
    screen = console()
    with screen.capture() as captured:
        screen.print(renderable)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), color=True if screen.is_terminal else None)


def say(text: str = "") -> None:
    """One line of the answer."""
    click.echo(visible(text))


def indented(text: str, by: int) -> Padding:
    """A text that keeps its indent when it needs several lines."""
    return Padding(Text(visible(text)), (0, 0, 0, by))


def print_json(answer: dict[str, Any]) -> None:
    """The answer as one JSON object."""
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()) -> None:
    """Rows under bold headings; the columns named in `numbers` are right-aligned, the last one takes the room left."""
    show(table_of(columns, rows, numbers=numbers))


def table_of(columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()) -> Table:
    """The same as something rich can show."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(Text(name), justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(_cell(value))) for value in row))
    return table


def facts_of(pairs: Iterable[tuple[str, object]]) -> Table:
    """Names and what is known about them, aligned; pairs without a value are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None and value != "":
            table.add_row(Text(name, style="bold"), value if isinstance(value, Text) else Text(visible(_cell(value))))
    return table


def print_facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and what is known about them."""
    show(facts_of(pairs))


def visible(text: str) -> str:
    """The text with control characters shown as escapes: a name in a database cannot steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text)


def seconds_text(seconds: float | None) -> str:
    """A span of time for people: `0.4 s`, `3 min`, `5 h`, `2 days`."""
    if seconds is None:
        return "unknown"
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def shortened(key: str) -> str:
    """A key as a line has room for it; programs get all of it."""
    return key if len(key) <= LONGEST_KEY else f"{key[: LONGEST_KEY - 3]}..."


def held_back_text(causes: int, rows: int, followers: int) -> str:
    """How many rows wait: `4 causes hold back 140 rows: 4 themselves, and 136 that hang on these`."""
    hold = f"{counted(causes, 'cause')} {'holds' if causes == 1 else 'hold'} back {counted(rows, 'row')}"
    if not followers:
        return hold
    own = rows - followers
    itself, it = ("itself", "it") if own == 1 else ("themselves", "these")
    return f"{hold}: {own:,} {itself}, and {followers:,} that {'hangs' if followers == 1 else 'hang'} on {it}"


def time_text(at: str | None) -> str | None:
    """A moment in ISO 8601 (UTC) for people: `2026-11-23 07:05:20 UTC`."""
    return f"{at[:19].replace('T', ' ')} UTC" if at else None


def bytes_text(size: float) -> str:
    """A size for people: `512 bytes`, `3.4 MiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case _:
            return str(value)
