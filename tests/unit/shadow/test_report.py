"""What the report says of counts and times: when an endpoint is proven, and when Postgres is certainly too slow."""

from datetime import UTC, datetime, timedelta

from cdc.config import ShadowSection
from cdc.errors import ExitCode
from cdc.facts.timings import Timings
from cdc.postgres.record.shadow import ShadowEndpoint, ShadowExample, ShadowPlace
from cdc.shadow.page import page_of
from cdc.shadow.report import ShadowReport, make_report, speed_of
from cdc.shadow.requests import HttpRequest

NOW = datetime(2026, 1, 9, tzinfo=UTC)


def timings(seconds: float, samples: int) -> Timings:
    counted = Timings()
    for n in range(samples):
        counted.add(seconds * (1 + n % 10 / 100))
    return counted


def endpoint(name: str, clean_days: float | None, **verdicts: int) -> ShadowEndpoint:
    clean = None if clean_days is None else NOW - timedelta(days=clean_days)
    return ShadowEndpoint("http", name, NOW, NOW, clean, verdicts, timings(0.01, 60), timings(0.01, 60), ("t",))


def report(*endpoints: ShadowEndpoint) -> ShadowReport:
    return make_report(endpoints, (), ShadowSection(), NOW)


def test_everything_is_clean_for_as_long_as_the_last_endpoint() -> None:
    found = report(endpoint("a", 8, equal=5), endpoint("b", 3, equal=1, noise=2))
    assert found.clean_for == timedelta(days=3)
    assert found.exit_code is ExitCode.OK


def test_what_differs_or_was_never_shown_is_not_clean() -> None:
    for unproven in (endpoint("b", None, equal=9, different=1), endpoint("b", 2, moved=3), endpoint("b", 2, noise=1)):
        found = report(endpoint("a", 8, equal=5), unproven)
        assert found.clean_for is None
        assert [e.endpoint for e in found.differing] == ["b"]
        assert found.exit_code is ExitCode.DIFFERENCE


def test_nothing_asked_is_critical_and_a_recording_alone_is_nothing_asked() -> None:
    assert report().exit_code is ExitCode.CRITICAL
    recorded = ShadowEndpoint("baseline", "a", NOW, NOW, None, {}, timings(1, 1), Timings(), ())
    assert report(recorded).exit_code is ExitCode.CRITICAL


def test_too_slow_is_said_only_when_it_is_certain() -> None:
    options = ShadowSection()
    slower = speed_of(timings(0.01, 400), timings(0.02, 400), options)
    assert slower is not None
    assert slower.too_slow
    assert 0.9 < slower.slower < 1.1
    for ours, theirs in (
        (timings(0.01, 20), timings(0.02, 20)),  # too few to say
        (timings(0.01, 400), timings(0.0115, 400)),  # within what is allowed
        (timings(0.02, 400), timings(0.01, 400)),
    ):
        speed = speed_of(ours, theirs, options)
        assert speed is not None
        assert not speed.too_slow
    assert speed_of(Timings(), timings(1, 9), options) is None


def test_a_query_may_take_the_way_to_a_server_longer_and_a_request_may_not() -> None:
    quick, slower, slow = timings(0.0001, 400), timings(0.003, 400), timings(0.02, 400)
    for kind, candidate, too_slow in (("sql", slower, False), ("sql", slow, True), ("http", slower, True)):
        found = report(ShadowEndpoint(kind, "a", NOW, NOW, NOW, {"equal": 400}, quick, candidate, ()))
        assert bool(found.too_slow) is too_slow


def test_texts_of_users_are_escaped_on_the_page() -> None:
    nasty = "<script>alert(1)</script>"
    place = ShadowPlace("http", "GET /a", "letter case", nasty, NOW, NOW, 2, (ShadowExample(nasty, nasty, None, 7),))
    asked = [HttpRequest("GET", "/a"), HttpRequest("GET", "/<script>")]
    page = page_of(make_report([endpoint("GET /a", None, different=2)], [place], ShadowSection(), NOW, asked))
    assert nasty not in page
    assert "1 of 2 endpoints in the log were compared" in page
    assert "never compared: <code>GET /&lt;script&gt;</code>, 1 requests" in page
    assert "&lt;script&gt;" in page
    assert "1 of 1 endpoints are not shown" in page
