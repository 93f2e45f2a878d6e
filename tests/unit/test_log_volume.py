"""Whatever repeats, alternates, or comes and goes, the log grows by a bounded number of lines a minute."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from loguru import logger

from cdc.log import ALL_LINES, PLACE_LINES, WINDOW_SECONDS, Repeats

HOUR = 3600.0
WINDOWS = HOUR / WINDOW_SECONDS


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Log:
    """What passed the bound, and the clock it goes by."""

    def __init__(self, stream: io.StringIO, clock: Clock) -> None:
        self._stream = stream
        self.clock = clock

    def during(self, seconds: float, times: int, say: Callable[[int], None]) -> int:
        """How many lines are written when something is said so many times, evenly spread over so long."""
        before = len(self.lines)
        for time in range(times):
            say(time)
            self.clock.now += seconds / times
        return len(self.lines) - before

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()


@pytest.fixture
def log() -> Iterator[Log]:
    with bounded() as found:
        yield found


@contextmanager
def bounded() -> Iterator[Log]:
    stream, clock = io.StringIO(), Clock()
    logger.remove()
    logger.add(stream, format="{level} {message} {extra}", filter=Repeats(clock), level=0)
    try:
        yield Log(stream, clock)
    finally:
        logger.remove()


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_what_says_the_same_is_written_once_in_a_window_at_every_level(log: Log, level: str) -> None:
    said = log.during(HOUR, 5_000, lambda n: logger.bind(error="away", attempt=n, wait_seconds=n / 7).log(level, "no"))
    assert said == WINDOWS


def test_a_line_tells_how_many_like_it_were_held_back(log: Log) -> None:
    for at, error in ((0, "away"), (1, "away"), (2, "away"), (31, "away"), (32, "refused"), (61, "away")):
        log.clock.now = at
        logger.bind(error=error).warning("waiting")
    assert log.lines == [
        "WARNING waiting {'error': 'away'}",
        "WARNING waiting {'error': 'away', 'repeated': 2}",
        "WARNING waiting {'error': 'refused'}",
        "WARNING waiting {'error': 'away'}",
    ]


def test_hundreds_of_messages_from_one_place_that_take_turns_are_bounded(log: Log) -> None:
    said = log.during(HOUR, 20_000, lambda n: logger.bind(error=f"error {n % 700}").error("failed"))
    assert said <= PLACE_LINES * WINDOWS
    assert sum(int(line.partition("'held_back': ")[2].rstrip("}") or 0) for line in log.lines) >= 15_000


def test_messages_that_never_come_twice_are_bounded(log: Log) -> None:
    assert log.during(HOUR, 20_000, lambda n: logger.error(f"failed in a way of its own: {n}")) <= PLACE_LINES * WINDOWS


def test_hundreds_of_places_that_take_turns_are_bounded(log: Log) -> None:
    places = [eval(compile("\n" * line + "lambda log: log.error('failed')", "x", "eval")) for line in range(800)]
    assert log.during(HOUR, 24_000, lambda n: places[n % 800](logger)) <= ALL_LINES * WINDOWS


def test_a_connection_that_comes_and_goes_is_bounded_and_its_last_state_is_told(log: Log) -> None:
    def flap(n: int) -> None:
        logger.bind(error="connection lost", attempt=1).warning("waiting to retry")
        logger.bind(away_seconds=n / 10).info("replication goes on")

    assert log.during(HOUR, 10_000, flap) <= (1 + PLACE_LINES) * WINDOWS
    log.clock.now += WINDOW_SECONDS
    flap(1)
    assert log.lines[-1].startswith("INFO replication goes on")


def test_a_loud_place_does_not_silence_another(log: Log) -> None:
    for n in range(5_000):
        logger.error(f"loud {n}")
    logger.error("quiet")
    assert log.lines[-1] == "ERROR quiet {}"
