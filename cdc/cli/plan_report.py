"""The plan for people: the verdict, then one finding a cause with the lines that settle it. It fits on two screens."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from string import ascii_lowercase
from textwrap import wrap
from typing import Final

from rich.text import Text

from cdc.cli.output import held_back_text, indented, say, shortened, show, visible
from cdc.cli.plan_details import print_details, print_tables
from cdc.errors import ExitCode
from cdc.facts.cause import Cause, Place
from cdc.facts.counted import counted
from cdc.first_copy.plan import Plan
from cdc.sql_names import heading

WIDTH: Final = 80
MOST_LINES: Final = 46  # two screens of 24 lines, less a prompt on each
_SHOWN_KEYS: Final = 5
_SHOWN_PLACES: Final = 3
_STYLES: Final = {
    "warning": "bold yellow",
    "blocks": "bold red",
    "waiting": "yellow",
    "quarantine": "yellow",
    "choice": "",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the screen, folded where it is too long."""

    text: str
    indent: int = 0
    style: str = ""

    @property
    def height(self) -> int:
        """How many lines of a terminal with 80 columns it takes."""
        return len(wrap(self.text, WIDTH - self.indent)) or 1


def print_plan(plan: Plan, *, everything: bool, with_columns: bool) -> None:
    """Print what is to decide, and with `everything` or `with_columns` all that was found."""
    for line in screen(plan, whole=everything):
        show(indented(line.text, line.indent) if not line.style else _styled(line))
    if everything or with_columns:
        say()
        print_tables(plan, with_columns=with_columns)
    if everything:
        print_details(plan)


def screen(plan: Plan, *, whole: bool = False) -> list[Line]:
    """The lines of the answer, `MOST_LINES` of a terminal at most unless the `whole` is wanted.

    The first causes are told in full, as many as leave a line for each of the others.
    """
    first, last = list(_verdict(plan)), [*_pending(plan, whole=whole), *_remarks(plan, whole=whole), *_next_step(plan)]
    numbered = list(enumerate(plan.causes, 1))
    full = [[Line(""), *_in_full(number, cause, whole=whole)] for number, cause in numbered]
    short = [_in_short(number, cause) for number, cause in numbered]
    room = MOST_LINES - _height([*first, *last]) - 1  # for the blank line before those that have one line each
    fitting = [n for n in range(len(full) + 1) if _height(chain.from_iterable(full[:n])) + len(full) - n <= room]
    told = len(full) if whole else min(max(fitting, default=0), len(plan.decisions))
    briefly = short[told:] if fitting or whole else [*short[: room - 1], Line(f"and {len(short) - room + 1} more")]
    return [*first, *chain.from_iterable(full[:told]), *([Line("")] if briefly else []), *briefly, *last]


def _height(lines: Iterable[Line]) -> int:
    return sum(line.height for line in lines)


def _styled(line: Line) -> Text:
    return Text(" " * line.indent + visible(line.text), style=line.style)


# --- the verdict ------------------------------------------------------------------------------------------------------


def _verdict(plan: Plan) -> Iterator[Line]:
    size = f"{counted(len(plan.tables), 'table')}, {counted(plan.counts['rows'], 'row')}"
    decide = f"{counted(len(plan.decisions), 'thing')} to decide"
    blocks = sum(cause.kind == "blocks" for cause in plan.decisions)
    if not plan.tables:
        yield Line("NOT READY: no table can be copied as it is", style=_STYLES["blocks"])
    elif blocks:
        which = "which" if blocks == len(plan.decisions) else f"{blocks} of which"
        keep = "keeps" if blocks == 1 else "keep"
        yield Line(f"NOT READY: {decide}, {which} {keep} the first copy from beginning", style=_STYLES["blocks"])
        yield Line(size)
    elif plan.decisions:
        yield Line(f"{decide}; the rest is ready: {size}", style="bold yellow")
    else:
        yield Line(f"READY: {size}", style="bold green")
    if staying := [left.name for left in plan.left_out if left.kind not in ("view", "shadow")]:
        stay = "stays" if len(staying) == 1 else "stay"
        yield Line(f"{counted(len(staying), 'table')} {stay} in SQLite with all rows: {_some(staying)}")
    if plan.instead:
        at = f"{datetime.fromisoformat(plan.instead):%Y-%m-%d %H:%M:%S} UTC"
        yield Line(f"of the snapshot taken at {at}, not of the file of now: Postgres does not answer")
    if plan.held:
        causes = sum(cause.kind == "quarantine" for cause in plan.causes)
        yield Line(held_back_text(causes, plan.held, sum(risk.rows for risk in plan.risks if risk.follows)))


# --- causes -----------------------------------------------------------------------------------------------------------


def _in_full(number: int, cause: Cause, *, whole: bool) -> Iterator[Line]:
    yield Line(f"{number}  {_headline(cause)}", style=_STYLES[cause.kind])
    if len(cause.places) > 1:
        yield Line(f"in {_places(cause.places)}", 3)
    if cause.rows:
        yield Line(_rows(cause), 3)
    if cause.options:
        yield from _lines_to_write(number, cause)
    else:
        yield from _by_hand(cause, whole=whole)


def _by_hand(cause: Cause, *, whole: bool) -> Iterator[Line]:
    """What the operator does elsewhere, for the first place or for each that needs something else.

    Rows in quarantine have remedies that differ by names alone.
    """
    places = cause.places[:1] if cause.kind == "quarantine" else cause.places
    remedies = list(dict.fromkeys(place.remedy for place in places))
    yield from (Line(f"remedy: {remedy}", 3) for remedy in (remedies if whole else remedies[:1]))
    if not whole and (more := len(remedies) - 1):
        yield Line(f"and {counted(more, 'remedy', 'remedies')} more like it: `cdc plan --all`", 3)


def _in_short(number: int, cause: Cause) -> Line:
    rows = f": {counted(cause.rows, 'row')}" if cause.rows else ""
    text = f"{number}  {_headline(cause)}{rows}"
    return Line(text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}...")


def _headline(cause: Cause) -> str:
    if len(cause.places) == 1:
        place = cause.places[0]
        return f"{f'{place.what} ' if place.what != 'table' else ''}{place.name}: {cause.text}"
    kinds = {"column" if place.column else place.what for place in cause.places}
    what = kinds.pop() if len(kinds) == 1 else "table"
    names = {place.name if what == "column" else place.table for place in cause.places}
    return f"{counted(len(names), what)}: {cause.text}"


def _places(places: Sequence[Place]) -> str:
    return _some(list(dict.fromkeys(place.name for place in places)))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_PLACES:,} more" if len(names) > _SHOWN_PLACES else ""
    return ", ".join(names[:_SHOWN_PLACES]) + more


def _rows(cause: Cause) -> str:
    keys = cause.places[0].keys[:_SHOWN_KEYS] if len(cause.places) == 1 else ()
    more = f" and {cause.rows - _SHOWN_KEYS:,} more" if cause.rows > _SHOWN_KEYS else ""
    shown = f" (key {', '.join(dict.fromkeys(map(shortened, keys)))}{more})" if keys else ""
    text = f"{counted(cause.rows, 'row')}{shown}"
    if cause.kind != "quarantine" or cause.frees == cause.rows:
        return text
    if not cause.frees:
        return f"{text}; each is held back by something else too"
    return f"{text}; settling this alone frees {cause.frees:,}, with those that hang on them"


def _lines_to_write(number: int, cause: Cause) -> Iterator[Line]:
    """The first option as it stands in the configuration, and in comments what could stand there instead."""
    first, *others = cause.options
    yield Line(heading(*first[0].section), 5)
    for line in first[0].lines:
        yield Line(f"{line}  # {first[0].effect}", 5)
    for letter, option in zip(ascii_lowercase[1:], others, strict=False):
        yield Line(f"# or {number}{letter}: {', '.join(option[0].lines)} ({option[0].effect})", 5)
    if more := len(first) - 1:
        yield Line(f"and in {counted(more, 'more section')}: `cdc plan --apply {number}` writes them all", 3)


# --- what comes last --------------------------------------------------------------------------------------------------


def _pending(plan: Plan, *, whole: bool) -> Iterator[Line]:
    """What changed in the configuration since the rows were copied, or what the data asks for."""
    if not plan.pending:
        return
    compared = len({revision.table for revision in plan.pending if revision.compares})
    yield Line("")
    yield Line(f"the next start or reload of the daemon applies this, and compares {counted(compared, 'table')}:")
    shown = plan.pending if whole else plan.pending[:_SHOWN_PLACES]
    yield from (Line(str(revision), 3) for revision in shown)
    if len(shown) < len(plan.pending):
        yield Line(f"and {len(plan.pending) - len(shown):,} more: `cdc plan --all`", 3)


def _remarks(plan: Plan, *, whole: bool) -> Iterator[Line]:
    notes = sum(risk.level == "note" for risk in plan.risks)
    parts = [counted(notes, "remark")] if notes else []
    if left_out := len(plan.left_out) + len(plan.notes):
        parts.append(f"{left_out:,} left out, like views, indexes and checks that have no sure equal")
    if parts and not whole:
        yield Line("")
        yield Line(f"{'; '.join(parts)}: `cdc plan --all`", style="dim")


def _next_step(plan: Plan) -> Iterator[Line]:
    # Decisions come first in this as well; mere choices are the example where there is nothing else.
    choices = [str(number) for number, cause in enumerate(plan.causes, 1) if cause.options]
    needed = [str(number) for number, cause in enumerate(plan.decisions, 1) if cause.options]
    if choices:
        some = ",".join((needed or choices)[:2])
        rest = ", `--apply all` those that change no value" if needed else ""
        yield Line(f"`cdc plan --apply {some}` writes such lines into the configuration{rest}")
    if plan.exit_code is ExitCode.CRITICAL:
        return
    wait = "; what nobody decides about waits, and all else goes on" if plan.exit_code is ExitCode.DIFFERENCE else ""
    follow = "start the daemon, or reload it" if plan.pending else "`cdc up`"
    yield Line(f"next: {follow}{wait}")
