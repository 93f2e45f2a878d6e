"""Requests out of the data: a template of a path, and a query on SQLite for what is put in."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cdc.config import SourceSection
from cdc.errors import UsageError
from cdc.facts.values import Value
from cdc.shadow.requests import HttpRequest, filled, places_of
from cdc.sqlite.rows.question import ask_rows

_TEMPLATE: Final = re.compile(
    r"(?:(?P<method>[A-Za-z]+)\s+)?(?P<path>/\S*?)=\s*(?P<sql>(?:SELECT|WITH|VALUES)[\s(].*)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class DataTemplate:
    """`/api/reports/{video_id}`, and the query whose columns have the names of its places."""

    method: str
    path: str
    sql: str


@dataclass(frozen=True, slots=True)
class Sample:
    """How many rows of each query are taken, all where it says None; the same seed takes the same ones."""

    rows: int | None = None
    seed: int = 0


def is_template(words: str) -> bool:
    """Whether a line is a template and no request."""
    return _TEMPLATE.fullmatch(words) is not None


def parsed_template(words: str) -> DataTemplate:
    """The template in a text; raises `UsageError`."""
    found = _TEMPLATE.fullmatch(words.strip())
    if found is None:
        raise UsageError(
            f"this is no template of requests: {words}",
            remedy='write PATH=SQL, such as "/api/reports/{video_id}=SELECT video_id FROM content"',
        )
    return DataTemplate((found["method"] or "GET").upper(), found["path"], found["sql"])


def from_data(source: SourceSection, template: DataTemplate, sample: Sample) -> list[HttpRequest]:
    """The requests of a template; rows with NULL or bytes in a place give none.

    Raises `UsageError` where the query has no column for a place, and `SourceError` where it is none that only reads.
    """
    names, rows = ask_rows(source, f"values for {template.path}", template.sql)
    places = places_of(template.path)
    if len(names) == len(places) == 1:
        names = places  # with one of each there is nothing to confuse
    lacking = [place for place in places if place not in names]
    if lacking:
        raise UsageError(
            f"the query of {template.path} has no column {', '.join(lacking)}",
            remedy="name its columns as the places of the path, with AS if need be",
        )
    if sample.rows is not None and sample.rows < len(rows):
        rows = random.Random(sample.seed).sample(rows, sample.rows)
    return [request for row in rows if (request := _request(template, names, row))]


def _request(template: DataTemplate, names: Sequence[str], row: Sequence[Value]) -> HttpRequest | None:
    values = {name: str(value) for name, value in zip(names, row, strict=True) if isinstance(value, str | int | float)}
    if not set(places_of(template.path)) <= values.keys():
        return None
    return filled(template.method, template.path, values)
