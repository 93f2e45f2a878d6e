"""Where requests come from, which of them may be asked, and what endpoint they are of."""

import json
from pathlib import Path
from typing import Any

import pytest

from cdc.config import ShadowSection
from cdc.errors import UsageError
from cdc.shadow.endpoints import MOST_ENDPOINTS, MOST_VALUES, Endpoints
from cdc.shadow.from_data import DataTemplate, parsed_template
from cdc.shadow.openapi import from_openapi
from cdc.shadow.request_files import from_access_log, from_har, from_lines
from cdc.shadow.requests import HttpRequest, refusal

COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'


def written(folder: Path, content: object) -> Path:
    file = folder / "given"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def targets(requests: list[HttpRequest]) -> list[str]:
    return [f"{request.method} {request.target}" for request in requests]


def test_a_line_is_a_request_a_path_or_a_template(tmp_path: Path) -> None:
    text = "# what users ask\n\nGET /a?x=1\n/b\nhead /c HTTP/1.1\n/r/{id}=SELECT id FROM t WHERE a = 'x'\n/d?q=select\n"
    requests, templates = from_lines(written(tmp_path, text))
    assert targets(requests) == ["GET /a?x=1", "GET /b", "HEAD /c", "GET /d?q=select"]
    assert templates == [DataTemplate("GET", "/r/{id}", "SELECT id FROM t WHERE a = 'x'")]


def test_the_place_of_a_template_may_stand_in_its_query() -> None:
    assert parsed_template("/r?id={id}=SELECT 1 AS id") == DataTemplate("GET", "/r?id={id}", "SELECT 1 AS id")


def test_a_log_gives_what_was_asked_and_counts_the_other_lines(tmp_path: Path) -> None:
    line = '1.2.3.4 - me [10/Oct/2026:13:55:36 +0000] "{}" 200 23 "-" "curl"\n'
    log = written(tmp_path, line.format("GET /a?b=1 HTTP/1.1") + "nonsense\n" + line.format("\\x16\\x03"))
    requests, others = from_access_log(log, COMBINED)
    assert (targets(requests), others) == (["GET /a?b=1"], 2)
    requests, _ = from_access_log(written(tmp_path, "POST /a ?b=1\n"), "%m %U %q")
    assert targets(requests) == ["POST /a?b=1"]


def test_a_recording_gives_the_requests_that_went_where_the_first_one_did(tmp_path: Path) -> None:
    posted = {"mimeType": "application/json", "text": "{}"}
    entries = [
        {"method": "GET", "url": "http://app.example/a?b=1"},
        {"method": "GET", "url": "http://fonts.example/x"},
        {"method": "POST", "url": "http://app.example/search", "postData": posted},
    ]
    har = {"log": {"entries": [{"request": entry} for entry in entries]}}
    requests = from_har(written(tmp_path, har))
    assert targets(requests) == ["GET /a?b=1", "POST /search"]
    assert (requests[1].body, requests[1].content_type) == ("{}", "application/json")


OPENAPI: dict[str, Any] = {
    "servers": [{"url": "https://app.example/v1"}],
    "paths": {
        "/reports/{id}": {
            "parameters": [{"$ref": "#/components/parameters/id"}],
            "get": {
                "parameters": [
                    {"name": "sort", "in": "query", "schema": {"enum": ["new", "old"], "default": "new"}},
                    {"name": "lang", "in": "query", "required": True, "schema": {"$ref": "#/components/schemas/lang"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                ]
            },
            "delete": {},
        },
        "/users/{name}": {"get": {"parameters": [{"name": "name", "in": "path", "required": True, "schema": {}}]}},
    },
    "components": {
        "parameters": {
            "id": {
                "name": "id",
                "in": "path",
                "required": True,
                "examples": {"a": {"value": "yt:a"}, "b": {"value": 7}},
            }
        },
        "schemas": {"lang": {"example": "de"}},
    },
}


def test_a_document_gives_requests_of_its_own_examples(tmp_path: Path) -> None:
    found = from_openapi(written(tmp_path, OPENAPI))
    assert targets(found.requests) == [
        "GET /v1/reports/yt%3Aa?lang=de",
        "GET /v1/reports/7?lang=de",
        "GET /v1/reports/yt%3Aa?lang=de&sort=new",
        "GET /v1/reports/yt%3Aa?lang=de&sort=old",
    ]
    assert found.left_out == [
        ("DELETE /v1/reports/{id}", "a body would have to be made up"),
        ("GET /v1/users/{name}", "no example of name"),
    ]
    assert Endpoints(found.templates).folded(HttpRequest("GET", "/v1/users/me")).endpoint == "GET /v1/users/{name}"


@pytest.mark.parametrize("content", ["{", "[]", '{"paths": [1]}', '{"log": {"entries": [{}]}}'])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    for reader in (from_openapi, from_har):
        with pytest.raises(UsageError):
            reader(written(tmp_path, content))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (HttpRequest("GET", "/api/a"), ""),
        (HttpRequest("POST", "/api/a"), "`methods` does not have POST"),
        (HttpRequest("GET", "/other"), "`allow` has nothing for it"),
        (HttpRequest("GET", "/api/admin/x?y=1"), "`deny` has /api/admin/*"),
        (HttpRequest("GET", "/api/%61dmin/x"), "`deny` has /api/admin/*"),
        (HttpRequest("GET", "/api/x/..//admin/x"), "`deny` has /api/admin/*"),
        (HttpRequest("GET", "/api/a?refresh=1"), "`deny` has *refresh=1*"),
        (HttpRequest("GET", "/api/a?%72efresh=1"), "`deny` has *refresh=1*"),
    ],
)
def test_what_is_denied_is_not_asked_however_it_is_spelled(request_: HttpRequest, reason: str) -> None:
    section = ShadowSection(allow=["/api/*"], deny=["/api/admin/*", "*refresh=1*"])
    assert refusal(request_, section) == reason


@pytest.mark.parametrize(
    ("target", "endpoint"),
    [
        ("/api/reports/yt:abc", "GET /api/reports/{id}"),
        ("/api/reports/yt%3Aabc", "GET /api/reports/{id}"),
        ("/api/reports/123.json", "GET /api/reports/{id}"),
        ("/api/reports/0190b2f4-1111-7000-8000-00000000abcd", "GET /api/reports/{id}"),
        ("/v/dQw4w9WgXcQ", "GET /v/{id}"),
        ("/static/deadbeef01.js", "GET /static/{id}"),
        ("/api/v1/health", "GET /api/v1/health"),
        ("/api/reports?size=3&page=1", "GET /api/reports?page&size"),
        ("/", "GET /"),
    ],
)
def test_a_path_is_folded_where_it_has_an_identifier(target: str, endpoint: str) -> None:
    assert Endpoints().folded(HttpRequest("GET", target)).endpoint == endpoint


def test_a_template_comes_before_looks_and_tells_the_values() -> None:
    endpoints = Endpoints(["/r/{slug}/parts", "/r/latest/parts"])
    folded = endpoints.folded(HttpRequest("GET", "/r/some%20thing/parts?x=2"))
    assert (folded.endpoint, folded.values) == ("GET /r/{slug}/parts?x", ("some thing", "2"))
    assert endpoints.folded(HttpRequest("GET", "/r/latest/parts")).endpoint == "GET /r/latest/parts"


def test_a_segment_that_varies_is_an_identifier_and_endpoints_have_an_end() -> None:
    many = [HttpRequest("GET", f"/tags/{'x' * n}/posts") for n in range(1, MOST_VALUES + 5)]
    endpoints = Endpoints()
    endpoints.learn([*many, HttpRequest("GET", "/about")])
    assert {endpoints.folded(request).endpoint for request in many} == {"GET /tags/{id}/posts"}
    assert endpoints.folded(HttpRequest("GET", "/about")).endpoint == "GET /about"
    spread = [HttpRequest("GET", f"/{'a' * (n % 20)}/{'b' * (n // 20)}/x") for n in range(MOST_ENDPOINTS + 100)]
    assert len({endpoints.folded(request).endpoint for request in spread}) <= MOST_ENDPOINTS + 1


def test_a_secret_in_a_query_is_not_shown() -> None:
    assert str(HttpRequest("GET", "/a?x=1&access_token=s3cret&y=2")) == "GET /a?x=1&access_token=***&y=2"
