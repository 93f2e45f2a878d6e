"""Where the next page is: a cursor or an address, taken as the side meant it."""

import json
from typing import Any

import pytest

from cdc.config import PagedList
from cdc.shadow.http_answer import HttpAnswer
from cdc.shadow.page_links import first_page, next_page
from cdc.shadow.requests import HttpRequest

BY_CURSOR = PagedList("*", list="$.items", key="id", page="after", cursor="$.next")
BY_ADDRESS = PagedList("*", list="$.items", key="id", page="after", next="$.next")
BY_HEADER = PagedList("*", list="$.items", key="id", page="after", next="Link")
ASKED = HttpRequest("GET", "/items?size=2&after=a")


def behind(document: Any, lists: PagedList, base_url: str = "http://one", link: str = "") -> str | None:
    answer = HttpAnswer(200, (("Link", link),) if link else (), json.dumps(document).encode())
    found = next_page(ASKED, answer, document, lists, base_url)
    return None if found is None else found.target


def test_a_walk_begins_without_a_cursor_or_with_the_number_of_the_first_page() -> None:
    assert first_page(ASKED, BY_CURSOR).target == "/items?size=2"
    assert first_page(HttpRequest("GET", "/items?after=a"), BY_HEADER).target == "/items"
    assert first_page(ASKED, PagedList("*", list="$", key="id", page="after")).target == "/items?size=2&after=1"


@pytest.mark.parametrize(
    ("cursor", "target"), [("b=/+", "/items?size=2&after=b%3D%2F%2B"), (7, "/items?size=2&after=7")]
)
def test_a_cursor_takes_the_place_of_the_one_before(cursor: object, target: str) -> None:
    assert behind({"next": cursor}, BY_CURSOR) == target


@pytest.mark.parametrize("document", [{}, {"next": None}, {"next": ""}, {"next": False}, {"next": {}}, []])
def test_behind_the_last_page_there_is_none(document: object) -> None:
    assert behind(document, BY_CURSOR) is None
    assert behind(document, BY_ADDRESS) is None


@pytest.mark.parametrize(
    ("address", "base_url", "target"),
    [
        ("/items?after=b", "http://one", "/items?after=b"),
        ("?after=b", "http://one/", "/items?after=b"),
        ("http://one/items?after=b#top", "http://one", "/items?after=b"),
        ("https://public.example/items?after=b", "http://one", "/items?after=b"),
        ("http://one/app/items?after=b", "http://one/app", "/items?after=b"),
        ("/app/items", "http://one/app/", "/items"),
        ("/apple", "http://one/app", "/apple"),
        ("http://one", "http://one", "/"),
    ],
)
def test_an_address_is_one_of_the_side_that_gave_it(address: str, base_url: str, target: str) -> None:
    assert behind({"next": address}, BY_ADDRESS, base_url) == target


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ('</items?after=b>; rel="next"', "/items?after=b"),
        ('</p?a=1,2>; rel=prev; title="a, b; rel=next", </items?after=b>;rel=next', "/items?after=b"),
        ('</items?after=b>; rel="last next"', "/items?after=b"),
        ('</items?after=b>; rel="prev"', None),
        ("no link", None),
    ],
)
def test_of_the_links_of_a_header_the_next_one_is_taken(link: str, target: str | None) -> None:
    assert behind({}, BY_HEADER, link=link) == target
