"""Pruning leaves the application at least as much time as it takes."""

import pytest

from cdc.sqlite.changelog.prune import LEAST_REST_SECONDS, rest_after


@pytest.mark.parametrize("step_seconds", [0.0, 0.004, 0.05, 0.5, 3.0])
def test_a_file_is_left_alone_for_as_long_as_it_was_locked(step_seconds: float) -> None:
    assert rest_after(step_seconds) >= max(step_seconds, LEAST_REST_SECONDS)
