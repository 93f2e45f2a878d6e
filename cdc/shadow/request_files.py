"""Requests out of files: one a line, a recording of a browser, or the log of a web server."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import apachelogs

from cdc.errors import UsageError
from cdc.shadow.from_data import DataTemplate, is_template, parsed_template
from cdc.shadow.requests import HttpRequest

DEFAULT_FORMAT: Final = apachelogs.COMBINED
_LINE: Final = re.compile(r"(?:(?P<method>[A-Za-z]+)\s+)?(?P<target>/\S*)(?:\s+HTTP/\S+)?")


def from_lines(file: Path) -> tuple[list[HttpRequest], list[DataTemplate]]:
    """The requests and the templates of a file; empty lines and those that begin with # are comments."""
    requests: list[HttpRequest] = []
    templates: list[DataTemplate] = []
    for number, line in enumerate(_text(file).splitlines(), 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        if is_template(words):
            templates.append(parsed_template(words))
        elif request := _request(words):
            requests.append(request)
        else:
            raise UsageError(
                f"line {number} of {file} is no request",
                remedy="write METHOD PATH, or the path alone, which begins with /",
            )
    return requests, templates


def _request(words: str) -> HttpRequest | None:
    found = _LINE.fullmatch(words)
    return HttpRequest((found["method"] or "GET").upper(), found["target"]) if found else None


def from_har(file: Path) -> list[HttpRequest]:
    """The requests of a recording that went where its first one did; what a page took from elsewhere is left out."""
    try:
        entries = [entry["request"] for entry in json.loads(_text(file))["log"]["entries"]]
        recorded = [(urlsplit(entry["url"]), entry) for entry in entries]
        return [_recorded(entry) for url, entry in recorded if url.netloc == recorded[0][0].netloc]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UsageError(
            f"{file} is no HAR, a recording of a browser in JSON",
            remedy="save it from the network page of the browser's tools, as HAR with content",
        ) from None


def _recorded(entry: dict[str, Any]) -> HttpRequest:
    url = urlsplit(entry["url"])
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    posted = entry.get("postData") or {}
    return HttpRequest(entry["method"].upper(), target, body=posted.get("text"), content_type=posted.get("mimeType"))


def from_access_log(file: Path, log_format: str) -> tuple[list[HttpRequest], int]:
    """The requests of a log, and how many of its lines are none."""
    try:
        parser = apachelogs.LogParser(log_format)
    except ValueError as error:
        raise UsageError(
            f"the format of the access log is none: {error}",
            remedy="give the string of the server's own configuration, such as '%h %l %u %t \"%r\" %>s %b'",
        ) from None
    requests: list[HttpRequest] = []
    others = 0
    with _opened(file), file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            request = _logged(parser, line)
            others += request is None
            requests += [request] if request else []
    return requests, others


def _logged(parser: apachelogs.LogParser, line: str) -> HttpRequest | None:
    try:
        told = parser.parse(line.rstrip("\n")).directives
    except ValueError:
        return None
    whole = told.get("%r") or f"{told.get('%m') or 'GET'} {told.get('%U') or ''}{told.get('%q') or ''}"
    return _request(whole)


def _text(file: Path) -> str:
    with _opened(file):
        return file.read_text(encoding="utf-8-sig", errors="replace")


@contextmanager
def _opened(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"requests cannot be read from {file}: {error.strerror}", remedy="name a file that this user may read"
        ) from None
