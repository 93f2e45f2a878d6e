"""What all shadow reads came to: by endpoint, by cause, and whether Postgres is fast enough. Pure, from the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cdc.config import ShadowSection
from cdc.errors import ExitCode
from cdc.facts.shadow import ENDS_CLEAN, Verdict
from cdc.facts.timings import Timings
from cdc.postgres.record.shadow import ShadowEndpoint, ShadowPlace
from cdc.shadow.causes import CAUSES
from cdc.shadow.clean_time import CleanTime, clean_time, proven_since
from cdc.shadow.ledger import BASELINE_KIND
from cdc.shadow.requests import HttpRequest

QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Speed:
    """How long both sides took, in seconds at `QUANTILES`, and the 95 % interval of each side's p95.

    `slower` is by what part the candidate is slower at p95, below zero where it is faster. `too_slow` is said only with
    enough samples, and only where the intervals do not overlap: else nobody knows.
    """

    samples: int
    baseline: tuple[float, ...]
    candidate: tuple[float, ...]
    baseline_p95: tuple[float, float]
    candidate_p95: tuple[float, float]
    slower: float
    too_slow: bool


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """One endpoint of one kind of shadow read, what it came to, and the places where answers differed."""

    kind: str
    endpoint: str
    verdicts: Mapping[str, int]
    clean_since: datetime | None
    last_at: datetime
    speed: Speed | None
    tables: Sequence[str]
    places: Sequence[ShadowPlace]

    @property
    def asked(self) -> int:
        """How many questions were put."""
        return sum(self.verdicts.values())

    @property
    def proven(self) -> bool:
        """Whether some pair of answers was alike, and none differed since."""
        return proven_since(self.clean_since, self.verdicts) is not None

    def clean_for(self, now: datetime) -> timedelta | None:
        """How long nothing differed, None where something does or nothing was shown."""
        return now - self.clean_since if self.clean_since and self.proven else None


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """Everything that is known; `clean_days` is how long it has to be without a difference."""

    endpoints: Sequence[EndpointReport]
    clean: CleanTime
    clean_days: float
    at: datetime

    @property
    def differing(self) -> tuple[EndpointReport, ...]:
        """Endpoints that are not clean now."""
        return tuple(e for e in self.endpoints if not e.proven)

    @property
    def too_slow(self) -> tuple[EndpointReport, ...]:
        """Endpoints that are slower on Postgres than they may be."""
        return tuple(e for e in self.endpoints if e.speed is not None and e.speed.too_slow)

    @property
    def clean_for(self) -> timedelta | None:
        """How long no endpoint differed, None while one does, or where nothing was asked."""
        return self.at - self.clean.since if self.clean.since else None

    @property
    def exit_code(self) -> ExitCode:
        """0 alike and fast enough, 1 a difference or too slow, 2 nothing was asked."""
        if not self.endpoints:
            return ExitCode.CRITICAL
        return ExitCode.DIFFERENCE if self.differing or self.too_slow else ExitCode.OK

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        clean = self.clean_for
        return {
            "at": self.at.isoformat(),
            "exit_code": int(self.exit_code),
            "clean_since": self.clean.since.isoformat() if self.clean.since else None,
            "clean_for_seconds": clean.total_seconds() if clean is not None else None,
            "logged_endpoints": self.clean.logged,
            "never_compared": dict(self.clean.never_compared),
            "clean_days_wanted": self.clean_days,
            "endpoints": [_endpoint_json(e, self.at) for e in self.endpoints],
        }


def make_report(
    endpoints: Sequence[ShadowEndpoint],
    places: Sequence[ShadowPlace],
    options: ShadowSection,
    now: datetime,
    logged: Sequence[HttpRequest] = (),
) -> ShadowReport:
    """The report of what the ledger holds; recordings without a candidate are no shadow reads.

    `logged` are requests of users, whose endpoints should have been compared.
    """
    by_endpoint: dict[tuple[str, str], list[ShadowPlace]] = {}
    for place in places:
        by_endpoint.setdefault((place.kind, place.endpoint), []).append(place)
    return ShadowReport(
        tuple(
            EndpointReport(
                e.kind,
                e.endpoint,
                e.verdicts,
                e.clean_since,
                e.last_at,
                speed_of(e.baseline, e.candidate, options, allowance=_allowance(e.kind, options)),
                e.tables,
                by_endpoint.get((e.kind, e.endpoint), ()),
            )
            for e in endpoints
            if e.kind != BASELINE_KIND
        ),
        clean_time(endpoints, logged),
        options.clean_days,
        now.astimezone(UTC),
    )


def speed_of(baseline: Timings, candidate: Timings, options: ShadowSection, *, allowance: float = 0.0) -> Speed | None:
    """How fast both are, None without samples of both; the candidate may be slower by `allowance` seconds anyway."""
    samples = min(baseline.samples, candidate.samples)
    if not samples:
        return None
    ours, theirs = baseline.interval(0.95), candidate.interval(0.95)
    slower = candidate.quantile(0.95) / baseline.quantile(0.95) - 1
    certain = samples >= options.least_samples and theirs[0] > ours[1] + allowance
    return Speed(
        samples=samples,
        baseline=tuple(baseline.quantile(q) for q in QUANTILES),
        candidate=tuple(candidate.quantile(q) for q in QUANTILES),
        baseline_p95=ours,
        candidate_p95=theirs,
        slower=slower,
        too_slow=certain and 100 * slower > options.slower_percent,
    )


def remedy_of(cause: str) -> str:
    """What helps against a cause; of several at once, against each."""
    return "; ".join(CAUSES[part][1] for part in cause.split(" + ") if part in CAUSES)


def _allowance(kind: str, options: ShadowSection) -> float:
    return options.query_allowance_ms / 1000 if kind == "sql" else 0.0


def unclean(verdicts: Mapping[str, int]) -> int:
    """How many answers differed, failed or came too late."""
    return sum(verdicts.get(verdict, 0) for verdict in ENDS_CLEAN)


def counts_text(verdicts: Mapping[str, int]) -> str:
    """`12 equal, 1 different`: each verdict that there was."""
    return ", ".join(f"{verdicts[v]:,} {v}" for v in Verdict if verdicts.get(v))


def _endpoint_json(endpoint: EndpointReport, now: datetime) -> dict[str, Any]:
    clean, speed = endpoint.clean_for(now), endpoint.speed
    return {
        "kind": endpoint.kind,
        "endpoint": endpoint.endpoint,
        "asked": endpoint.asked,
        "verdicts": {str(v): endpoint.verdicts.get(v, 0) for v in Verdict},
        "clean_since": endpoint.clean_since.isoformat() if endpoint.clean_since else None,
        "clean_for_seconds": clean.total_seconds() if clean is not None else None,
        "last_at": endpoint.last_at.isoformat(),
        "tables": list(endpoint.tables),
        "speed": None
        if speed is None
        else {
            "samples": speed.samples,
            "baseline_seconds": dict(zip(("p50", "p95", "p99"), speed.baseline, strict=True)),
            "candidate_seconds": dict(zip(("p50", "p95", "p99"), speed.candidate, strict=True)),
            "slower_percent": round(100 * speed.slower, 1),
            "too_slow": speed.too_slow,
        },
        "differences": [
            {
                "cause": place.cause,
                "path": place.path,
                "times": place.times,
                "first_at": place.first_at.isoformat(),
                "last_at": place.last_at.isoformat(),
                "remedy": remedy_of(place.cause),
                "examples": [
                    {"request": x.request, "baseline": x.baseline, "candidate": x.candidate, "position": x.seq}
                    for x in place.examples
                ],
            }
            for place in endpoint.places
        ],
    }
