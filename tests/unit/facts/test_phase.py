"""Which phase may follow which: a source never comes into one that its state in Postgres does not bear."""

from itertools import pairwise

import pytest

from cdc.facts.phase import Phase, may_follow, may_precede
from cdc.facts.side import Side

REMEMBERED = [Phase.SNAPSHOT, Phase.SCHEMA, Phase.LOAD, Phase.REPLICATE, Phase.CUTOVER, Phase.FINALIZED]


def test_the_way_of_a_move_is_open() -> None:
    assert all(may_follow(phase, before) for before, phase in pairwise(REMEMBERED))


def test_only_a_finished_load_is_followed_or_a_cutover_that_is_taken_back() -> None:
    assert may_precede(Phase.REPLICATE) == {Phase.LOAD, Phase.REPLICATE, Phase.CUTOVER}


def test_the_way_back_follows_a_cutover_or_its_end_which_nothing_follows() -> None:
    after = {phase for phase in Phase if may_follow(phase, Phase.CUTOVER)}
    assert after == {Phase.CUTOVER, Phase.REPLICATE, Phase.FINALIZED}
    assert {phase for phase in Phase if may_follow(phase, Phase.FINALIZED)} == {Phase.FINALIZED}
    assert Phase.FINALIZED.active is Side.POSTGRES


@pytest.mark.parametrize("before", [Phase.NEW, Phase.ENDED, Phase.UNKNOWN])
def test_nothing_follows_what_postgres_does_not_remember(before: Phase) -> None:
    assert not any(may_follow(phase, before) for phase in Phase)


def test_a_step_may_be_given_again() -> None:
    assert all(may_follow(phase, phase) for phase in REMEMBERED if phase is not Phase.SNAPSHOT)


def test_what_a_newer_version_wrote_is_unknown() -> None:
    assert Phase("of a newer version") is Phase.UNKNOWN
