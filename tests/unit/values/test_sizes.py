"""Rows and index entries at the limits of Postgres: the largest that fits, and the next one."""

from collections.abc import Iterator
from dataclasses import replace

from small_tables import mapped, number, table, target_of, text

from cdc.facts.changes import Reason, Rejection
from cdc.facts.source_schema import Index, IndexTerm, Key, KeyKind
from cdc.facts.table_map import TableMap
from cdc.values.sizes import Sizes

HEADER = 24  # of a row without NULL
LONGEST_KEY = 2692  # bytes of one value


def sizes(found: TableMap) -> Sizes:
    return Sizes(found, target_of(found))


def of_integers(columns: int) -> TableMap:
    return mapped(table("t", *(number(f"c{n}") for n in range(columns - 1))))


def of_texts(columns: int) -> TableMap:
    return mapped(table("t", *(text(f"c{n}") for n in range(columns - 1))))


def places(found: Iterator[tuple[int, Rejection]]) -> list[int]:
    return [place for place, why in found if why.reason is Reason.LIMIT and why.remedy]


def test_a_row_of_fixed_sizes_fits_up_to_the_last_byte_of_a_page() -> None:
    most = (8160 - HEADER) // 8
    assert places(sizes(of_integers(most)).too_wide([(1,) * most])) == []
    assert places(sizes(of_integers(most + 1)).too_wide([(1,) * (most + 1)])) == [0]


def test_a_null_takes_no_room_but_the_bitmap_of_nulls_does() -> None:
    most = (8160 - HEADER) // 8
    row = (1,) * most
    assert places(sizes(of_integers(most + 1)).too_wide([(*row, None)])) == [0]
    half = row[: most // 2]
    assert places(sizes(of_integers(most + 1)).too_wide([(*half, *(None,) * (most + 1 - len(half)))])) == []


def test_a_long_value_is_moved_out_and_a_short_one_is_not() -> None:
    wide = sizes(of_texts(400))
    assert places(wide.too_wide([(1, *("x" * 100_000,) * 399)])) == []  # 18 bytes stay of each
    assert places(wide.too_wide([(1, *("x" * 22,) * 399)])) == [0]  # 23 bytes, which stay


def test_only_the_rows_that_no_page_holds_are_named() -> None:
    wide = sizes(of_texts(400))
    assert places(wide.too_wide([(n, *("x" * (22 * (n % 2)),) * 399) for n in range(4)])) == [1, 3]


def keyed() -> TableMap:
    by_code = Key(KeyKind.COLUMNS, ("code",))
    return mapped(table("t", text("code"), key=by_code))


def test_a_key_that_an_index_has_no_room_for_is_told_by_its_bytes() -> None:
    rows = [(1, "x" * LONGEST_KEY), (2, "x" * (LONGEST_KEY + 1)), (3, "é" * (LONGEST_KEY // 2)), (4, "é" * LONGEST_KEY)]
    ((at, why), second) = sizes(keyed()).long_entries(rows)
    assert (at, why.column, second[0]) == (1, "code", 3)
    assert why.detail.startswith("the key takes more than the 2,704 bytes")


def test_an_integer_key_is_never_too_long() -> None:
    assert list(sizes(of_texts(2)).long_entries([(1, "x" * 100_000)])) == []


def index(name: str, *columns: str | None, unique: bool) -> Index:
    return Index(name, unique, "c", tuple(IndexTerm(c, None if c else "lower(code)") for c in columns))


def test_a_unique_index_keeps_a_row_out_and_an_ordinary_one_gives_way() -> None:
    unique = mapped(table("t", text("code"), indexes=(index("u", "code", unique=True),)))
    plain = mapped(table("t", text("code"), indexes=(index("i", "code", unique=False),)))
    row = (1, "x" * 3_000)
    assert [why.detail.partition(" takes")[0] for _, why in sizes(unique).long_entries([row])] == ["unique index u"]
    assert list(sizes(unique).tight_indexes([row])) == []
    assert list(sizes(plain).long_entries([row])) == []
    assert list(sizes(plain).tight_indexes([row, row, (2, "")])) == [("i", 2)]


def test_the_values_of_an_entry_count_together() -> None:
    both = mapped(table("t", text("a"), text("b"), indexes=(index("i", "a", "b", unique=True),)))
    assert places(sizes(both).long_entries([(1, "x" * 1_344, "y" * 1_344), (2, "x" * 1_345, "y" * 1_344)])) == [1]


def test_nothing_is_said_of_what_only_postgres_can_know() -> None:
    """An index over an expression, and the indexes of a table that others made."""
    computed = mapped(table("t", text("code"), indexes=(index("i", None, unique=True),)))
    adopted = replace(mapped(table("t", text("code"), indexes=(index("u", "code", unique=True),))), adopted=True)
    for found in (computed, adopted):
        assert list(sizes(found).long_entries([(1, "x" * 100_000)])) == []
