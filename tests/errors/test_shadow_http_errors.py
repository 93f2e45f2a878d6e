"""`cdc shadow http` refuses what it cannot ask before it asks anything."""

import sys
from pathlib import Path

import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode

BASELINE = '[shadow]\nbaseline = "http://127.0.0.1:1"'
BOTH = f'{BASELINE}\ncandidate = "http://127.0.0.1:2"'


def command(*arguments: str) -> list[str]:
    return ["shadow", "http", *arguments]


@pytest.fixture
def ready(cut_off: Installation) -> Installation:
    """An installation that knows both addresses, with a file of one request."""
    cut_off.configure(BOTH)
    (cut_off.folder / "paths.txt").write_text("/a\n")
    return cut_off


def test_requests_that_nobody_names(ready: Installation) -> None:
    refused(ready, command(), "nothing says which requests are to be put to both sides", ExitCode.USAGE)


def test_addresses_that_are_missing_or_none(cut_off: Installation) -> None:
    (cut_off.folder / "paths.txt").write_text("/a\n")
    asked = command("--requests", "paths.txt")
    assert "the baseline" in refused(cut_off, asked, "it is not known where the {key} is", ExitCode.CONFIG)
    cut_off.configure(BASELINE)
    assert "the candidate" in refused(cut_off, asked, "it is not known where the {key} is", ExitCode.CONFIG)
    wrong = [*asked, "--candidate", "localhost:80"]
    refused(cut_off, wrong, "--{key} is no address of the web: {url}", ExitCode.USAGE)


def test_files_that_are_not_there(ready: Installation) -> None:
    refused(ready, command("--requests", "no.txt"), "requests cannot be read from {file}: {error}", ExitCode.USAGE)
    no_document = "the OpenAPI document {file} cannot be read: {error}"
    refused(ready, command("--openapi", "no.json"), no_document, ExitCode.USAGE)


def test_files_of_another_kind(ready: Installation) -> None:
    Path(ready.folder / "paths.txt").write_text("/a\nnonsense\n")
    told = refused(ready, command("--requests", "paths.txt"), "line {number} of {file} is no request", ExitCode.USAGE)
    assert "line 2" in told
    refused(ready, command("--openapi", "paths.txt"), "{file} is no OpenAPI document in JSON", ExitCode.USAGE)
    refused(ready, command("--har", "paths.txt"), "{file} is no HAR, a recording of a browser in JSON", ExitCode.USAGE)
    log = command("--access-log", "paths.txt", "--log-format", "%Q")
    refused(ready, log, "the format of the access log is none: {error}", ExitCode.USAGE)


def test_templates_that_are_none_or_whose_query_lacks_a_place(ready: Installation) -> None:
    refused(ready, command("--from-data", "/a/{id}"), "this is no template of requests: {words}", ExitCode.USAGE)
    lacks = command("--from-data", "/a/{id}/{part}=SELECT id FROM t")
    assert "no column part" in refused(ready, lacks, "the query of {path} has no column {lacking}", ExitCode.USAGE)


@pytest.mark.parametrize(
    ("section", "template"),
    [
        (
            '[[shadow.rules]]\nread = "set"\npath = "$.items["',
            "[shadow] names a place in JSON by what is no JSONPath, {path}: {reason}",
        ),
        (
            '[[shadow.pages]]\nendpoint = "*"\nlist = "items"\nkey = "id"',
            "[shadow] names a place in JSON by what is no JSONPath, {path}: {reason}",
        ),
        (
            '[[shadow.rules]]\nread = "ignored"\npath = "input[["',
            "`path` of a rule in [[shadow.rules]] is neither a header nor a CSS selector: {selector}: {error}",
        ),
    ],
)
def test_places_that_are_none(ready: Installation, section: str, template: str) -> None:
    ready.configure(section)
    refused(ready, command("--requests", "paths.txt"), template, ExitCode.CONFIG)


def test_a_secret_that_the_environment_does_not_have(ready: Installation) -> None:
    ready.configure(f'{BOTH}\nbaseline_headers = {{Authorization = "env:NO_SUCH_TOKEN"}}')
    told = refused(
        ready,
        command("--requests", "paths.txt"),
        "`{key}` in [shadow] takes a value from the environment, where {variable} is not set",
        ExitCode.CONFIG,
    )
    assert "NO_SUCH_TOKEN" in told


def test_libraries_that_are_not_installed(ready: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("cdc.shadow.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    template = "shadow reads of HTTP need {error}, which is not installed"
    refused(ready, command("--requests", "paths.txt"), template, ExitCode.USAGE)
