"""The regression gate names ratios that fell, and nothing else."""

import pytest
from msgspec.structs import replace

from benchmarks.figures import Figure, compared_speeds, compared_times, decode, encode
from benchmarks.gate import fallen


def figure(ratio: float | None, *, name: str = "load.text", steady: bool = True) -> Figure:
    return Figure(id=name, what="bulk load", value=100, unit="rows/s", ratio=ratio, steady=steady)


@pytest.mark.parametrize("now", [0.8001, 0.95, 1.0, 1.3, 25.0])
def test_noise_below_a_fifth_and_improvements_are_no_matter(now: float) -> None:
    assert fallen([figure(1.0)], [figure(now)], ["load"]) == []


def test_a_ratio_that_fell_by_more_than_a_fifth_is_named() -> None:
    then = [figure(1.2), figure(0.5, name="load.binary")]
    lines = fallen(then, [figure(0.9), figure(0.49, name="load.binary")], ["load"])
    assert lines == ["load.text: ratio 0.90, recorded 1.20, 25% less (bulk load)"]


def test_a_figure_that_is_gone_is_named() -> None:
    assert fallen([figure(1.2)], [], ["load"]) == ["load.text: recorded with a ratio of 1.20, but not measured now"]


def test_a_figure_that_lost_its_ratio_is_named_with_the_reason() -> None:
    lines = fallen([figure(1.2)], [replace(figure(None), note="not installed")], ["load"])
    assert lines == ["load.text: recorded with a ratio of 1.20, but without one now (not installed)"]


def test_figures_without_a_ratio_and_ratios_that_are_not_steady_are_ignored() -> None:
    then = [figure(None), figure(1.0, name="load.noisy", steady=False)]
    assert fallen(then, [replace(figure(None), value=1), figure(0.1, name="load.noisy")], ["load"]) == []


def test_a_new_figure_has_nothing_to_be_compared_with() -> None:
    assert fallen([], [figure(0.1)], ["load"]) == []


def test_only_benchmarks_that_ran_are_looked_for() -> None:
    then = [figure(1.0, name="loads.text"), figure(1.0, name="apply.mix")]
    assert fallen(then, [], ["load"]) == []


def test_a_ratio_is_the_share_of_the_yardsticks_speed_whether_speed_or_time_was_measured() -> None:
    facts = {"id": "x.y", "what": "something", "unit": "s"}
    assert compared_speeds([10, 20, 30], [20, 40, 30], **facts).ratio == 0.5
    assert compared_times([10, 20, 30], [20, 10, 15], **facts).ratio == 0.5


def test_figures_come_back_from_json_as_they_were() -> None:
    assert decode(encode([figure(1.5), figure(None)])) == [figure(1.5), figure(None)]
