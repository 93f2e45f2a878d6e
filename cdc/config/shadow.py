"""The section of shadow reads: whom to ask, how, and which differences are meant."""

from pathlib import Path
from typing import Literal

import msgspec

from cdc.config.address import host_and_port

Reading = Literal[
    "ignored",
    "instant",
    "number",
    "json",
    "text",
    "set",
    "types",
    "empty is null",
    "absent is null",
    "one-sided",
    "renamed",
    "status",
]


class ShadowRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A difference that is meant: where it is, how it is to be read there, and why."""

    read: Reading
    endpoint: str = "*"  # a shell pattern of folded paths, or of names of queries
    path: str = "$"  # a place in a JSON answer (RFC 9535), a header, a CSS selector, or a column
    key: str | None = None  # what identifies an element of a list that is read as a set
    tolerance: float | None = None  # of numbers: how far apart they may be
    to: str | None = None  # the candidate's name of a member that is renamed
    status: int | None = None  # the rule is one of answers with this status
    reason: str | None = None


class ExpectedDifference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers that must differ because the data say so: as many as a query on SQLite counts, no more and no fewer."""

    endpoint: str
    sql: str  # of values that the request's parameter has, one a row
    reason: str


class ProxyRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths of which only a share of the reads is compared."""

    path: str  # a shell pattern
    share: float


class ProxySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proxy before the application: where it listens, which reads it compares, and how much of them it keeps."""

    listen: str = "127.0.0.1:8090"
    rates: list[ProxyRate] = msgspec.field(default_factory=list)  # the first that fits
    keep_bytes: int = 1024 * 1024  # of one answer
    queue_pairs: int = 1_000
    queue_bytes: int = 64 * 1024 * 1024
    workers: int = 16  # questions to the candidate at a time
    failures: int = 5  # in a row, after which the candidate is left alone
    retry_seconds: float = 10.0  # for so long, then one question is tried
    answer_seconds: float = 300.0  # for the baseline to begin its answer
    serve_candidate: float = 0.0  # the share of clients whose reads the candidate serves
    serve_seconds: float = 1.0  # for the candidate's answer, where a user waits for it
    catch_up_seconds: float = 0.02  # for Postgres to come along before that
    sticky_cookie: str | None = None
    fallback_seconds: float = 300.0
    flush_seconds: float = 5.0
    held_requests: int = 1_000
    end_seconds: float = 10.0  # for open requests to end
    metrics: str | None = None  # where its own metrics are served

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`; raises `ValueError` when it is not written as HOST:PORT."""
        return host_and_port(self.listen)


class PagedList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list that the application gives out in pages: all pages of both sides are compared together."""

    endpoint: str
    list: str  # its place in an answer (RFC 9535)
    key: str  # the member that identifies an element
    page: str = "page"  # the parameter of the query that has a page's number, or its cursor
    first: int = 1  # the number of the first page
    cursor: str | None = None  # the place of the next page's cursor, where pages have no numbers
    next: str | None = None  # the place of the next page's address, or the header that has it
    total: str | None = None  # the place of how many elements there are in all


class ShadowSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The instances of the application that are asked, what they may be asked, and how patiently."""

    baseline: str | None = None  # the one on SQLite
    candidate: str | None = None  # the one on Postgres
    reference: str | None = None  # one on a database that was loaded from a snapshot
    access_log: Path | None = None  # of the web server: what users ask for
    log_format: str | None = None  # `combined` where none is given
    baseline_headers: dict[str, str] = msgspec.field(default_factory=dict)
    candidate_headers: dict[str, str] = msgspec.field(default_factory=dict)
    reference_headers: dict[str, str] = msgspec.field(default_factory=dict)
    allow: list[str] = msgspec.field(default_factory=lambda: ["*"])
    deny: list[str] = msgspec.field(default_factory=list)
    methods: list[str] = msgspec.field(default_factory=lambda: ["GET", "HEAD"])
    compared_headers: list[str] = msgspec.field(default_factory=lambda: ["content-type", "location"])
    requests_per_second: float = 50.0
    attempts: int = 20  # a pair that something changed in between is asked so many times
    patience_seconds: float = 10.0  # for Postgres to pass a change
    timeout_seconds: float = 10.0  # for one answer
    slower_percent: float = 20.0  # at p95, beyond which the candidate is too slow
    query_allowance_ms: float = 5.0  # by which a single query may be slower: the way to a server and back
    least_samples: int = 50  # below which nothing is said about speed
    clean_days: float = 7.0  # without a difference, before reads may move
    examples: int = 5  # kept of each endpoint and cause
    rules: list[ShadowRule] = msgspec.field(default_factory=list)
    expect: list[ExpectedDifference] = msgspec.field(default_factory=list)
    proxy: ProxySection = msgspec.field(default_factory=ProxySection)
    pages: list[PagedList] = msgspec.field(default_factory=list)
