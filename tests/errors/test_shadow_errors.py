"""Shadow reads that cannot be begun: files of queries that make no sense, and nothing that would come along."""

import sys
from pathlib import Path

import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode


def queries(site: Installation, text: str, name: str = "queries.toml") -> str:
    file = site.folder / name
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    "text", ["[[query]", "[[query]]\nname = 'a'", "[[query]]\nname = 'a'\nsql = 'SELECT 1'\nkind = 'x'"]
)
def test_queries_that_are_not_written_as_they_should(cut_off: Installation, text: str) -> None:
    refused(
        cut_off,
        ["shadow", "sql", queries(cut_off, text)],
        "the queries in {path} are not written as they should: {reason}",
        ExitCode.USAGE,
    )


def test_queries_that_cannot_be_read(cut_off: Installation) -> None:
    latin = cut_off.folder / "latin.sql"
    latin.write_bytes(b"-- name: \xe9\nSELECT 1")
    for file in (cut_off.folder / "none.sql", latin):
        call = ["shadow", "sql", str(file)]
        refused(cut_off, call, "the queries in {path} cannot be read: {reason}", ExitCode.USAGE)


def test_a_file_without_queries_and_one_with_a_name_twice(cut_off: Installation) -> None:
    unnamed = queries(cut_off, "SELECT 1", "unnamed.sql")
    refused(cut_off, ["shadow", "sql", unnamed], "no query is in {path}", ExitCode.USAGE)
    twice = queries(cut_off, "-- name: a\nSELECT 1;\n-- name: a\nSELECT 2", "twice.sql")
    refused(cut_off, ["shadow", "sql", twice], "two queries of {path} are called {twice}", ExitCode.USAGE)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('read = "instant"\nendpoint = "by *"\npath = "location"', "column location of query by day"),
        ('read = "text"\npath = "day"', "no column knows: text"),
        ('read = "number"\npath = "day"', "no column knows: number without a tolerance"),
    ],
)
def test_a_rule_that_no_column_knows(cut_off: Installation, rule: str, words: str) -> None:
    cut_off.configure(f"[[shadow.rules]]\n{rule}")
    file = queries(cut_off, "-- name: by day\nSELECT day FROM t", "queries.sql")
    template = "a rule in [[shadow.rules]] has column {path} of query {query} read as what no column knows: {read}"
    assert words in refused(cut_off, ["shadow", "sql", file], template, ExitCode.CONFIG)


def test_no_daemon_that_follows(site: Installation) -> None:
    site.followed()
    file = queries(site, "-- name: one\nSELECT 1 AS one", "queries.sql")
    refused(
        site,
        ["shadow", "sql", file],
        "no daemon follows {path}, so Postgres does not come along",
        ExitCode.CRITICAL,
    )


def test_a_place_that_is_read_in_no_known_way(cut_off: Installation) -> None:
    refused(
        cut_off,
        ["shadow", "ignore", "GET /a", "--path", "$.b", "--read", "sideways"],
        "a place cannot be read as {read}",
        ExitCode.USAGE,
    )


def test_a_report_that_cannot_be_written(site: Installation, tmp_path: Path) -> None:
    site.followed()
    for option in ("--html", "--har"):
        call = ["shadow", "report", option, str(tmp_path / "no" / "report")]
        refused(site, call, "the report cannot be written to {file}: {error}", ExitCode.USAGE)


def test_neither_a_file_nor_made_up_queries(cut_off: Installation) -> None:
    refused(cut_off, ["shadow", "sql"], "say what is to be asked", ExitCode.USAGE)


def test_a_log_without_the_library_that_reads_it(cut_off: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("cdc.shadow.http_plan", "cdc.shadow.request_files"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "apachelogs", None)
    call = ["shadow", "report", "--coverage-log", "access.log"]
    refused(cut_off, call, "access logs are read by {error}, which is not installed", ExitCode.USAGE)
