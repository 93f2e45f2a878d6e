"""Lists that come in pages: every page of both sides, walked at one position and compared together.

Pages alone would mislead. Where an order leaves ties, each database may break them in its own way, and a row that
stands at the end of one page here begins the next one there.
"""

import copy
import fnmatch
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from cdc.config import PagedList, ShadowRule, ShadowSection
from cdc.facts.shadow import Difference, Outcome, Verdict
from cdc.shadow.compare_http import Compared
from cdc.shadow.compare_json import JsonComparison, canonical, decode
from cdc.shadow.http_answer import HttpAnswer
from cdc.shadow.http_judge import Judge, unanswered
from cdc.shadow.http_rules import Location, Rules, compiled, reasons
from cdc.shadow.http_side import Instance, NoAnswer
from cdc.shadow.moment import Moved
from cdc.shadow.noise import within
from cdc.shadow.page_links import first_page, is_linked, next_page, place_of_next, with_page
from cdc.shadow.requests import HttpRequest, refusal

MOST_PAGES: Final = 1_000
MOST_NAMED: Final = 10  # rows that changed their pages
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Walk:
    """All pages of one side: the first document, where its list is, and the elements of each page."""

    document: Any
    location: Location
    pages: Sequence[Sequence[Any]]
    total: Any
    key: str
    next_at: Location | None = None  # where it says what the next page is

    @property
    def keys(self) -> Counter[str]:
        """How often each key came."""
        return Counter(identity(element, self.key) for page in self.pages for element in page)

    @property
    def places(self) -> dict[str, list[int]]:
        """On which pages each key came, the first page being 1."""
        found: dict[str, list[int]] = {}
        for number, page in enumerate(self.pages, 1):
            for element in page:
                found.setdefault(identity(element, self.key), []).append(number)
        return found

    def whole(self, keys: Collection[str] | None = None) -> Any:
        """The first document with the elements of all pages in its list; of those with `keys` alone, each once."""
        elements = [element for page in self.pages for element in page]
        if keys is not None:
            by_key = {identity(element, self.key): element for element in elements}
            elements = [by_key[key] for key in by_key if key in keys]
        return _with_list(self.document, self.location, elements)


def identity(element: Any, key: str) -> str:
    """What identifies an element."""
    return canonical(element.get(key) if isinstance(element, dict) else element)


def _with_list(document: Any, location: Location, elements: list[Any]) -> Any:
    if not location:
        return elements
    holder = copy.copy(document)
    holder[location[0]] = _with_list(document[location[0]], location[1:], elements)
    return holder


def paged(endpoint: str, lists: Iterable[PagedList]) -> PagedList | None:
    """The entry of [[shadow.pages]] that an endpoint is of."""
    return next((entry for entry in lists if fnmatch.fnmatchcase(endpoint, entry.endpoint)), None)


async def walked(side: Instance, request: HttpRequest, lists: PagedList, section: ShadowSection) -> Walk | NoAnswer:
    """Every page that a side has, or the reason why they cannot all be had."""
    if is_linked(lists):
        return await _linked(side, request, lists, section)
    return await _numbered(side, request, lists)


async def _linked(side: Instance, request: HttpRequest, lists: PagedList, section: ShadowSection) -> Walk | NoAnswer:
    """The pages that lead to each other, until one leads nowhere."""
    first: Walk | None = None
    pages: list[Sequence[Any]] = []
    asked: set[str] = set()
    following: HttpRequest | None = first_page(request, lists)
    while following is not None:
        number = len(pages) + 1
        if number > MOST_PAGES:
            return _too_many()
        if following.target in asked:
            return NoAnswer(f"page {number} is one of those before it: its pages lead in a circle")
        if reason := refusal(following, section):
            return NoAnswer(f"page {number} must not be asked: {reason}")
        asked.add(following.target)
        answer = await side.ask(following)
        if isinstance(answer, NoAnswer):
            return answer
        if (page := _read(answer, lists)) is None:
            return _no_page(number, answer, lists)
        first = first or page
        pages.append(page.pages[0])
        following = next_page(following, answer, page.document, lists, side.base_url)
    return replace(first, pages=pages) if first else NoAnswer("it has no page")


async def _numbered(side: Instance, request: HttpRequest, lists: PagedList) -> Walk | NoAnswer:
    """The pages by their numbers, until one is empty or the last one again."""
    first: Walk | None = None
    pages: list[Sequence[Any]] = []
    for number in range(lists.first, lists.first + MOST_PAGES):
        answer = await side.ask(with_page(request, lists, str(number)))
        if isinstance(answer, NoAnswer):
            return answer
        page = _read(answer, lists)
        if first is not None and (page is None or page.pages[0] in ([], pages[-1])):
            return replace(first, pages=pages)  # some say 404 behind the last page, some repeat it for ever
        if page is None:
            return _no_page(number, answer, lists)
        first = first or page
        pages.append(page.pages[0])
    return _too_many()


def _too_many() -> NoAnswer:
    return NoAnswer(f"it has more than {MOST_PAGES:,} pages")


def _no_page(number: int, answer: HttpAnswer, lists: PagedList) -> NoAnswer:
    return NoAnswer(f"page {number} has status {answer.status}, and no list at {lists.list}")


def _read(answer: HttpAnswer, lists: PagedList) -> Walk | None:
    try:
        document = decode(answer.body)
    except (ValueError, RecursionError):
        return None
    node = compiled(lists.list).find_one(document)
    if answer.status != _OK or node is None or not isinstance(node.value, list):
        return None
    total = compiled(lists.total).find_one(document) if lists.total else None
    next_at = place_of_next(document, lists)
    return Walk(document, node.location, [node.value], total and total.value, lists.key, next_at)


async def judged(
    judge: Judge, found: Outcome, request: HttpRequest, lists: PagedList, section: ShadowSection
) -> Outcome:
    """What all pages together came to."""
    pairs, rules = judge.pairs, judge.rules

    def walk(side: Instance) -> Callable[[], Awaitable[Walk | NoAnswer]]:
        return lambda: walked(side, request, lists, section)

    moment = await pairs.pair(walk(judge.baseline), walk(judge.candidate))
    if isinstance(moment, Moved):
        return replace(found, reason="something was written while pages were walked")
    found = replace(found, seq=moment.seq)
    ours, theirs = moment.baseline, moment.candidate
    if isinstance(ours, NoAnswer) or isinstance(theirs, NoAnswer):
        return unanswered(found, ours, theirs)
    compared = compared_walks(found.endpoint, ours, theirs, rules)
    found = replace(found, verdict=compared.verdict, differences=compared.differences, rules=compared.rules)
    if compared.verdict is not Verdict.DIFFERENT:
        return found
    again = await pairs.still_at(moment.seq, walk(judge.baseline))
    itself = compared_walks(found.endpoint, ours, again, rules) if isinstance(again, Walk) else Compared(Verdict.MOVED)
    noisy = {difference.path for difference in itself.differences}
    real = tuple(difference for difference in compared.differences if not within(difference.path, noisy))
    return replace(found, differences=real) if real else replace(found, verdict=Verdict.NOISE)


def compared_walks(endpoint: str, ours: Walk, theirs: Walk, rules: Rules) -> Compared:
    """All pages of both sides as one set of elements, and the rest of the first page beside it."""
    keys = ours.keys.keys() & theirs.keys.keys() if _ties_moved(ours, theirs) else None
    documents = ours.whole(keys), theirs.whole(keys)
    as_set, followed = ShadowRule("set", key=ours.key), ShadowRule("ignored")
    places = {**rules.for_answers(endpoint, _OK).at_places(*documents), ours.location: [as_set]}
    places |= {walk.next_at: [followed] for walk in (ours, theirs) if walk.next_at is not None}
    comparison = JsonComparison(places)
    comparison.compare(*documents)
    used = reasons(rule for rule in comparison.used if rule is not as_set and rule is not followed)
    if comparison.differences:
        return Compared(Verdict.DIFFERENT, tuple(comparison.differences), used)
    if moved := _moved(ours, theirs):
        return Compared(Verdict.UNSTABLE, moved, used)
    return Compared(Verdict.IGNORED if used else Verdict.EQUAL, rules=used)


def _ties_moved(ours: Walk, theirs: Walk) -> bool:
    """Whether the totals are the same, and each side lacks no more keys than it has some of them twice."""
    here, there = ours.keys, theirs.keys
    repeated = [counts.total() - len(counts) for counts in (here, there)]
    lacking = [len(there.keys() - here.keys()), len(here.keys() - there.keys())]
    gaps_explained = all(gap <= twice for gap, twice in zip(lacking, repeated, strict=True))
    return any(repeated) and gaps_explained and ours.total is not None and ours.total == theirs.total


def _moved(ours: Walk, theirs: Walk) -> tuple[Difference, ...]:
    """Rows that stand on other pages, or twice, or nowhere."""
    here, there = ours.places, theirs.places
    moved = [key for key in dict.fromkeys([*here, *there]) if here.get(key) != there.get(key)]
    return tuple(Difference(f"{ours.key} {key}", _on(here.get(key)), _on(there.get(key))) for key in moved[:MOST_NAMED])


def _on(pages: Sequence[int] | None) -> str | None:
    return None if pages is None else f"on page {' and '.join(map(str, pages))}"
