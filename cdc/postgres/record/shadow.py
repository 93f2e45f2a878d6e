"""What shadow reads came to, by endpoint: counts that only grow, and examples of what differed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cdc.facts.timings import Timings
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.statements import load
from cdc.postgres.record.part import RecordPart

SQL: Final = load("shadow")


@dataclass(frozen=True, slots=True)
class EndpointCounts:
    """What a run adds to one endpoint. `differed` says that something did, `clean` that what came last was alike."""

    endpoint: str
    differed: bool
    clean: bool
    verdicts: Mapping[str, int]
    baseline: Timings
    candidate: Timings
    tables: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ShadowExample:
    """One question whose answers differed at a place; sides are short texts, None where one has nothing there."""

    request: str
    baseline: str | None
    candidate: str | None
    seq: int | None


@dataclass(frozen=True, slots=True)
class PlaceCounts:
    """What a run adds to one place of an endpoint where answers differ."""

    endpoint: str
    cause: str
    path: str
    times: int
    examples: Sequence[ShadowExample]


@dataclass(frozen=True, slots=True)
class ShadowEndpoint:
    """All that is known of one endpoint; `clean_since` is None while what came last was a difference."""

    kind: str
    endpoint: str
    first_at: datetime
    last_at: datetime
    clean_since: datetime | None
    verdicts: Mapping[str, int]
    baseline: Timings
    candidate: Timings
    tables: Sequence[str]


@dataclass(frozen=True, slots=True)
class ShadowPlace:
    """A place in the answers of an endpoint where they differed, how often, and the newest examples."""

    kind: str
    endpoint: str
    cause: str
    path: str
    first_at: datetime
    last_at: datetime
    times: int
    examples: Sequence[ShadowExample]


@dataclass(frozen=True, slots=True)
class ShadowSummary:
    """How many endpoints were asked, how many are not shown to be alike, and since when all are; None while one is not.

    Of `unlike` endpoints the answers differed, and were not alike since.
    """

    endpoints: int
    differing: int
    clean_since: datetime | None
    last_at: datetime
    unlike: int = 0


class ShadowReads(RecordPart):
    """The shadow reads of one source; `kind` is who asked: `sql`, `http`, `proxy`."""

    async def add(
        self, kind: str, endpoints: Iterable[EndpointCounts], places: Iterable[PlaceCounts], most_examples: int
    ) -> None:
        """Add what a run, or a part of it, came to; all or nothing."""
        with translated("noting shadow reads"):
            async with self._connection.transaction():
                for e in endpoints:
                    texts = [json.dumps(dict(e.verdicts)), json.dumps(e.baseline.to_json())]
                    texts.append(json.dumps(e.candidate.to_json()))
                    row = (self._source_id, kind, e.endpoint, e.differed, e.clean, *texts, list(e.tables))
                    await self._connection.execute(SQL["endpoint"], *row)
                for place in places:
                    examples = json.dumps([_as_json(example) for example in place.examples])
                    key = (self._source_id, kind, place.endpoint, place.cause, place.path)
                    await self._connection.execute(SQL["difference"], *key, place.times, examples, most_examples)

    async def summary(self) -> ShadowSummary | None:
        """What the status tells, None where nothing was asked."""
        with translated("reading shadow reads"):
            row = await self._connection.fetchrow(SQL["summary"], self._source_id)
        if row is None or not row["endpoints"]:
            return None
        clean = None if row["differing"] else row["clean_since"]
        return ShadowSummary(row["endpoints"], row["differing"], clean, row["last_at"], row["unlike"])

    async def endpoints(self) -> tuple[ShadowEndpoint, ...]:
        """Every endpoint that was ever asked."""
        with translated("reading shadow reads"):
            rows = await self._connection.fetch(SQL["endpoints"], self._source_id)
        return tuple(
            ShadowEndpoint(
                row["kind"],
                row["endpoint"],
                row["first_at"],
                row["last_at"],
                row["clean_since"],
                json.loads(row["verdicts"]),
                Timings.from_json(json.loads(row["baseline"])),
                Timings.from_json(json.loads(row["candidate"])),
                tuple(row["tables"]),
            )
            for row in rows
        )

    async def places(self) -> tuple[ShadowPlace, ...]:
        """Every place where answers differed, the most frequent of an endpoint first."""
        with translated("reading shadow reads"):
            rows = await self._connection.fetch(SQL["differences"], self._source_id)
        return tuple(
            ShadowPlace(
                row["kind"],
                row["endpoint"],
                row["cause"],
                row["path"],
                row["first_at"],
                row["last_at"],
                row["times"],
                tuple(ShadowExample(**example) for example in json.loads(row["examples"])),
            )
            for row in rows
        )

    async def forget(self) -> None:
        """Begin anew, with nothing known."""
        with translated("forgetting shadow reads"):
            await self._connection.execute(SQL["forget"], self._source_id)


def _as_json(example: ShadowExample) -> dict[str, str | int | None]:
    return {
        "request": _storable(example.request),
        "baseline": None if example.baseline is None else _storable(example.baseline),
        "candidate": None if example.candidate is None else _storable(example.candidate),
        "seq": example.seq,
    }


def _storable(text: str) -> str:
    """A text as jsonb can hold it: without NUL, and without halves of surrogate pairs."""
    return text.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()
