"""The decisions of the proxy, each without a network."""

from cdc.config import ProxySection, ShadowSection
from cdc.config.shadow import ProxyRate
from cdc.facts.shadow import Outcome, Verdict
from cdc.shadow.proxy.breaker import Breaker, BreakerState
from cdc.shadow.proxy.canary import Canary
from cdc.shadow.proxy.headers import end_to_end, for_baseline, for_library, marked, wants_tunnel
from cdc.shadow.proxy.selection import Selection


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# --- the circuit breaker ----------------------------------------------------------------------------------------------


def test_a_breaker_opens_after_failures_in_a_row_and_closes_after_one_probe() -> None:
    clock, states = Clock(), list[BreakerState]()
    breaker = Breaker(2, 10.0, states.append, clock)
    for way in (breaker.failed, breaker.succeeded, breaker.failed):
        assert breaker.allows()
        way()
    assert states == []
    breaker.failed()
    assert not breaker.allows()
    clock.now = 10.0
    assert breaker.allows()
    assert not breaker.allows()  # one probe at a time
    breaker.succeeded()
    assert breaker.allows()
    assert states == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_a_probe_that_fails_leaves_it_open_and_one_that_is_lost_is_followed_by_another() -> None:
    clock = Clock()
    breaker = Breaker(1, 10.0, lambda state: None, clock)
    breaker.failed()
    clock.now = 10.0
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    clock.now = 20.0
    assert breaker.allows()
    clock.now = 30.0
    assert breaker.allows()


# --- who is served by the candidate -----------------------------------------------------------------------------------


def test_a_share_of_clients_is_served_and_always_the_same_ones() -> None:
    canary = Canary(0.2, 10.0, Clock())
    taken = {client for client in map(str, range(10_000)) if canary.takes(client)}
    assert 1_800 < len(taken) < 2_200
    assert all(canary.takes(client) for client in taken)
    more = Canary(0.4, 10.0, Clock())
    assert all(more.takes(client) for client in taken)


def test_none_is_served_for_a_while_after_what_speaks_against_the_candidate() -> None:
    for verdict in Verdict:
        clock = Clock()
        canary = Canary(1.0, 10.0, clock)
        canary.saw(Outcome("GET /", "GET /", verdict))
        against = verdict in (Verdict.DIFFERENT, Verdict.UNSTABLE, Verdict.FAILED, Verdict.SLOW)
        assert canary.takes("client") is not against
        clock.now = 10.0
        assert canary.takes("client")


# --- what is asked ----------------------------------------------------------------------------------------------------


def test_only_what_can_be_asked_twice_is_put_to_the_candidate() -> None:
    section = ShadowSection(methods=["GET", "POST"], allow=["/api/*"], deny=["/api/secret*"])
    selection = Selection(section)
    asked = {
        (method, path): selection.may_be_asked(method, path)
        for method in ("GET", "POST", "HEAD")
        for path in ("/api/a", "/other", "/api/secret", "/api/%73ecret?x=1")
    }
    assert [question for question, may in asked.items() if may] == [("GET", "/api/a")]


def test_the_first_rate_that_fits_says_how_often() -> None:
    rates = [ProxyRate("/heavy/never*", 0.0), ProxyRate("/heavy*", 0.25)]
    chances = iter([0.2, 0.3])
    selection = Selection(ShadowSection(proxy=ProxySection(rates=rates)), lambda: next(chances, 0.0))
    drawn = [selection.drawn(path) for path in ("/heavy", "/heavy", "/heavy/never", "/light")]
    assert drawn == [True, False, False, True]


# --- headers ----------------------------------------------------------------------------------------------------------


def test_headers_of_one_connection_and_those_it_names_stay_behind() -> None:
    raw = [(b"Connection", b"close, X-Own"), (b"x-own", b"1"), (b"Transfer-Encoding", b"chunked"), (b"A", b"1")]
    assert end_to_end(raw) == [(b"A", b"1")]


def test_headers_that_come_twice_stay_in_their_order_under_one_spelling() -> None:
    raw = [(b"Set-Cookie", b"a"), (b"B", b"2"), (b"set-cookie", b"c")]
    assert end_to_end(raw) == raw
    assert list(for_library(raw).items()) == [("Set-Cookie", "a"), ("B", "2"), ("Set-Cookie", "c")]


def test_the_client_is_appended_to_those_that_came_before() -> None:
    raw = [(b"X-Forwarded-For", b"10.0.0.1"), (b"x-forwarded-for", b"10.0.0.2"), (b"Expect", b"100-continue")]
    assert for_baseline(raw, "10.0.0.3") == [(b"X-Forwarded-For", b"10.0.0.1, 10.0.0.2, 10.0.0.3")]
    assert for_baseline(raw, None) == [(b"X-Forwarded-For", b"10.0.0.1, 10.0.0.2")]


def test_a_request_that_nobody_waits_for_is_marked_once() -> None:
    assert marked([(b"x-cdc-shadow", b"0"), (b"A", b"1")]) == [(b"A", b"1"), (b"X-Cdc-Shadow", b"1")]


def test_only_websockets_get_a_tunnel() -> None:
    assert wants_tunnel({"Upgrade": "WebSocket", "Connection": "keep-alive, Upgrade"})
    assert not wants_tunnel({"Upgrade": "h2c", "Connection": "Upgrade"})
    assert not wants_tunnel({"Upgrade": "websocket"})
