"""Examples of differences as a HAR 1.2, the format in which browsers keep what they asked and were answered.

What is kept of an example is the request and the place where both answers differ, never headers and never the rest of
an answer. So an example is a page of two entries, the baseline's and the candidate's, whose content is that place
alone, and a status is 0 where it was not kept.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from cdc import __version__
from cdc.config import ShadowSection
from cdc.postgres.record.shadow import ShadowExample, ShadowPlace
from cdc.shadow.report import ShadowReport
from cdc.shadow.requests import ALL_PAGES

_REQUEST: Final = re.compile(r"(?P<method>[A-Z]+) (?P<target>/\S*)")
_NOT_KNOWN: Final = -1  # as the format has it


def har_of(report: ShadowReport, options: ShadowSection) -> dict[str, Any]:
    """The whole document; queries of `cdc shadow sql`, and requests too long to be kept, are not in it."""
    pages: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    sides = {"SQLite": options.baseline, "Postgres": options.candidate}
    for place, example, request in _examples(report):
        page = f"example {len(pages) + 1}"
        started = place.last_at.isoformat()
        where = place.path or "as a whole"
        title = f"{place.endpoint}, {where}: {place.cause}"
        pages.append({"startedDateTime": started, "id": page, "title": title, "pageTimings": {}})
        for side, text in zip(sides, (example.baseline, example.candidate), strict=True):
            entries.append(
                {
                    "pageref": page,
                    "startedDateTime": started,
                    "time": 0,
                    "request": _request(request, sides[side] or f"http://{side.lower()}.invalid"),
                    "response": _response(place.path, text),
                    "cache": {},
                    "timings": {"send": 0, "wait": 0, "receive": 0},
                    "comment": f"{side}: {'nothing' if text is None else 'what the answer has'} at {where}",
                }
            )
    creator = {"name": "cdc shadow report", "version": __version__}
    return {"log": {"version": "1.2", "creator": creator, "pages": pages, "entries": entries}}


def _examples(report: ShadowReport) -> Iterator[tuple[ShadowPlace, ShadowExample, Mapping[str, str]]]:
    for endpoint in report.endpoints:
        for place in endpoint.places:
            for example in place.examples:
                if found := _REQUEST.fullmatch(example.request.removesuffix(ALL_PAGES)):
                    yield place, example, found.groupdict()


def _request(request: Mapping[str, str], base: str) -> dict[str, Any]:
    side = urlsplit(base)
    host = side.netloc.rpartition("@")[2]  # a password in an address stays here
    query = parse_qsl(request["target"].partition("?")[2], keep_blank_values=True)
    return {
        "method": request["method"],
        "url": f"{side.scheme}://{host}{side.path.rstrip('/')}{request['target']}",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [],
        "queryString": [{"name": name, "value": value} for name, value in query],
        "headersSize": _NOT_KNOWN,
        "bodySize": _NOT_KNOWN,
    }


def _response(path: str, text: str | None) -> dict[str, Any]:
    content: dict[str, Any] = {"size": len((text or "").encode()), "mimeType": "text/plain"}
    return {
        "status": int(text) if path == "status" and text and text.isdecimal() else 0,
        "statusText": "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [],
        "content": content if text is None else {**content, "text": text},
        "redirectURL": "",
        "headersSize": _NOT_KNOWN,
        "bodySize": _NOT_KNOWN,
    }
