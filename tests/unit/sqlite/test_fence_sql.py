"""The texts of the fence: dormant at 0, names quoted, and nothing in them that an application could take away."""

import re

import pytest

from cdc.sqlite.capture import fence_state
from cdc.sqlite.capture.schema_objects import CAPTURE_TRIGGER, FENCE_TRIGGER
from cdc.sqlite.fence.fence_triggers import trigger_sql


def test_a_table_has_one_for_each_way_to_write() -> None:
    made = trigger_sql(7, "users")
    assert list(made) == ["_cdc_fence_7_i", "_cdc_fence_7_u", "_cdc_fence_7_d"]
    for (name, sql), event in zip(made.items(), ("INSERT", "UPDATE", "DELETE"), strict=True):
        assert sql.startswith(f'CREATE TRIGGER "{name}" BEFORE {event} ON "users" WHEN ')
        assert FENCE_TRIGGER.fullmatch(name)
        assert not CAPTURE_TRIGGER.fullmatch(name)


def test_it_names_no_column_of_the_table_and_calls_no_function() -> None:
    for sql in trigger_sql(1, "users").values():
        code = re.sub(r"'[^']*'", "", sql)
        assert not re.search(r"\b(NEW|OLD)\b", code)
        assert re.findall(r"\b(\w+) *\(", code) == ["WHEN", "RAISE"]


@pytest.mark.parametrize("name", ['we"ird', "a\nb", "$table", "it's 🦊", ""])
def test_names_are_quoted(name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    assert f" BEFORE DELETE ON {quoted} WHEN " in trigger_sql(1, name)["_cdc_fence_1_d"]


def test_a_fence_that_stands_alone_asks_nothing() -> None:
    for name, sql in trigger_sql(7, 'a "b"', "standing_fence").items():
        assert FENCE_TRIGGER.fullmatch(name)
        assert not fence_state.asks(sql)
        assert " WHEN " not in sql
    assert all(fence_state.asks(sql) for sql in trigger_sql(7, "a").values())
