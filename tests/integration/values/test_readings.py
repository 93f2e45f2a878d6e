"""Values arrive as what the operator said they mean, judged by functions of Postgres and SQLite themselves."""

import asyncio
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv6Address
from itertools import product
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from harness import application, drain, execute, fetch, make_config, quarantined, recorded, up
from hypothesis import given, settings
from hypothesis import strategies as st
from test_value_roundtrip import moments, values

from cdc.canonical import chosen as readings
from cdc.canonical import rules
from cdc.canonical.text import NEVER, canonical_text
from cdc.config import ColumnOptions, Formats, TableOptions
from cdc.errors import MappingError
from cdc.facts.progress import Silent
from cdc.facts.row_key import encode_key
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, Table
from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.facts.target_schema import TargetTable
from cdc.facts.values import InvalidText, Value
from cdc.mapping.map_tables import map_table
from cdc.postgres.apply import copy
from cdc.postgres.connection.codecs import use_exact_codecs
from cdc.postgres.connection.open import Connection, connect
from cdc.postgres.tables import hashed_rows
from cdc.postgres.tables.catalogue import read_tables
from cdc.values.column_rules import problem_with
from cdc.values.converter import compile_converter
from cdc.verify import verify

FORMATS = [
    "",
    "iso utc",
    "auto utc",
    "epoch s",
    "epoch ms",
    "epoch us",
    "julian day",
    "seconds",
    "milliseconds",
    "microseconds",
    "since 1970",
    "words",
    "number",
    "uuid",
    "address",
    "utf-8",
]
OUTCOMES = ["quarantine", "null", "text", "replace", "cut", "round"]
TYPES = [
    *["int2", "int4", "int8", "float4", "float8", "numeric", "numeric(6,2)", "numeric(3,-2)", "bool", "text"],
    *[
        "varchar(5)",
        "char(5)",
        "bytea",
        "json",
        "jsonb",
        "date",
        "time",
        "time(2)",
        "timestamp",
        "timestamp(2)",
        "timestamptz",
    ],
    *["timestamptz(0)", "uuid", "interval", "interval(2)", "inet", "cidr", "macaddr", "macaddr8"],
    *["int4[]", "text[]", "varchar(5)[]", "numeric(6,2)[]", "numeric[]", "float4[]", "float8[]", "bool[]", "uuid[]"],
    *["timestamptz[]", "timestamp(2)[]", "date[]", "inet[]"],
]

# --- what each format means: the value, the type, and an expression of Postgres that must be the same -----------------

MEANS: list[tuple[str, str, Value, str]] = [
    ("iso utc", "timestamptz", "2024-02-29T01:02:03.5", "timestamptz '2024-02-29 01:02:03.5+00'"),
    ("iso utc", "timestamptz", "2024-02-29 01:02", "timestamptz '2024-02-29 01:02:00+00'"),
    ("iso utc", "timestamptz", "2024-02-29", "timestamptz '2024-02-29 00:00:00+00'"),
    ("iso utc", "timestamptz", "2024-02-29T01:02:03Z", "timestamptz '2024-02-29 01:02:03+00'"),
    ("iso utc", "timestamp", "2024-02-29 01:02:03+02:00", "timestamp '2024-02-28 23:02:03'"),
    ("epoch s", "timestamptz", 1_700_000_000, "to_timestamp(1700000000)"),
    ("epoch s", "timestamptz", 1_700_000_000.25, "to_timestamp(1700000000.25)"),
    ("epoch s", "timestamptz", "1700000000", "to_timestamp(1700000000)"),
    ("epoch s", "timestamp", -1, "timestamp '1969-12-31 23:59:59'"),
    ("epoch ms", "timestamptz", 1_700_000_000_123, "timestamptz '2023-11-14 22:13:20.123+00'"),
    ("epoch us", "timestamptz", 1_700_000_000_123_456, "timestamptz '2023-11-14 22:13:20.123456+00'"),
    ("epoch s", "date", 946_598_400, "date '1999-12-31'"),
    ("epoch ms", "date", 946_598_400_000, "date '1999-12-31'"),
    ("iso utc", "date", "2024-02-29 02:00:00+02:00", "date '2024-02-29'"),
    ("iso utc", "date", "0001-01-01", "date '0001-01-01'"),
    ("auto utc", "timestamptz", "2024-02-29T01:02:03.5+02:00", "timestamptz '2024-02-28 23:02:03.5+00'"),
    ("auto utc", "timestamptz", "2024-02-29 01:02:03", "timestamptz '2024-02-29 01:02:03+00'"),
    ("auto utc", "timestamptz", "2023-06-05 05:14:51.4386280Z", "timestamptz '2023-06-05 05:14:51.438628+00'"),
    ("auto utc", "timestamptz", 1_700_000_000, "to_timestamp(1700000000)"),
    ("auto utc", "timestamptz", 1_700_000_000.25, "to_timestamp(1700000000.25)"),
    ("auto utc", "timestamptz", "1700000000.25", "to_timestamp(1700000000.25)"),
    ("auto utc", "timestamptz", 1_700_000_000_123, "timestamptz '2023-11-14 22:13:20.123+00'"),
    ("auto utc", "timestamptz", "1700000000123", "timestamptz '2023-11-14 22:13:20.123+00'"),
    ("auto utc", "timestamptz", -1_700_000_000_123, "timestamptz '1916-02-18 01:46:39.877+00'"),
    ("auto utc", "timestamp", 0, "timestamp '1970-01-01'"),
    ("auto utc", "date", 946_598_400_000, "date '1999-12-31'"),
    ("auto utc", "date", "1999-12-31", "date '1999-12-31'"),
    ("auto utc", "date", "946598400", "date '1999-12-31'"),
    ("julian day", "timestamptz", 2_460_000.5, "timestamptz '2023-02-25 00:00:00+00'"),
    ("julian day", "timestamp", 2_451_545, "timestamp '2000-01-01 12:00:00'"),
    ("seconds", "interval", 12.5, "interval '12.5 seconds'"),
    ("milliseconds", "interval", "90061500", "interval '1 day 01:01:01.5'"),
    ("microseconds", "interval", 86_400_000_000, "interval '1 day'"),
    ("microseconds", "interval", -1_000_000, "interval '-1 days +23:59:59'"),
    ("since 1970", "interval", "1970-01-01 00:00:12.500000", "interval '12.5 seconds'"),
    ("since 1970", "interval", "1969-12-31 23:59:59", "interval '-1 days +23:59:59'"),
    ("", "interval", "-1 day, 23:59:59", "interval '-1 day, 23:59:59'"),
    ("", "interval", "1 year -2 mons +3 days -04:05:06.7", "interval '1 year -2 mons +3 days -4:05:06.7'"),
    ("", "interval", "P1Y2M-3W4DT4H-5M6.7S", "interval 'P1Y2M-3W4DT4H-5M6.7S'"),
    ("", "interval", "100:00:00", "interval '100:00:00'"),
    ("", "inet", "2001:db8::1", "'2001:db8::1'::inet"),
    ("", "inet", "10.0.0.1/8", "'10.0.0.1/8'::inet"),
    ("", "cidr", "10.0.0.0/8", "'10/8'::cidr"),
    ("", "int4[]", "[1, null, -3]", "ARRAY[1, NULL, -3]"),
    ("", "int4[]", "{1,NULL,-3}", "ARRAY[1, NULL, -3]"),
    ("", "text[]", '["a", "b c", "NULL", "", "\\"\\\\"]', "ARRAY['a', 'b c', 'NULL', '', '\"\\']"),
    ("", "text[]", '{a,b c,"NULL",null,"","\\"\\\\"}', "ARRAY['a', 'b c', 'NULL', NULL, '', '\"\\']"),
    ("", "text[]", "[]", "ARRAY[]::text[]"),
    ("", "text[]", "{}", "ARRAY[]::text[]"),
    ("", "bool[]", "[true, false, 1]", "ARRAY[true, false, true]"),
    ("", "numeric(6,2)[]", "{1.50,2}", "ARRAY[1.5, 2]"),
    ("", "timestamptz[]", '["2024-01-01 00:00:00Z"]', "ARRAY[timestamptz '2024-01-01 00:00:00Z']"),
    ("address", "inet", "0:0:0:0:0:0:0:1", "'::1'::inet"),
    ("address", "inet", "192.0.2.1/32", "'192.0.2.1'::inet"),
    ("address", "inet", "::FFFF:0102:0304", "'::ffff:1.2.3.4'::inet"),
    ("address", "cidr", "2001:DB8::", "'2001:db8::/128'::cidr"),
    ("address", "macaddr", "0800.2B01.0203", "'08:00:2b:01:02:03'::macaddr"),
    ("address", "macaddr8", "08-00-2B-01-02-03-04-05", "'08:00:2b:01:02:03:04:05'::macaddr8"),
    ("words", "bool", "Yes", "true"),
    ("words", "bool", "f", "'f'::bool"),
    ("words", "bool", 0, "false"),
    ("number", "int4", "12", "12"),
    ("number", "int4", 12.0, "12"),
    ("number", "numeric(6,2)", "12.50", "12.50::numeric"),
    ("number", "float8", "0.1", "0.1::float8"),
    ("uuid", "uuid", "{0B5C0E5E-0000-4000-8000-00000000000A}", "'0b5c0e5e-0000-4000-8000-00000000000a'::uuid"),
    ("uuid", "uuid", "0b5c0e5e00004000800000000000000a", "'0b5c0e5e-0000-4000-8000-00000000000a'::uuid"),
    ("uuid", "uuid", bytes(range(16)), "'00010203-0405-0607-0809-0a0b0c0d0e0f'::uuid"),
    ("utf-8", "bytea", "aé", "convert_to('aé', 'UTF8')"),
    ("utf-8", "text", "aé".encode(), "'aé'"),
]

# --- what becomes of a value that does not fit ------------------------------------------------------------------------

BECOMES: list[tuple[str, str, Value, str]] = [
    ("null", "int4", "x", "NULL"),
    ("null", "timestamptz", "soon", "NULL"),
    ("text", "text", 5, "'5'"),
    ("text", "text", b"\x01", "'x''01'''"),
    ("text", "jsonb", "not JSON", "'\"not JSON\"'::jsonb"),
    ("text", "jsonb", b"\x01", "'\"x''01''\"'::jsonb"),
    ("replace", "text", "a\0b", "'a\ufffdb'"),
    ("replace", "text", InvalidText(b"a\xff"), "'a\ufffd'"),
    ("cut", "varchar(5)", "abcdef", "'abcde'"),
    ("cut", "char(5)", "abc  ", "'abc'"),
    ("cut", "date", "2024-02-29 23:59:59.9999999", "date '2024-02-29'"),
    ("round", "int4", 12.5, "13"),
    ("round", "int4", -12.5, "-13"),
    ("round", "numeric(6,2)", 1.005, "1.01::numeric"),
    ("round", "float4", 0.1, "0.1::float4"),
    ("round", "timestamp", "2024-01-01 00:00:59.9999995", "timestamp '2024-01-01 00:01:00'"),
    ("round", "time(2)", "01:02:03.125", "time '01:02:03.13'"),
    ("round", "time", "01:02:03.1234567", "time '01:02:03.123457'"),
    ("round", "timestamp(2)", "2024-01-01 00:00:00.125", "timestamp '2024-01-01 00:00:00.13'"),
]


class Rig:
    """One table in Postgres for each type, and what a reading makes of a value there."""

    def __init__(self, postgres: Connection, targets: dict[str, TargetTable]) -> None:
        self.postgres = postgres
        self._targets = [targets[f"t{n}"] for n in range(len(TYPES))]
        columns = (Column("id", "INTEGER", Affinity.INTEGER, primary_key=1), Column("v", "", Affinity.BLOB))
        self._source = Table("s", columns, Key(KeyKind.INTEGER, ("id",)))

    @classmethod
    async def open(cls, dsn: str) -> "Rig":
        postgres = await connect(dsn, purpose="test")
        for n, type_ in enumerate(TYPES):
            await postgres.execute(f"CREATE TABLE t{n} (id bigint PRIMARY KEY, v {type_})")
        await use_exact_codecs(postgres)
        return cls(postgres, await read_tables(postgres, "public"))

    async def store(
        self, type_: str, reading: ValueRules, given: Sequence[Value]
    ) -> list[tuple[Value, str | None] | None]:
        """Canonical text in Postgres by value, None for those that were rejected."""
        target = self._targets[TYPES.index(type_)]
        columns = (ColumnMap("id", '"id"', "bigint", "id"), ColumnMap("v", '"v"', type_, "v", reading=reading))
        mapped = TableMap(self._source, "public", target.name, columns, ("id",))
        converted = compile_converter(mapped, target).rows([(n, n, value) for n, value in enumerate(given)])
        await self.postgres.execute(f"TRUNCATE {target.name}")
        await copy.copy_rows(self.postgres, mapped, target, _one(converted.rows))
        column = target.column("v")
        assert column is not None
        text = hashed_rows._form(column)
        found = await self.postgres.fetch(f"SELECT id, {text} AS text FROM {target.name} AS t")
        there = {record["id"]: record["text"] for record in found}
        return [(value, there[n]) if n in there else None for n, value in enumerate(given)]

    async def check(self, type_: str, reading: ValueRules, given: Sequence[Value]) -> None:
        """The conversion and the comparison's own opinion agree about every value."""
        column = self._targets[TYPES.index(type_)].column("v")
        assert column is not None
        form = readings.form(column, reading, rules.form_of(column))
        for value, stored in zip(given, await self.store(type_, reading, given), strict=True):
            named = f"{value!r} in {type_} by {reading}"
            expected = None if value is None else canonical_text(form, value)
            if stored is None:
                assert expected == NEVER, f"{named} was rejected, and is {expected!r}"
            else:
                assert stored[1] == expected, named


async def _one(rows: list[tuple[object, ...]]) -> Any:
    yield rows


def test_each_format_means_what_the_databases_take_it_for(database: str) -> None:
    with asyncio.Runner() as runner:
        rig = runner.run(Rig.open(database))
        try:
            for format_, type_, value, expression in MEANS:
                runner.run(_is(rig, type_, ValueRules(format_), value, expression))
            for outcome, type_, value, expression in BECOMES:
                assert runner.run(rig.store(type_, ValueRules(), [value])) == [None], f"{value!r} fits {type_}"
                runner.run(_is(rig, type_, ValueRules("", outcome), value, expression))
            runner.run(_is(rig, "timestamptz", ValueRules("iso utc", empty="null"), "", "NULL"))
            exact, late = ValueRules("auto utc", "round"), "2023-06-05 05:14:51.4386289Z"
            runner.run(_is(rig, "timestamptz", exact, late, "timestamptz '2023-06-05 05:14:51.438629Z'"))
            day = ValueRules("auto utc", "cut")
            runner.run(_is(rig, "date", day, 1_700_000_000_123, "date '2023-11-14'"))
            runner.run(_is(rig, "date", day, "2024-01-01 00:30:00+01:00", "date '2023-12-31'"))
        finally:
            runner.run(rig.postgres.close())


async def _is(rig: Rig, type_: str, reading: ValueRules, value: Value, expression: str) -> None:
    await rig.check(type_, reading, [value])
    same = f"v IS NOT DISTINCT FROM ({expression})::{type_} FROM t{TYPES.index(type_)}"
    assert await rig.postgres.fetchval(f"SELECT {same}"), (type_, reading, value)


# Values that `auto utc` might take for an instant, and must not: each is something else as well.
DOUBTFUL: list[tuple[str, Value]] = [
    ("a Julian day", 2_460_000.5),
    ("a year", "2024"),
    ("a compact date", 20_240_229),
    ("a compact date and time", "20240229010203"),
    ("the end of all time in seconds", 253_402_300_799),
    ("seconds of year 3000, or milliseconds of 1971", 32_503_680_000),
    ("microseconds", 1_700_000_000_123_456),
    ("nanoseconds", 1_700_000_000_123_456_789),
    ("seven digits of a second", "2023-06-05 05:14:51.4386289Z"),
    ("an empty text", ""),
    ("no date", "2024-02-30"),
    ("an exponent", "1e12"),
    ("an infinity", float("inf")),
]


@pytest.mark.parametrize("type_", ["timestamptz", "timestamp", "date"])
def test_what_leaves_doubt_is_no_instant(database: str, type_: str) -> None:
    with asyncio.Runner() as runner:
        rig = runner.run(Rig.open(database))
        try:
            for what, value in DOUBTFUL:
                assert runner.run(rig.store(type_, ValueRules("auto utc"), [value])) == [None], what
                runner.run(rig.check(type_, ValueRules("auto utc"), [value]))
        finally:
            runner.run(rig.postgres.close())


@pytest.mark.parametrize("format_", ["iso utc", "auto utc"])
def test_a_date_is_never_cut_out_of_an_instant(database: str, format_: str) -> None:
    with asyncio.Runner() as runner:
        rig = runner.run(Rig.open(database))
        try:
            given: list[Value] = ["2024-01-01 00:00:01", "2024-01-01 00:00:00+01:00"]
            assert runner.run(rig.store("date", ValueRules(format_), given)) == [None, None]
        finally:
            runner.run(rig.postgres.close())


def test_julian_days_are_read_as_sqlite_reads_them(database: str) -> None:
    db = apsw.Connection(":memory:")
    with asyncio.Runner() as runner:
        rig = runner.run(Rig.open(database))

        @settings(max_examples=40, deadline=None)
        @given(st.lists(st.floats(1721425.5, 5373484.4), min_size=1, max_size=20))
        def check(days: list[float]) -> None:
            runner.run(rig.store("timestamp", ValueRules("julian day"), days))
            found = runner.run(rig.postgres.fetch(f"SELECT v::text FROM t{TYPES.index('timestamp')} ORDER BY id"))
            for day, (text,) in zip(days, found, strict=True):
                read = str(db.execute("SELECT strftime('%Y-%m-%d %H:%M:%f', ?)", (day,)).get)
                assert text.partition(".")[0] == read[:19]
                assert text.partition(".")[2].ljust(3, "0") == read[20:]

        try:
            check()
        finally:
            runner.run(rig.postgres.close())


def iso_span(span: timedelta) -> str:
    return f"P{span.days}DT{span.seconds // 3600}H{span.seconds % 3600}.{span.microseconds:06}S"


def worded(years: int, months: int, days: int, sign: int, milliseconds: int) -> str:
    """A span as Postgres shows it, with parts that are zero."""
    seconds = milliseconds // 1000
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{milliseconds % 1000:03}"
    return f"{years} years {months} mons {days} days {'-' if sign < 0 else '+'}{clock}"


spans = st.timedeltas(timedelta(-400), timedelta(400)) | st.timedeltas()
# With runs of zeros, which are where notations of IPv6 differ.
addresses = st.one_of(
    st.ip_addresses().map(str),
    st.lists(st.sampled_from(["0", "0", "1", "ffff", "a0", "10"]), min_size=8, max_size=8).map(":".join),
    st.lists(st.sampled_from(["0", "0", "0", "0", "ffff", "5"]), min_size=8, max_size=8)
    .map(":".join)
    .map(lambda text: str(IPv6Address(text))),
    st.integers(0, 255).map(lambda n: f"::ffff:1.2.3.{n}") | st.integers(0, 299).map(lambda n: f"01.2.3.{n}"),
)
numerals = st.integers(-(2**70), 2**70).map(str) | st.floats(allow_nan=False).map(repr)
# Elements as JSON and as Postgres write them, and some that neither does.
elements = st.one_of(
    st.sampled_from(["1", "-1.50", "true", "null", "NULL", "t", '"a"', '"x y"', "x y", " x", '"', '""', "{1}", "[1]"]),
    st.sampled_from(['"\\ud83d"', '"\\u0000"', "1_0", "1e400", "NaN", "infinity", "0.1000000000000000000001", "-0.0"]),
    numerals,
    st.text(max_size=6).map(json.dumps),
    st.text(max_size=6).map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.dates().map(str).map(json.dumps) | st.uuids().map(str) | st.datetimes().map(lambda d: f'"{d}+00"'),
    st.datetimes().map(str).map(json.dumps) | st.ip_addresses(v=4).map(str),
)
arrays = st.builds(
    lambda parts, ends: ends[0] + ",".join(parts) + ends[1],
    st.lists(elements, max_size=4),
    st.sampled_from(["[]", "{}", "{}", "[}"]),
)
loose = st.one_of(
    values,
    moments.map(lambda text: f"{text}.1234567"),
    st.datetimes().map(lambda d: f"{d:%Y-%m-%d %H:%M:%S}.{d.microsecond:06}9"),
    st.integers(-(10**11), 10**11),
    st.integers(-(10**11), 10**11).map(str),
    st.integers(-(10**17), 10**17),
    st.floats(-1e6, 6e6),
    st.floats(-1e6, 6e6).map(str),
    st.integers(19_700, 33_000).map(lambda day: day * 86_400)
    | st.integers(-9, 33_000).map(lambda day: day * 86_400_000),
    st.integers(0, 15).flatmap(lambda digits: st.integers(-(10**digits), 10**digits)),
    st.datetimes(datetime(1890, 1, 1), datetime(2110, 1, 1)).map(lambda d: int(f"{d:%Y%m%d%H%M%S}")),
    st.datetimes(datetime(1890, 1, 1), datetime(2110, 1, 1)).map(lambda d: f"{d:%Y%m%d%H%M}"),
    st.floats(1e7, 1e14),
    spans.map(str),
    spans.map(iso_span),
    st.builds(worded, *[st.integers(-40, 40)] * 4, st.integers(0, 3600 * 10**7)),
    st.datetimes(datetime(1969, 12, 30), datetime(1970, 2, 1)).map(str),
    st.sampled_from(
        ["P1Y", "PT", "P1DT", "1 day 1 day", "1:30", "3 days,", "infinity", "2147483648 days", "1 mon ", "PT1.5H"]
    ),
    arrays,
    arrays,
    addresses,
    addresses.map(str.upper) | st.ip_addresses().map(lambda a: a.exploded),
    st.builds(lambda address, bits: f"{address}/{bits}", addresses, st.integers(0, 130)),
    st.builds(lambda data, sign: data.hex(sign), st.binary(min_size=6, max_size=8), st.sampled_from([":", "-"])),
    st.binary(min_size=6, max_size=6).map(lambda d: ".".join(d.hex()[n : n + 4] for n in (0, 4, 8)).upper()),
    st.dates().map(lambda d: f"{d} 00:00:00Z"),
    st.sampled_from(["TRUE", "nO", "oN", "2", "12.0", "1e3", "+5", ".5", "-0", "1e400", "0.125", "9" * 30, "{", ""]),
    st.uuids().map(lambda u: u.bytes),
    st.uuids().map(lambda u: u.hex),
    st.uuids().map(lambda u: f"{{{u}}}"),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=9).map(lambda text: text + "  "),
)


def test_conversion_and_comparison_agree_about_every_value_and_reading(database: str) -> None:
    with asyncio.Runner() as runner:
        rig = runner.run(Rig.open(database))
        columns = [target.column("v") for target in rig._targets]
        ways = [
            (TYPES[n], ValueRules(format_, outcome, empty))
            for n, format_, outcome, empty in product(range(len(TYPES)), FORMATS, OUTCOMES, ["keep", "null"])
            if (column := columns[n]) and not problem_with(column, ValueRules(format_, outcome, empty))
        ]
        assert len(ways) > 150

        @settings(max_examples=400, deadline=None, print_blob=True)
        @given(st.sampled_from(ways), st.lists(loose, min_size=1, max_size=15))
        def check(way: tuple[str, ValueRules], given: list[Value]) -> None:
            runner.run(rig.check(*way, given))

        try:
            check()
        finally:
            runner.run(rig.postgres.close())


# --- through the whole of it ------------------------------------------------------------------------------------------

TABLE = """
CREATE TABLE event(id INTEGER PRIMARY KEY, at INTEGER, seen TEXT, day REAL, flag TEXT, uid TEXT, n TEXT, note TEXT);
INSERT INTO event VALUES (1, 1700000000123, '2024-02-29 01:02:03', 2460000.5, 'yes',
    '0B5C0E5E00004000800000000000000A', '12', 'plain');
INSERT INTO event VALUES (2, NULL, '', NULL, 'no', NULL, 'twelve', char(0));
"""
OPTIONS = TableOptions(
    columns={
        "at": ColumnOptions(format="epoch ms"),
        "seen": ColumnOptions(format="iso utc", empty="null"),
        "day": ColumnOptions(format="julian day", type="timestamp"),
        "flag": ColumnOptions(format="words"),
        "uid": ColumnOptions(format="uuid"),
        "n": ColumnOptions(format="number", type="integer", on_invalid="null"),
        "note": ColumnOptions(on_invalid="replace"),
    }
)


async def test_a_file_arrives_as_it_was_said_to_be_read_and_is_compared_by_that(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(TABLE).fetchall()
    config = make_config(tmp_path, tmp_path / "app.db", database, tables={"event": OPTIONS})
    await up(config)
    app.execute("INSERT INTO event(id, at, seen, flag) VALUES (3, -1, '2024-01-01T00:00:00+01:00', 'N')")
    app.execute("UPDATE event SET n = 'thirteen', note = 'a' || char(0) WHERE id = 1")
    await drain(config)
    app.close()
    utc = "(at AT TIME ZONE 'UTC')::text, (seen AT TIME ZONE 'UTC')::text"
    found = await fetch(database, f"SELECT id, {utc}, day::text, flag, uid::text, n, note FROM event ORDER BY id")
    assert [tuple(record) for record in found] == [
        (
            *(1, "2023-11-14 22:13:20.123", "2024-02-29 01:02:03", "2023-02-25 00:00:00", True),
            *("0b5c0e5e-0000-4000-8000-00000000000a", None, "a\ufffd"),
        ),
        (2, None, None, None, False, None, None, "\ufffd"),
        (3, "1969-12-31 23:59:59.999", "2023-12-31 23:00:00", None, False, None, None, None),
    ]
    load, batch = [entry.details for entry in await recorded(database, "load", "batch")][-2:]
    assert load["altered"] == {"event": {"seen": 1, "n": 1, "note": 1}}
    assert batch["tables"] == {"event": {"deleted": 0, "upserted": 2, "altered": 2}}
    assert (await verify(config, None, False, Silent())).result == "equal"
    await execute(database, "UPDATE event SET at = at + interval '1 microsecond' WHERE id = 3")
    report = await verify(config, None, False, Silent())
    assert report.result != "equal"


async def test_a_format_for_all_columns_of_a_type_gives_way_to_a_column_of_its_own(
    tmp_path: Path, database: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TIMESTAMPTZ, b TIMESTAMPTZ, c TIMESTAMPTZ)").fetchall()
    plain = ColumnOptions(type="timestamptz")
    options = TableOptions(columns={"a": plain, "b": plain, "c": ColumnOptions(format="epoch s")})
    config = make_config(tmp_path, tmp_path / "app.db", database, tables={"t": options})
    config = msgspec.structs.replace(config, formats=Formats(timestamptz="iso utc"))
    await up(config)
    app.execute("INSERT INTO t VALUES (1, '2024-01-01 00:00', '2024-01-01T01:00:00+01:00', 1704067200)")
    app.close()
    await drain(config)
    assert await fetch(database, "SELECT 1 FROM t WHERE a = b AND b = c AND a = '2024-01-01 00:00:00+00'")
    assert (await verify(config, None, False, Silent())).result == "equal"


async def test_what_a_type_rounds_is_said_once_and_a_column_may_say_otherwise(
    tmp_path: Path, any_database: str
) -> None:
    app = application(tmp_path / "app.db")
    app.execute(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, f FLOAT, g FLOAT, s DATETIME, n DECIMAL(6, 2));"
        "INSERT INTO a VALUES(1, 0.1, 0.5, '2024-01-01 00:00:00.523', 1.005), (2, 0.25, 0.1, NULL, NULL)"
    ).fetchall()
    await execute(
        any_database, "CREATE TABLE a(id int PRIMARY KEY, f real, g real, s timestamp(0), n numeric(6, 2), plain real)"
    )
    plain = TableOptions(columns={"g": ColumnOptions(on_invalid="quarantine"), "plain": ColumnOptions(expression="f")})
    config = make_config(tmp_path, tmp_path / "app.db", any_database, tables={"a": plain})
    config = msgspec.structs.replace(
        config,
        target=msgspec.structs.replace(config.target, adopt=True),
        formats=Formats(real="round", timestamp="round", numeric="round"),
    )
    await up(config)
    assert [key for _, key, _ in await quarantined(any_database)] == [encode_key((2,))]
    stored = "f = 0.1::real AND plain = f AND s = timestamp '2024-01-01 00:00:01' AND n = 1.01 AND id = 1"
    assert await fetch(any_database, f"SELECT 1 FROM a WHERE {stored}")
    app.execute("UPDATE a SET f = 0.7, s = '2024-01-01 00:00:59.5' WHERE id = 1")
    await drain(config)
    assert await fetch(any_database, "SELECT 1 FROM a WHERE f = 0.7::real AND s = timestamp '2024-01-01 00:01:00'")
    assert (await verify(config, None, False, Silent())).result == "equal"
    app.close()


@pytest.mark.parametrize(
    ("chosen", "wrong"),
    [
        (ColumnOptions(format="epoch s", type="text"), 'type text is no type that `format = "epoch s"` is read into'),
        (ColumnOptions(empty="default", type="text"), "type text has no default that is the same for every row"),
        (ColumnOptions(on_invalid="cut", type="text"), 'type text is no type for `on_invalid = "cut"`'),
        (ColumnOptions(format="words", type="bigint"), 'type bigint is no type that `format = "words"` is read into'),
    ],
)
def test_a_reading_that_a_type_cannot_have_is_refused(tmp_path: Path, chosen: ColumnOptions, wrong: str) -> None:
    config = make_config(tmp_path, tmp_path / "app.db", "embedded", tables={"t": TableOptions(columns={"v": chosen})})
    columns = (Column("id", "INTEGER", Affinity.INTEGER, primary_key=1), Column("v", "TEXT", Affinity.TEXT))
    with pytest.raises(MappingError, match=re.escape(wrong)):
        map_table(Table("t", columns, Key(KeyKind.INTEGER, ("id",))), config)
