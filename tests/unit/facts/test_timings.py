"""Quantiles from counts: near those of the samples, and sums of counts are those of all samples."""

from hypothesis import given
from hypothesis import strategies as st

from cdc.facts.timings import Timings

SAMPLES = st.lists(st.floats(1e-6, 100), min_size=1, max_size=300)


def timings(samples: list[float]) -> Timings:
    counted = Timings()
    for seconds in samples:
        counted.add(seconds)
    return counted


@given(SAMPLES, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_that_of_the_samples_to_one_percent(samples: list[float], share: float) -> None:
    ranked = sorted(samples)
    wanted = ranked[max(1, -(-int(share * 100) * len(samples) // 100)) - 1]
    assert abs(timings(samples).quantile(share) / wanted - 1) < 0.0101


@given(SAMPLES, SAMPLES)
def test_counts_add_up_and_come_back_from_json(one: list[float], other: list[float]) -> None:
    merged = timings(one)
    merged.merge(timings(other))
    assert merged == timings(one + other) == Timings.from_json(merged.to_json())
    assert merged.samples == len(one) + len(other)


def test_the_interval_holds_the_quantile_and_narrows_with_samples() -> None:
    few, many = timings([n / 1000 for n in range(1, 21)]), timings([n / 100_000 for n in range(1, 2001)])
    for counted in (few, many):
        low, high = counted.interval(0.5)
        assert low <= counted.quantile(0.5) <= high
    assert few.interval(0.95)[1] == few.quantile(1.0)  # with few samples nobody knows more than the longest
    assert many.interval(0.5)[1] / many.interval(0.5)[0] < few.interval(0.5)[1] / few.interval(0.5)[0]
