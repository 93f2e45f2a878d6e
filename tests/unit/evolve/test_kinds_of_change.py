"""What is seen of each kind of schema change, what it asks for before the next batch, and when it is refused.

No database: a look at a file is put together by hand, and the maps and decisions come of the schema as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cdc.config import Config, decode_config
from cdc.errors import SchemaDrift
from cdc.evolve.changed_definition import ChangedDefinition
from cdc.evolve.changed_mapping import ChangedMapping
from cdc.evolve.kinds import KINDS, detect
from cdc.evolve.lost_column import LostColumn
from cdc.evolve.lost_constraint import LostConstraint
from cdc.evolve.lost_table import LostTable
from cdc.evolve.new_column import NewColumn
from cdc.evolve.new_table import NewTable
from cdc.evolve.rekeyed_table import RekeyedTable
from cdc.evolve.schema_change import SchemaFacts
from cdc.facts.leftover import Leftover
from cdc.facts.source_schema import Affinity, Column, Key, KeyKind, SourceSchema, Table, WaitingTable
from cdc.facts.target_schema import TargetColumn, TargetTable, TargetUnique
from cdc.mapping.known import Decisions, KnownTables, remember
from cdc.mapping.map_tables import map_schema
from cdc.sqlite.capture.schema_signature import Signature
from cdc.sqlite.capture.triggers import Capture
from cdc.sqlite.changelog.source_file import Look

VERSION = 7  # SQLite's schema counter when capture was last whole


def config(**tables: Any) -> Config:
    return decode_config(
        {"source": {"path": "a.db"}, "target": {"dsn": "x", "schema": "app"}, **({"tables": tables} if tables else {})}
    )


def table(name: str, *columns: str, key: Key | None = None, null_keys: bool = False) -> Table:
    """A table of an integer key `id` and text columns."""
    texts = (Column(column, "TEXT", Affinity.TEXT) for column in columns)
    whole = (Column("id", "INTEGER", Affinity.INTEGER, primary_key=1), *texts)
    return Table(name, whole, key or Key(KeyKind.INTEGER, ("id",)), null_keys=null_keys)


def without_key(name: str, *columns: str) -> Table:
    """A table whose rows are told apart by their hidden rowid."""
    texts = tuple(Column(column, "TEXT", Affinity.TEXT) for column in columns)
    return Table(name, texts, Key(KeyKind.ROWID, ("_rowid_",)))


def look(*tables: Table, captured: Sequence[Table] | None = None, waiting: Sequence[str] = (), **facts: Any) -> Look:
    """What the file holds: all of its tables are captured, where nothing else is said."""
    fed = tables if captured is None else captured
    held = tuple(WaitingTable(name, "it has no key", "give it one") for name in waiting)
    schema = SourceSchema(tables, waiting=held)
    capture = Capture("file", dict(enumerate(fed)))
    version = facts.pop("version", VERSION)
    told = {"damaged": (), "journal_mode": "wal", "newest": None, "oldest_seq": 0, **facts}
    return Look(schema, capture, signature=Signature(version, b""), **told)


@dataclass(frozen=True)
class Seen:
    """What is told, which tables are read as a whole, and whether capture is made whole."""

    reasons: tuple[str, ...] = ()
    resync: tuple[str, ...] = ()
    mends_capture: bool = False


def decided_of(*tables: Table, of: Config | None = None) -> Decisions:
    """What was decided about these tables when they were replicated first."""
    return remember(map_schema(SourceSchema(tables), of or config()))


def facts_of(
    now: Look,
    decided: Decisions,
    known_version: int | None = VERSION,
    *,
    of: Config | None = None,
    copies: Sequence[TargetTable] = (),
) -> SchemaFacts:
    """What a change is judged by; `copies` are the tables in Postgres whose keys matter."""
    of = of or config()
    current = KnownTables(decided, (), {copy.name: copy for copy in copies}).current(now.schema, of)
    maps = {m.source.name: m for m in current.fed}
    rekeyed = frozenset(m.source.name for m in current.rekeyed)
    return SchemaFacts(of, now, decided, known_version, maps=maps, rekeyed=rekeyed)


def seen(
    now: Look,
    decided: Decisions,
    known_version: int | None = VERSION,
    *,
    of: Config | None = None,
    copies: Sequence[TargetTable] = (),
) -> Seen:
    """What is seen, once nothing is refused."""
    changes = detect(facts_of(now, decided, known_version, of=of, copies=copies))
    for change in changes:
        change.refuse()
    return Seen(
        tuple(reason for change in changes for reason in change.reasons),
        tuple(dict.fromkeys(name for change in changes for name in change.resync)),
        any(change.needs_capture for change in changes),
    )


# --- nothing ----------------------------------------------------------------------------------------------------------


def test_a_file_as_it_was_asks_for_nothing() -> None:
    t, u = table("t", "a"), without_key("u", "a")
    assert seen(look(t, u), decided_of(t, u)) == Seen()
    assert seen(look(t, u), decided_of(t, u), None) == Seen()


def test_a_file_without_capture_is_not_judged() -> None:
    t = table("t")
    with pytest.raises(ValueError, match="a file with capture"):
        seen(replace(look(t), capture=None), decided_of(t))


# --- damaged capture --------------------------------------------------------------------------------------------------


def test_damaged_capture_is_mended_and_its_tables_are_read_as_a_whole() -> None:
    t, u = table("t"), table("u")
    assert seen(look(t, u, damaged=("u",)), decided_of(t, u)) == Seen(("capture on u was not whole",), ("u",), True)


def test_a_table_that_is_known_and_not_captured_counts_as_damaged_once() -> None:
    t, u = table("t"), table("u")
    both = ("capture on t was not whole", "capture on u was not whole")
    assert seen(look(t, u, captured=[], damaged=("t",)), decided_of(t, u)) == Seen(both, ("t", "u"), True)


# --- new tables and columns -------------------------------------------------------------------------------------------


def test_a_new_table_is_captured_and_read() -> None:
    t, u = table("t"), table("u", "a")
    assert seen(look(t, u, captured=[t]), decided_of(t)) == Seen(("table u is new",), ("u",), True)


def test_a_new_column_has_its_table_read_and_captured_anew() -> None:
    before, now = table("t", "a"), table("t", "a", "b")
    assert seen(look(now), decided_of(before)) == Seen(("table t has new columns",), ("t",), True)


# --- lost tables ------------------------------------------------------------------------------------------------------


def test_a_lost_table_has_nothing_read_and_capture_stays() -> None:
    t, u = table("t"), table("u")
    assert seen(look(t), decided_of(t, u)) == Seen(("table u is gone, was renamed, or has another key",))


def test_a_table_that_waits_tells_why() -> None:
    t, u = table("t"), table("u")
    assert seen(look(t, waiting=["u"]), decided_of(t, u)) == Seen(("table u waits: it has no key",))


def test_a_table_that_waits_and_was_never_fed_is_no_change() -> None:
    t = table("t")
    assert seen(look(t, waiting=["u"]), decided_of(t)) == Seen()


def test_a_lost_table_that_others_made_is_refused() -> None:
    t, u, v = table("t"), table("u"), table("v")
    theirs = config(u={"adopt": True}, v={"adopt": True})
    with pytest.raises(SchemaDrift) as refused:
        seen(look(t), decided_of(t, u, v), of=theirs)
    message = "replicated tables are no longer in the SQLite file, or were renamed: u, v"
    assert refused.value.message == message
    remedy = "if that is meant, add them to `exclude` in [replicate] and drop or keep their copies in Postgres"
    assert refused.value.remedy == remedy


# --- tables with another key ------------------------------------------------------------------------------------------


def copy_of(name: str, *key: str) -> TargetTable:
    columns = tuple(TargetColumn(column, "text", "text", not_null=True) for column in key)
    return TargetTable("app", name, columns, (TargetUnique(f"{name}_pkey", key, primary=True),))


def test_a_table_with_another_key_is_fed_no_longer_and_not_read() -> None:
    t, before = table("t"), table("u", "a")
    now = table("u", "a", key=Key(KeyKind.COLUMNS, ("a",)))
    found = seen(look(t, now), decided_of(t, before), copies=[copy_of("t", "id"), copy_of("u", "id")])
    assert found == Seen(("table u is gone, was renamed, or has another key",))


def test_a_table_with_another_key_is_not_read_whatever_else_happens_to_it() -> None:
    t, before, now = table("t"), table("u", "a"), without_key("u", "a")
    file = look(t, now, captured=[t], renumbered=True, version=VERSION + 2)
    found = seen(file, decided_of(t, before), copies=[copy_of("u", "id")])
    assert found.resync == ("t",)
    assert "capture on u was not whole" not in found.reasons


def test_a_table_with_another_key_than_its_leftover_is_not_new() -> None:
    now = table("u", "a", key=Key(KeyKind.COLUMNS, ("a",)))
    facts = replace(facts_of(look(now, captured=[]), decided_of(now), copies=[copy_of("u", "id")]), decided={})
    assert facts.rekeyed == {"u"}
    assert detect(facts) == ()


def test_a_table_with_the_key_of_its_copy_is_as_it_was() -> None:
    t = table("t")
    assert seen(look(t), decided_of(t), copies=[copy_of("t", "id")]) == Seen()


def test_a_copy_that_others_made_is_never_another_key() -> None:
    before, now = table("t", "a"), table("t", "a", key=Key(KeyKind.COLUMNS, ("a",)))
    theirs = config(t={"adopt": True})
    assert seen(look(now), decided_of(before, of=theirs), of=theirs, copies=[copy_of("t", "id")]) == Seen()


# --- lost columns -----------------------------------------------------------------------------------------------------


def test_lost_columns_have_nothing_read_and_capture_stays() -> None:
    before, now = table("t", "a", "b", "c"), table("t", "b")
    assert seen(look(now), decided_of(before)) == Seen(("columns of t are fed no longer: a, c",))


def test_a_renamed_column_is_a_lost_and_a_new_one() -> None:
    before, now = table("t", "a"), table("t", "b")
    told = ("table t has new columns", "columns of t are fed no longer: a")
    assert seen(look(now), decided_of(before)) == Seen(told, ("t",), True)


def test_lost_columns_of_a_table_that_others_made_are_no_leftovers_of_ours() -> None:
    before, now = table("t", "a", "b"), table("t")
    assert seen(look(now), decided_of(before), of=config(t={"adopt": True})) == Seen()


def test_a_table_that_is_fed_again_leaves_the_columns_that_it_had_once() -> None:
    once, now = table("u", "a", "b"), table("u", "b")
    left = Leftover("u", "u", None, datetime.now(UTC), decided_of(once)["u"], ())
    facts = replace(facts_of(look(now, captured=[]), {}), leftovers=(left,))
    change = LostColumn.detect(facts)
    assert change is not None
    assert (change.reasons, list(change.of_returned["u"]), change.lost) == ((), ["a"], {})


# --- rows with other numbers, and changes that nobody saw -------------------------------------------------------------

VACUUMED = "the file may have been vacuumed, which renumbers rowids"
RENUMBERED = "rows were numbered anew, by VACUUM or by a dump that was read in again"


def test_a_vacuum_has_tables_read_whose_rows_are_told_apart_by_rowid() -> None:
    t, u, v = table("t"), without_key("u", "a"), table("v", null_keys=True)
    assert seen(look(t, u, v, version=VERSION + 1), decided_of(t, u, v)) == Seen((VACUUMED,), ("u", "v"))


def test_a_vacuum_is_no_change_where_no_row_goes_by_its_rowid() -> None:
    t = table("t")
    assert seen(look(t, version=VERSION + 1), decided_of(t)) == Seen()


def test_rows_that_were_numbered_anew_are_read_and_capture_is_marked_again() -> None:
    t, u = table("t"), without_key("u", "a")
    assert seen(look(t, u, renumbered=True), decided_of(t, u)) == Seen((RENUMBERED,), ("u",), True)


@pytest.mark.parametrize("version", [VERSION + 2, VERSION - 1])
def test_changes_that_nobody_saw_have_every_table_read(version: int) -> None:
    t, u = table("t"), table("u")
    told = (f"the schema changed {version - VERSION} times unseen",)
    assert seen(look(t, u, version=version), decided_of(t, u)) == Seen(told, ("t", "u"))


def test_a_counter_that_is_not_known_yet_says_nothing() -> None:
    t = without_key("t", "a")
    assert seen(look(t, version=VERSION + 5), decided_of(t), None) == Seen()


# --- what is asked of Postgres alone ----------------------------------------------------------------------------------


def test_lost_constraints_are_looked_for_beside_other_changes_and_never_alone() -> None:
    t, u = table("t"), table("u")
    assert detect(facts_of(look(t), decided_of(t))) == ()
    assert LostConstraint() in detect(facts_of(look(t, u, captured=[t]), decided_of(t)))


# --- several at once --------------------------------------------------------------------------------------------------


def test_all_at_once_is_told_in_one_order_and_each_table_is_read_once() -> None:
    before = [table("broken"), table("grown", "a"), table("held"), table("gone"), without_key("loose", "a")]
    new, grown = table("new"), table("grown", "b")
    now = look(
        table("broken"),
        new,
        grown,
        without_key("loose", "a"),
        captured=before,
        damaged=("broken",),
        waiting=["held"],
        renumbered=True,
        version=VERSION + 3,
    )
    assert seen(now, decided_of(*before)) == Seen(
        (
            "capture on broken was not whole",
            "table new is new",
            "table grown has new columns",
            "table gone is gone, was renamed, or has another key",
            "table held waits: it has no key",
            "columns of grown are fed no longer: a",
            "the schema changed 3 times unseen",
            RENUMBERED,
        ),
        ("broken", "new", "grown", "loose"),
        True,
    )


def test_columns_are_let_go_before_tables_and_constraints_at_last() -> None:
    let_go = [kind for kind in reversed(KINDS) if "let_go" in vars(kind)]
    assert let_go == [ChangedMapping, LostColumn, LostTable, RekeyedTable, LostConstraint, ChangedDefinition]


def test_tables_are_made_before_columns_are_added() -> None:
    assert [kind for kind in KINDS if "extend" in vars(kind)] == [NewTable, NewColumn, ChangedMapping]


def test_constraints_are_made_before_columns_become_not_null() -> None:
    assert [kind for kind in KINDS if "after_rows" in vars(kind)] == [LostConstraint, NewTable, NewColumn]
