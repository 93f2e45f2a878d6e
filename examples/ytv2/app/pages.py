"""Pages: what templates are given, and the words that they show it in."""

from datetime import datetime
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from .question import FILTERS, SORTS, Question
from .reports import Document

TONES = 6  # of the tiles, see style.css

_GROUPS = {
    "category": ("Category", "categories"),
    "content_type": ("Kind", "content_types"),
    "complexity": ("Level", "complexity_levels"),
    "channel": ("Channel", "channels"),
    "language": ("Language", "languages"),
}


class Choice(NamedTuple):
    """A value of a filter: where a click on it leads, and whether the list is filtered by it already."""

    label: str
    videos: int
    url: str
    chosen: bool


class Group(NamedTuple):
    """A filter with its values."""

    label: str
    choices: list[Choice]
    open: bool


def start(question: Question, listing: Document, facets: Document) -> str:
    """The list with its filters."""
    return _TEMPLATES.get_template("list.html").render(
        question=question,
        listing=listing,
        groups=_groups(question, facets),
        sorts=SORTS,
        hidden=[(name, value) for name, value in question.pairs() if name not in ("q", "sort", "page")],
    )


def report(document: Document) -> str:
    """One video, a card for each of its summaries."""
    return _TEMPLATES.get_template("report.html").render(report=document)


def _groups(question: Question, facets: Document) -> list[Group]:
    groups = [_group(question, name, label, facets[key]) for name, (label, key) in _GROUPS.items()]
    chosen = question.filters.get("category", ()), question.filters.get("subcategory", ())
    below = [s for c in facets["categories"] if c["value"] in chosen[0] for s in c["subcategories"]]
    if below or chosen[1]:
        groups.insert(1, _group(question, "subcategory", "Subcategory", _known(below, chosen[1])))
    audio = [_audio(question, facet) for facet in reversed(facets["has_audio"])]
    return [group for group in (*groups, Group("Audio", audio, question.has_audio is not None)) if group.choices]


def _group(question: Question, name: str, label: str, facets: list[Document]) -> Group:
    chosen = question.filters.get(name, ())
    choices = [
        Choice(facet["value"], facet["count"], question.toggled(name, facet["value"]).url(), facet["value"] in chosen)
        for facet in facets
    ]
    return Group(label, choices, bool(chosen) or name == FILTERS[0])


def _known(facets: list[Document], chosen: tuple[str, ...]) -> list[Document]:
    """Each value once, for two categories may share one; and what is chosen, so that it can be taken back."""
    counts: dict[str, int] = dict.fromkeys(chosen, 0)
    for facet in facets:
        counts[facet["value"]] = counts.get(facet["value"], 0) + facet["count"]
    return [{"value": value, "count": count} for value, count in counts.items()]


def _audio(question: Question, facet: Document) -> Choice:
    wanted = bool(facet["value"])
    label = "With audio" if wanted else "Without audio"
    return Choice(label, facet["count"], question.with_audio(wanted).url(), question.has_audio is wanted)


# --- words ---


def _length(seconds: float | None) -> str:
    """`1:02:03`, `5:49`; nothing for a length that is not known."""
    whole = int(seconds or 0)
    hours, minutes = divmod(whole // 60, 60)
    shown = f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
    return shown if whole else ""


def _day(instant: str | None) -> str:
    try:
        return datetime.fromisoformat(instant or "").strftime("%-d %b %Y")
    except ValueError:
        return ""


def _many(count: int | None) -> str:
    """`999`, `45K`, `1.2M`."""
    number = count or 0
    for size, letter in ((1_000_000, "M"), (1_000, "K")):
        if number >= size:
            return (
                f"{number / size:.1f}".removesuffix(".0") + letter
                if number < 10 * size
                else f"{number // size}{letter}"
            )
    return str(number)


def _tone(video_id: str | None) -> int:
    """The colour of a video's tile, which stays with it."""
    return sum(map(ord, video_id or "")) % TONES


def _paragraphs(text: str | None) -> list[str]:
    return [block.strip() for block in (text or "").split("\n\n") if block.strip()]


def _said(kind: str | None) -> str:
    """`audio-fr` as `Audio fr`."""
    return (kind or "summary").replace("-", " ").capitalize()


def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__ or "app"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(length=_length, day=_day, many=_many, tone=_tone, paragraphs=_paragraphs, said=_said)
    return environment


_TEMPLATES = _templates()
