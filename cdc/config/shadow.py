"""The section of shadow reads: whom to ask, how, and which differences are meant."""

from typing import Literal

import msgspec

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


class PagedList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list that the application gives out in pages: all pages of both sides are compared together."""

    endpoint: str
    list: str  # its place in an answer (RFC 9535)
    key: str  # the member that identifies an element
    page: str = "page"  # the parameter of the query that has a page's number
    first: int = 1  # the number of the first page
    total: str | None = None  # the place of how many elements there are in all


class ShadowSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The instances of the application that are asked, what they may be asked, and how patiently."""

    baseline: str | None = None  # the one on SQLite
    candidate: str | None = None  # the one on Postgres
    reference: str | None = None  # one on a database that was loaded from a snapshot
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
    pages: list[PagedList] = msgspec.field(default_factory=list)
