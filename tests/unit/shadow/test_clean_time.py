"""Since when shadow reads found nothing, and what of the users' requests they never compared."""

from datetime import UTC, datetime, timedelta

from cdc.facts.timings import Timings
from cdc.postgres.record.shadow import ShadowEndpoint
from cdc.shadow.clean_time import CleanTime, clean_time
from cdc.shadow.requests import HttpRequest

NOW = datetime(2026, 1, 9, tzinfo=UTC)


def endpoint(name: str, hours: float | None, kind: str = "proxy", **verdicts: int) -> ShadowEndpoint:
    clean = None if hours is None else NOW - timedelta(hours=hours)
    return ShadowEndpoint(kind, name, NOW, NOW, clean, verdicts, Timings(), Timings(), ())


def reads(*targets: str) -> list[HttpRequest]:
    return [HttpRequest("GET", target) for target in targets]


def test_it_is_clean_since_the_last_endpoint_is_shown_to_be_alike() -> None:
    known = [endpoint("GET /a", 8, equal=3), endpoint("newest", 3, "sql", different=1, ignored=1)]
    assert clean_time(known) == CleanTime(NOW - timedelta(hours=3), endpoints=2)
    assert clean_time([*known, endpoint("GET /b", None, "baseline", equal=9)]) == clean_time(known)
    assert clean_time([]) == CleanTime(None, endpoints=0)


def test_it_is_not_clean_while_one_differs_or_was_never_shown() -> None:
    for other in (endpoint("b", None, different=1, equal=5), endpoint("b", 2, moved=1), endpoint("b", 2, noise=1)):
        assert clean_time([endpoint("a", 8, equal=3), other]).since is None


def test_endpoints_of_a_log_are_missed_that_no_pair_of_answers_was_compared_of() -> None:
    known = [
        endpoint("GET /items/{id}", 8, equal=3),
        endpoint("GET /clock", None, noise=1),
        endpoint("GET /broken", None, different=1),
        endpoint("GET /busy", None, moved=4),
        endpoint("GET /away", None, failed=2, slow=1),
        endpoint("GET /fast", None, "baseline", equal=100),
    ]
    asked = ("/items/7", "/items/one", "/clock", "/broken", "/busy", "/away", "/fast", "/new?a=1", "/new?a=2")
    found = clean_time(known, reads(*asked))
    assert (found.logged, found.compared) == (7, 3)
    assert found.never_compared == {"GET /new?a": 2, "GET /busy": 1, "GET /away": 1, "GET /fast": 1}
    assert next(iter(found.never_compared)) == "GET /new?a"
