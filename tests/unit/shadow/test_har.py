"""Examples of differences as other tools read them: a HAR that is whole, and whose requests can be put again."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdc.config import ShadowSection
from cdc.facts.timings import Timings
from cdc.postgres.record.shadow import ShadowEndpoint, ShadowExample, ShadowPlace
from cdc.shadow.har import har_of
from cdc.shadow.report import make_report
from cdc.shadow.request_files import from_har
from cdc.shadow.requests import HttpRequest

NOW = datetime(2026, 1, 9, tzinfo=UTC)
SIDES = ShadowSection(baseline="http://me:hush@here:8080", candidate="http://there:8081/")
# What http://www.softwareishard.com/blog/har-12-spec/ does not call optional.
REQUIRED = {
    "log": {"version", "creator", "entries"},
    "creator": {"name", "version"},
    "pages": {"startedDateTime", "id", "title", "pageTimings"},
    "entries": {"startedDateTime", "time", "request", "response", "cache", "timings"},
    "request": {
        *("method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"),
    },
    "response": {
        *("status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL"),
        *("headersSize", "bodySize"),
    },
    "content": {"size", "mimeType"},
    "queryString": {"name", "value"},
    "timings": {"send", "wait", "receive"},
}


def har(*places: tuple[str, str, ShadowExample], options: ShadowSection = SIDES) -> Any:
    kept = [ShadowPlace(kind, "GET /a", "changed value", path, NOW, NOW, 1, (x,)) for kind, path, x in places]
    kinds = {kind for kind, *_ in places}
    asked = [ShadowEndpoint(k, "GET /a", NOW, NOW, None, {"different": 1}, Timings(), Timings(), ()) for k in kinds]
    return json.loads(json.dumps(har_of(make_report(asked, kept, options, NOW), options)))


def is_whole(part: Any, name: str) -> None:
    for one in part if isinstance(part, list) else [part]:
        if isinstance(one, dict):
            assert REQUIRED.get(name, set()) <= one.keys()
            for key, inner in one.items():
                is_whole(inner, key)


def test_an_example_is_a_page_of_both_answers_at_the_place_that_differs() -> None:
    found = har(
        ("http", "status", ShadowExample("GET /a?x=1&token=***", "200", "500", 7)),
        ("http", "$['n']", ShadowExample("HEAD /a", "1", None, 7)),
    )
    is_whole(found, "")
    first, second, third, fourth = found["log"]["entries"]
    assert [page["title"] for page in found["log"]["pages"]] == [
        "GET /a, status: changed value",
        "GET /a, $['n']: changed value",
    ]
    assert first["pageref"] == second["pageref"] == found["log"]["pages"][0]["id"]
    assert first["request"]["url"] == "http://here:8080/a?x=1&token=***"
    assert first["request"]["queryString"][0] == {"name": "x", "value": "1"}
    assert second["request"]["url"] == "http://there:8081/a?x=1&token=***"
    assert [entry["response"]["status"] for entry in found["log"]["entries"]] == [200, 500, 0, 0]
    assert third["response"]["content"] == {"size": 1, "mimeType": "text/plain", "text": "1"}
    assert fourth["response"]["content"] == {"size": 0, "mimeType": "text/plain"}
    assert fourth["comment"] == "Postgres: nothing at $['n']"
    assert "hush" not in json.dumps(found)


def test_its_requests_can_be_put_to_both_sides_again(tmp_path: Path) -> None:
    file = tmp_path / "differences.har"
    found = har(
        ("proxy", "$['n']", ShadowExample("GET /a?x=1", "1", "2", 7)),
        ("proxy", "body", ShadowExample("GET /b?page=1, all pages", "1", "2", 7)),
        ("proxy", "$", ShadowExample("GET /long... (2,345 characters)", "1", "2", 7)),
        ("sql", "row 1", ShadowExample("by note (word = 'x')", "1", "2", 7)),
        options=ShadowSection(),
    )
    file.write_text(json.dumps(found))
    assert from_har(file) == [HttpRequest("GET", "/a?x=1"), HttpRequest("GET", "/b?page=1")]
