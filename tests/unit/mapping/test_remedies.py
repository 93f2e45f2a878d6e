"""What is offered for values that a column does not take: what holds all of them, and is likely to be meant."""

import pytest
from small_tables import config, table

from cdc.facts.proposal import Proposal
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind
from cdc.facts.values import Value
from cdc.mapping.map_tables import map_table
from cdc.mapping.remedies import choices
from cdc.mapping.type_names import column_of_type

AT = Column("at", "DATETIME", Affinity.NUMERIC)


def offered(type_: str, *values: Value) -> list[str]:
    mapped = map_table(table("t", AT), config({"t": {"adopt": True}}))
    target = column_of_type("at", type_, not_null=False)
    assert target is not None
    chunks = [[value] for value in values]
    return [choice.lines[0] for choice in choices(chunks, mapped, mapped.columns[-1], target, ())]


@pytest.mark.parametrize(
    ("type_", "values", "expected"),
    [
        ("timestamptz", (1_700_000_000, None, 1_700_000_001.5), ['format = "epoch s"', 'format = "auto utc"']),
        ("timestamptz", (1_700_000_000_123,), ['format = "epoch ms"', 'format = "auto utc"']),
        ("timestamptz", (2_460_000.5,), ['format = "julian day"']),
        ("date", (-626_054_400_000, -58_060_800_000), ['format = "epoch ms"']),
        ("timestamptz", (1_700_000_000, 1_700_000_000_123), ['format = "auto utc"']),
        ("timestamptz", ("2024-01-02 03:04", 1_700_000_000), ['format = "auto utc"']),
        ("timestamptz", (5, 7), []),
    ],
)
def test_numbers_are_read_in_the_unit_that_brings_them_into_our_time_before_what_takes_several(
    type_: str, values: tuple[Value, ...], expected: list[str]
) -> None:
    assert [line for line in offered(type_, *values) if line.startswith("format")] == expected


def test_a_column_that_identifies_rows_is_offered_what_is_proposed_and_no_loss_or_format() -> None:
    key = Column("at", "INTEGER", Affinity.INTEGER, primary_key=1)
    mapped = map_table(table("t", key, key=Key(KeyKind.COLUMNS, ("at",))), config())
    target = column_of_type("at", "bigint", not_null=True)
    assert target is not None
    as_text = Proposal("t", "at", (("type", "text"),), "", frees=2)
    (found,) = choices([["ab"], ["12"]], mapped, mapped.columns[-1], target, [as_text])
    assert (found.lines, found.exact) == (('type = "text"',), True)
