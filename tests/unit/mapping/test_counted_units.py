"""In which unit numbers since 1970 count: where they lie in our time by one unit alone, it is that one."""

import pytest

from cdc.mapping.counted_units import COUNTED, lie_in_our_time


@pytest.mark.parametrize(
    ("least", "greatest", "expected"),
    [
        (1_600_000_000, 1_800_000_000, ["epoch s"]),
        (1.6e12, 1.8e12, ["epoch ms"]),
        (1.6e15, 1.8e15, ["epoch us"]),
        (2.45e6, 2.46e6, ["julian day"]),
        (-626_054_400_000, -58_060_800_000, ["epoch ms"]),  # birthdays of 1950 and 1968
        (-626_054_400_000, 86_400_000, ["epoch ms"]),
        (-626_054_400, 1_700_000_000, ["epoch s"]),
        (-626_054_400_000_000, 5, ["epoch us"]),
    ],
)
def test_numbers_of_our_time_count_in_one_unit(least: float, greatest: float, expected: list[str]) -> None:
    assert [name for name in COUNTED if lie_in_our_time(name, least, greatest)] == expected


@pytest.mark.parametrize(
    ("least", "greatest"),
    [
        (0, 1_700_000_000),  # what is between them may count in another unit
        (1_700_000_000, 1_700_000_000_123),
        (-58_060_800, 1_700_000_000_123),
        (-5, 5),
        (-(10**17), 0),
        (10**17, 10**18),
    ],
)
def test_others_count_in_none(least: float, greatest: float) -> None:
    assert [name for name in COUNTED if lie_in_our_time(name, least, greatest)] == []
