"""What becomes of each value is written down; here one line of that table after the other."""

import datetime
from decimal import Decimal
from typing import Any

import pytest

from cdc.errors import TargetMismatch
from cdc.facts.changes import Reason, Rejection
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, Table
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.facts.values import InvalidText, Value
from cdc.values.converter import Converted, TableConverter, compile_converter

BROKEN = InvalidText(b"\xff")
INFINITY = float("inf")


def mapped(*columns: ColumnMap) -> TableMap:
    source = Table("t", (Column("id", "INTEGER", Affinity.INTEGER),), Key(KeyKind.INTEGER, ("id",)))
    return TableMap(source, "public", "t", (ColumnMap("id", '"id"', "bigint", "id"), *columns), ("id",))


def converter(base: str, *, literal: bool = False, **options: Any) -> TableConverter:
    target = TargetTable(
        "public", "t", (TargetColumn("id", "bigint", "int8", not_null=True), TargetColumn("v", base, base, **options))
    )
    return compile_converter(mapped(ColumnMap("v", '"v"', base, "v", literal)), target)


def convert(base: str, values: list[Value], **options: Any) -> Converted:
    return converter(base, **options).rows([(n, n, value) for n, value in enumerate(values)])


STORED: list[tuple[str, dict[str, Any], list[Value], list[object]]] = [
    ("int2", {}, [-32768, 32767, None], [-32768, 32767, None]),
    ("int8", {}, [2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)]),
    ("float8", {}, [1.5, INFINITY, 2, 2**60, None], [1.5, INFINITY, 2.0, 2.0**60, None]),
    ("float4", {}, [1.5, 16_777_216, -INFINITY], [1.5, 16_777_216, -INFINITY]),
    ("numeric", {}, [1, 0.1, 1e22, None], [Decimal(1), Decimal("0.1"), Decimal("1E+22"), None]),
    ("numeric", {"precision": 4, "scale": 2}, [12.34, 99, 0.0], [Decimal("12.34"), Decimal(99), Decimal("0.0")]),
    ("bool", {}, [0, 1, None], [False, True, None]),
    ("text", {}, ["", "ü", None], ["", "ü", None]),
    ("varchar", {"length": 2}, ["üü", None], ["üü", None]),
    ("bytea", {}, [b"", b"\x00\xff"], [b"", b"\x00\xff"]),
    ("json", {}, ['{"a":1,"a":2}', "[1e999999]", 5, 1.5], ['{"a":1,"a":2}', "[1e999999]", "5", "1.5"]),
    ("jsonb", {}, [' {"a": [1]} ', '"\\ud83d\\ude00"', 1e22], [' {"a": [1]} ', '"\\ud83d\\ude00"', "1e+22"]),
    ("date", {}, ["2000-01-02", "9999-12-31", None], [1, 2_921_939, None]),
    ("timestamp", {}, ["2000-01-01 00:00:01", "2000-01-01T00:01"], [1_000_000, 60_000_000]),
    ("timestamp", {}, ["9999-12-31 23:59:59.999999", None], [252_455_615_999_999_999, None]),
    ("timestamptz", {}, ["2000-01-01 01:00:00+01:00", "2000-01-01T00:00:00.5Z"], [0, 500_000]),
    ("timestamptz", {}, ["2000-01-01 00:00:00 -00:30"], [1_800_000_000]),
    ("time", {}, ["10:20", "23:59:59.5"], [datetime.time(10, 20), datetime.time(23, 59, 59, 500_000)]),
    ("uuid", {}, ["0b5c0e5e-0000-4000-8000-00000000000a"], ["0b5c0e5e-0000-4000-8000-00000000000a"]),
    ("mood", {"labels": ("sad", "ok")}, ["ok", None], ["ok", None]),
    ("text", {"literal": True}, [None, 5, 1.5, INFINITY, -INFINITY], [None, "5", "1.5", "9.0e+999", "-9.0e+999"]),
    ("text", {"literal": True}, ["a'b", b"\xff", 5.0], ["'a''b'", "x'ff'", "5.0"]),
    ("text", {"literal": True}, ["a\0", BROKEN], ["CAST(x'6100' AS TEXT)", "CAST(x'ff' AS TEXT)"]),
]

REJECTED: list[tuple[str, dict[str, Any], list[Value]]] = [
    ("int2", {}, [32768, 1.0, "1", b"1", BROKEN]),
    ("int8", {}, [5.0, "5"]),
    ("float8", {}, [2**53 + 1, "1.5", b""]),
    ("float4", {}, [0.1, 16_777_217, 1e300]),
    ("numeric", {}, ["1", -0.0, b""]),
    ("numeric", {"precision": 4, "scale": 2}, [100, 12.345, INFINITY]),
    ("bool", {}, [2, -1, 1.0, "true"]),
    ("text", {}, [1, 1.5, "a\0b", b"a", BROKEN]),
    ("varchar", {"length": 2}, ["üüü"]),
    ("bpchar", {"length": 5}, ["a ", "aaaaaa"]),
    ("bytea", {}, ["a", 1]),
    ("json", {}, ["NaN", "{", "", "[" * 501 + "]" * 501, INFINITY, b"{}"]),
    ("jsonb", {}, ['{"a":1,"a":1}', '[{"a":{"b":1,"b":2}}]', '"\\u0000"', '"\\ud83d"', "1e131072", "1e-16384", ""]),
    ("date", {}, ["", "2024-02-30", "20240101", "2024-W01-1", "2024-01-01 00:00:00", "0000-01-01", 5]),
    ("timestamp", {}, ["2024-01-01", "2024-01-01 24:00", "2024-01-01 00:00:00Z", "2024-01-01 00:00:00.1234567"]),
    ("timestamp", {"precision": 3}, ["2024-01-01 00:00:00.1234"]),
    ("timestamptz", {}, ["2024-01-01 00:00:00", "2024-01-01 00:00:00+25:00", 1_700_000_000]),
    ("timestamptz", {}, ["2024-01-01 00:00:00+05:60", "2024-01-01 00:00:00-0099"]),
    ("time", {}, ["24:00", "10:20+01", "10"]),
    ("uuid", {}, ["0B5C0E5E-0000-4000-8000-00000000000A", "{0b5c0e5e-0000-4000-8000-00000000000a}"]),
    ("mood", {"labels": ("sad", "ok")}, ["glad", 1]),
    ("text", {"not_null": True}, [None]),
]


@pytest.mark.parametrize(("base", "options", "given", "stored"), STORED)
def test_a_value_of_the_table_is_stored(
    base: str, options: dict[str, Any], given: list[Value], stored: list[object]
) -> None:
    converted = convert(base, given, **options)
    assert [row[1] for row in converted.rows] == stored
    assert [type(row[1]) for row in converted.rows if base == "bool" and row[1] is not None] == [
        bool for value in stored if base == "bool" and value is not None
    ]
    assert converted.keys == [(n,) for n in range(len(given))]
    assert not converted.rejected


@pytest.mark.parametrize(("base", "options", "given"), REJECTED)
def test_each_of_these_values_is_rejected(base: str, options: dict[str, Any], given: list[Value]) -> None:
    alone = [convert(base, [value], **options).rejected for value in given]
    assert all(len(rejected) == 1 for rejected in alone)
    together = convert(base, given, **options)
    assert [key for key, _ in together.rejected] == [(n,) for n in range(len(given))]
    assert not together.rows


def test_one_bad_value_takes_only_its_own_row_out() -> None:
    converted = convert("int4", [1, "x", None, 2**40, 5])
    assert converted.rows == [(0, 1), (2, None), (4, 5)]
    assert converted.keys == [(0,), (2,), (4,)]
    assert [key for key, _ in converted.rejected] == [(1,), (3,)]


def test_a_row_with_several_bad_values_is_rejected_once_for_the_first() -> None:
    target = TargetTable(
        "public",
        "t",
        (TargetColumn("id", "bigint", "int8"), TargetColumn("a", "integer", "int4"), TargetColumn("b", "text", "text")),
    )
    table = mapped(ColumnMap("a", '"a"', "integer", "a"), ColumnMap("b", '"b"', "text", "b"))
    converted = compile_converter(table, target).rows([(1, 1, "x", 2), (2, 2, 3, "y")])
    assert [(key, why.column) for key, why in converted.rejected] == [((1,), "a")]
    assert converted.rows == [(2, 3, "y")]


def test_a_rejection_names_class_column_type_and_remedy_but_never_the_value() -> None:
    ((_, why),) = convert("int4", ["secret"]).rejected
    assert why == Rejection("v", Reason.VALUE, "the value for column v (int4) is a text", why.remedy, by_type=True)
    assert "whole numbers" in why.remedy
    assert "a type or a format" in why.remedy
    assert "secret" not in why.remedy


def test_a_key_is_converted_for_deletes_or_rejected() -> None:
    made = converter("text")
    assert made.key((5,)) == (5,)
    assert isinstance(made.key(("five",)), Rejection)


def test_no_rows_give_nothing() -> None:
    converted = convert("text", [])
    assert (converted.rows, converted.keys, converted.rejected) == ([], [], [])


def test_everything_that_does_not_fit_is_named_at_once() -> None:
    target = TargetTable(
        "public",
        "t",
        (
            TargetColumn("made", "text", "text", generated=True),
            TargetColumn("odd", "hstore", "hstore"),
            TargetColumn("needed", "text", "text", not_null=True),
            TargetColumn("given", "text", "text", not_null=True, has_default=True),
            TargetColumn("small", "integer", "int4"),
        ),
    )
    columns = [ColumnMap(name, f'"{name}"', "text", name) for name in ("gone", "made", "odd")]
    table = mapped(*columns, ColumnMap("small", '"small"', "text", "small", literal=True))
    with pytest.raises(TargetMismatch) as caught:
        compile_converter(table, target)
    message = str(caught.value)
    for name in ("column id does not", "gone does not", "made is generated", "odd has type", "needed is NOT NULL"):
        assert name in message
    assert "small has type integer, which must be text to hold literals" in message
    assert "given" not in message
    assert caught.value.remedy
