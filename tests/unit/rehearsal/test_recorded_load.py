"""What a rehearsal writes is what the changelog tells of the busiest time, on rows that allow it."""

from small_tables import mapped, number, table, target_of, text

from cdc.facts.row_rewrite import LoggedWrite
from cdc.facts.source_schema import ForeignKey, Index, IndexTerm
from cdc.rehearsal.load import (
    FEWEST_RECORDED,
    MADE_PER_SECOND,
    WINDOW_SECONDS,
    LoadRow,
    load_of,
    recorded_load,
    rewrites_of,
)


def write(at: float, key: int, op: str = "U", name: str = "t") -> LoggedWrite:
    return LoggedWrite(name, op, (key,), at)


def test_the_busiest_window_is_repeated() -> None:
    alone, busy = [write(0.0, 1)], [write(100.0 + n, n) for n in range(5)]
    late = [write(100.0 + WINDOW_SECONDS + 5.0, 9)]
    load = recorded_load([*alone, *busy, *late])
    assert [transaction.after for transaction in load.transactions] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert load.keys == {"t": ((0,), (1,), (2,), (3,), (4,))}
    assert (load.recorded, load.rows_per_second) == (7, 5 / WINDOW_SECONDS)
    assert "busiest" in load.words


def test_entries_of_one_moment_are_one_transaction_that_writes_each_row_once() -> None:
    load = recorded_load([write(1.0, 7), write(1.0, 8, "D"), write(1.001, 7, "I"), write(2.0, 7)])
    first, second = load.transactions
    assert first.rows == (LoadRow("t", 0, replaces=True), LoadRow("t", 1, replaces=True))
    assert second.rows == (LoadRow("t", 0, replaces=False),)


def test_where_too_little_was_recorded_a_load_is_made_up_and_says_so() -> None:
    recorded = [write(float(n), n) for n in range(FEWEST_RECORDED)]
    assert load_of(recorded, ["a", "b"]) == recorded_load(recorded)
    load = load_of(recorded[1:], ["a", "b"])
    assert {row.table for transaction in load.transactions for row in transaction.rows} == {"a", "b"}
    assert load.rows_per_second == MADE_PER_SECOND
    assert "made up" in load.words
    assert load_of([], []).transactions == ()


def test_only_a_text_that_nothing_is_bound_to_becomes_another_one() -> None:
    unique = Index("u", True, "u", (IndexTerm("name"),))
    parent = mapped(table("parent", text("name"), text("note"), indexes=(unique,)))
    key = ForeignKey(("p",), "Parent", ("id",))
    child = mapped(table("child", number("p"), number("n"), foreign_keys=(key,)))
    checked = mapped(table("checked", text("note"), checks=("note > 'a'",)))
    maps = (parent, child, checked)
    found = rewrites_of(maps, {m.target: target_of(m) for m in maps})
    assert found["parent"].text == ("note", "note")
    assert (found["child"].text, found["checked"].text) == (None, None)
    # What others hang on stays where it is.
    assert [found[name].replaceable for name in ("parent", "child", "checked")] == [False, True, True]
