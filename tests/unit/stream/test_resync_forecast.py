"""How much a comparison may replace in Postgres before somebody has to say yes."""

import pytest

from cdc.stream.resync import Change, ResyncForecast

NOTHING = Change("t", held=5)


@pytest.mark.parametrize(
    ("held", "changed", "deleted", "much"),
    [
        (100, 0, 100, False),
        (101, 0, 101, True),
        (150, 51, 50, True),
        (10_000, 50, 50, False),
        (10_001, 101, 0, True),
        (20_000, 100, 100, False),
        (20_000, 100, 101, True),
        (1_000_000, 0, 10_000, False),
        (1_000_000, 0, 10_001, True),
    ],
)
def test_it_is_more_than_a_hundred_rows_and_more_than_one_in_a_hundred(
    held: int, changed: int, deleted: int, much: bool
) -> None:
    change = Change("t", held, added=held, changed=changed, deleted=deleted)
    assert change.much is much
    assert ResyncForecast((NOTHING, change), ended=False, installed=False).asks is much


@pytest.mark.parametrize("one", [Change("t", 5, added=1), Change("t", 5, changed=1), Change("t", 5, deleted=1)])
def test_after_an_end_on_purpose_a_single_row_is_asked_for(one: Change) -> None:
    assert ResyncForecast((NOTHING, one), ended=True, installed=True).asks
    assert not ResyncForecast((NOTHING, one), ended=False, installed=True).asks
    assert not ResyncForecast((NOTHING,), ended=True, installed=True).asks
