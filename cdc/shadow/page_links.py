"""Where the next page of a list is, as an answer says it: a cursor in it, or an address, there or in a header."""

import re
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

from cdc.config import PagedList
from cdc.shadow.http_answer import HttpAnswer
from cdc.shadow.http_rules import WHOLE, Location, compiled
from cdc.shadow.requests import HttpRequest

# RFC 8288: an address in angle brackets, and parameters whose values may be quoted.
_LINK: Final = re.compile(r'<([^>]*)>((?:\s*;\s*[^\s;,="]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)')
_RELATION: Final = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


def is_linked(lists: PagedList) -> bool:
    """Whether each page tells where the next one is, rather than having a number."""
    return lists.cursor is not None or lists.next is not None


def first_page(request: HttpRequest, lists: PagedList) -> HttpRequest:
    """The request for the first page, whichever one the given one asks for."""
    return with_page(request, lists, None if is_linked(lists) else str(lists.first))


def with_page(request: HttpRequest, lists: PagedList, page: str | None) -> HttpRequest:
    """The request with another page's number or cursor in its query, or with none."""
    query = [(name, value) for name, value in request.query if name != lists.page]
    query += [(lists.page, page)] if page is not None else []
    return replace(request, target=f"{request.path}?{urlencode(query)}" if query else request.path)


def next_page(
    request: HttpRequest, answer: HttpAnswer, document: Any, lists: PagedList, base_url: str
) -> HttpRequest | None:
    """The request for the page behind the one that was answered, None behind the last one."""
    if lists.cursor is not None:
        cursor = _value(document, lists.cursor)
        return None if cursor is None else with_page(request, lists, cursor)
    address = _address(answer, document, lists.next or "")
    return None if address is None else replace(request, target=_target(address, request, base_url))


def place_of_next(document: Any, lists: PagedList) -> Location | None:
    """Where the document says it: each side has cursors and addresses of its own, which are followed, not compared."""
    path = lists.cursor or lists.next or ""
    node = compiled(path).find_one(document) if path.startswith(WHOLE) else None
    return None if node is None else node.location


def _value(document: Any, path: str) -> str | None:
    node = compiled(path).find_one(document)
    given = node and node.value
    if given is None or isinstance(given, bool | dict | list) or given == "":
        return None
    return str(given)


def _address(answer: HttpAnswer, document: Any, place: str) -> str | None:
    if place.startswith(WHOLE):
        return _value(document, place)
    links = _LINK.findall(answer.header(place) or "")
    return next((address for address, parameters in links if _is_next(parameters)), None)


def _is_next(parameters: str) -> bool:
    relation = _RELATION.search(parameters)
    return relation is not None and "next" in (relation[1] or relation[2]).lower().split()


def _target(address: str, request: HttpRequest, base_url: str) -> str:
    """The target on the side that gave the address, under whatever name the side knows itself."""
    base = urlsplit(base_url).path.rstrip("/")
    split = urlsplit(urljoin(base + request.target, address))
    path = (split.path.removeprefix(base) if f"{split.path}/".startswith(f"{base}/") else split.path) or "/"
    return f"{path}?{split.query}" if split.query else path
