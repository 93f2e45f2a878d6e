"""What a request asks of the list: filters, words, order and page; from a query string and back into one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar
from urllib.parse import urlencode

SORTS = {
    "newest": "Newest first",
    "oldest": "Oldest first",
    "published": "Last published",
    "title": "Title",
    "longest": "Longest",
    "views": "Most views",
}
FILTERS = ("category", "subcategory", "channel", "content_type", "complexity", "language")
LARGEST_SIZE = 50
LAST_PAGE = 1_000_000
T = TypeVar("T")
_SWITCH = {"true": True, "1": True, "false": False, "0": False}


class BadRequest(Exception):
    """The request says something that has no meaning; the message says what."""


@dataclass(frozen=True)
class Question:
    """`filters` has the values wanted by name, any of which will do; names that are not there ask nothing."""

    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    has_audio: bool | None = None
    q: str = ""
    sort: str = "newest"
    page: int = 1
    size: int = 12

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """The question of a query string. Raises `BadRequest`. What it does not know is not looked at."""
        given: dict[str, list[str]] = {}
        for name, value in pairs:
            if "\0" in value:
                raise BadRequest(f"{name} holds a zero character")
            given.setdefault(name, []).append(value)
        last = {name: values[-1].strip() for name, values in given.items()}
        return cls(
            filters={
                name: tuple(dict.fromkeys(filter(None, given[name]))) for name in FILTERS if any(given.get(name, ()))
            },
            has_audio=_one_of(last, "has_audio", _SWITCH, None),
            q=last.get("q", ""),
            sort=_one_of(last, "sort", {sort: sort for sort in SORTS}, cls.sort),
            page=_number(last, "page", cls.page, LAST_PAGE),
            size=min(_number(last, "size", cls.size, LAST_PAGE), LARGEST_SIZE),
        )

    @property
    def asks(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.filters or self.q or self.has_audio is not None)

    def toggled(self, name: str, value: str) -> Self:
        """The same with one value more of a filter, or one less; from its first page."""
        had = self.filters.get(name, ())
        now = tuple(v for v in had if v != value) if value in had else (*had, value)
        filters = {**self.filters, name: now}
        return replace(self, filters={n: v for n, v in filters.items() if v}, page=1)

    def with_audio(self, wanted: bool) -> Self:
        """The same for videos with audio or without; for both when that is what it asks already."""
        return replace(self, has_audio=None if self.has_audio is wanted else wanted, page=1)

    def on_page(self, page: int) -> Self:
        """The same on another page."""
        return replace(self, page=page)

    def pairs(self) -> list[tuple[str, str]]:
        """What a query string has to say; nothing of what goes without saying."""
        pairs = [("q", self.q)] if self.q else []
        pairs += [(name, value) for name, values in self.filters.items() for value in values]
        if self.has_audio is not None:
            pairs.append(("has_audio", str(self.has_audio).lower()))
        plain = ("sort", "page", "size")
        return pairs + [
            (name, str(getattr(self, name))) for name in plain if getattr(self, name) != getattr(Question, name)
        ]

    def url(self) -> str:
        """Where the page with the answer is."""
        return f"/?{urlencode(self.pairs())}" if self.pairs() else "/"


def _number(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = given.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise BadRequest(f"{name} is a whole number from 1 to {most}")
    return int(text)


def _one_of(given: Mapping[str, str], name: str, known: Mapping[str, T], default: T) -> T:
    text = given.get(name, "")
    if text and text not in known:
        raise BadRequest(f"{name} is one of {', '.join(known)}")
    return known[text] if text else default
