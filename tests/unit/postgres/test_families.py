"""What the foreign keys of the targets mean for moving their rows: what Postgres would do by itself, and who waits."""

from dataclasses import replace

from small_tables import mapped, number, table, target_of

from cdc.facts.source_schema import Column
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetColumn, TargetForeignKey, TargetTable, TargetUnique
from cdc.postgres.apply.fk_graph import Families
from cdc.postgres.apply.stage_sql import AppliedTable
from cdc.values.converter import compile_converter


def key(
    parent: str, *columns: str, to: str = "id", delete: str = "NO ACTION", update: str = "NO ACTION", waits: bool = True
) -> TargetForeignKey:
    return TargetForeignKey(f"to_{parent}", columns or ("p",), "app", parent, (to,), delete, update, waits)


def applied(name: str, *keys: TargetForeignKey, columns: tuple[Column, ...] = (number("p"),)) -> AppliedTable:
    found = mapped(table(name, *columns))
    return over(found, replace(target_of(found), foreign_keys=keys))


def over(found: TableMap, target: TargetTable) -> AppliedTable:
    return AppliedTable(0, "source", found, target, compile_converter(found, target))


def names(tables: list[AppliedTable]) -> list[str]:
    return [t.source_name for t in tables]


# --- what Postgres would do by itself ---------------------------------------------------------------------------------


def test_deletes_are_carried_on_by_cascade_and_set_null_and_by_nothing_else() -> None:
    for action, acts in (("CASCADE", True), ("SET NULL", True), ("SET DEFAULT", True), ("NO ACTION", False)):
        families = Families([applied("child", key("parent", delete=action)), applied("parent")])
        assert families.acting == ({"parent"} if acts else set()), action
        assert families.referenced == {"parent"}
    assert not Families([applied("child", key("parent", delete="RESTRICT")), applied("parent")]).acting


def test_a_parent_that_is_known_by_its_key_drags_no_child_because_its_key_never_changes() -> None:
    families = Families([applied("child", key("parent", delete="CASCADE", update="CASCADE")), applied("parent")])
    assert families.dragging == set()


def test_a_parent_that_is_referred_to_by_another_column_drags_its_children_where_postgres_acts() -> None:
    def by_code(delete: str, update: str) -> Families:
        return Families([applied("child", key("parent", to="p", delete=delete, update=update)), applied("parent")])

    assert by_code("NO ACTION", "NO ACTION").dragging == set()
    assert by_code("NO ACTION", "CASCADE").dragging == {"parent"}
    assert by_code("CASCADE", "NO ACTION").cascading == {"parent"}
    assert by_code("SET NULL", "NO ACTION").cascading == set()


# --- who is concerned -------------------------------------------------------------------------------------------------


def test_a_family_is_those_one_step_up_and_down_and_a_household_only_those_below() -> None:
    families = Families([applied("c", key("b")), applied("b", key("a")), applied("a"), applied("alone")])
    assert families.neighbours("b") == {"a", "b", "c"}
    assert families.household("b") == {"b", "c"}
    assert families.neighbours("alone") == {"alone"}


def test_a_foreign_key_over_a_column_that_is_not_replicated_is_none_of_ours() -> None:
    families = Families([applied("child", key("parent", "elsewhere")), applied("parent")])
    assert families.references == []
    families = Families([applied("child", key("parent", to="elsewhere")), applied("parent")])
    assert families.references == []


def test_a_parent_that_is_not_replicated_still_keeps_orphans_out() -> None:
    (reference,) = Families([applied("child", key("others"))]).references
    assert reference.parent is None
    assert reference.child.source_name == "child"


# --- in which order ---------------------------------------------------------------------------------------------------


def test_parents_stand_before_their_children_whatever_the_names() -> None:
    families = Families([applied("a", key("b")), applied("b", key("c")), applied("c")])
    assert list(families.tables) == ["c", "b", "a"]
    assert names(families.in_order({"a", "c"})) == ["c", "a"]
    assert [r.child.source_name for r in families.references] == ["b", "a"]


def test_tables_move_at_once_only_where_a_circle_cannot_wait() -> None:
    for waits, expected in ((True, 2), (False, 1)):
        families = Families([applied("a", key("b", waits=waits)), applied("b", key("a")), applied("c", key("a"))])
        rings = [set(names(ring)) for ring in families.rings(families.tables)]
        assert len(rings[:-1]) == expected, waits
        assert rings[-1] == {"c"}


def test_a_table_that_refers_to_itself_is_a_ring_of_one() -> None:
    families = Families([applied("tree", key("tree", waits=False)), applied("leaf", key("tree"))])
    assert [names(ring) for ring in families.rings(families.tables)] == [["tree"], ["leaf"]]


# --- whose rows may be gone for a moment ------------------------------------------------------------------------------


def test_rows_may_be_deleted_and_inserted_again_only_where_nobody_refers_to_them() -> None:
    families = Families([applied("child", key("parent")), applied("parent")])
    families.referred = {("app", "parent")}  # of all the database, so also by tables that are not replicated
    assert families.may_vacate(families.tables["child"])
    assert not families.may_vacate(families.tables["parent"])


def test_rows_with_a_column_that_only_postgres_has_would_come_back_without_its_value() -> None:
    found = mapped(table("t"))
    target = target_of(found)
    fed_by_others = replace(target, columns=(*target.columns, TargetColumn("seen", "boolean", "bool")))
    computed = replace(target, columns=(*target.columns, TargetColumn("g", "text", "text", generated=True)))
    families = Families([])
    assert not families.may_vacate(over(found, fed_by_others))
    assert families.may_vacate(over(found, computed))


def test_what_only_a_partial_or_deferred_rule_makes_unique_cannot_find_rows() -> None:
    target = target_of(mapped(table("t")))
    for lame in (TargetUnique("k", ("id",), deferrable=True), TargetUnique("k", ("id",), partial=True)):
        assert not replace(target, uniques=(lame,)).is_keyed_by(("id",))
    assert target.is_keyed_by(("id",))
