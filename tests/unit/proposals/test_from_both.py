"""What both databases prove of adopted tables, asked for without either."""

from collections.abc import Sequence
from typing import Any

from small_tables import mapped, number, table, target_of, text

from cdc.facts.profile import ColumnProfile, TableProfile, TextForms
from cdc.facts.source_schema import ForeignKey, SourceSchema, Table
from cdc.facts.target_schema import TargetColumn, TargetTable, TargetUnique
from cdc.proposals import from_file
from cdc.proposals.from_both import There, dropped_values, exclusions, existing_rows, may_stay, skips, unfed


def there(*tables: TargetTable, **rows: int) -> There:
    return There({t.name: t for t in tables}, rows)


def target(name: str, *columns: TargetColumn) -> TargetTable:
    key = TargetColumn("id", "bigint", "int8", not_null=True)
    return TargetTable("app", name, (key, *columns), (TargetUnique("key", ("id",), primary=True),))


def column(name: str, **facts: object) -> TargetColumn:
    return TargetColumn(name, "text", "text", **facts)  # type: ignore[arg-type]


def counted(tables: Sequence[Table], rows: int = 3) -> dict[str, TableProfile]:
    return {t.name: TableProfile(rows, tuple(ColumnProfile(c.name, text=rows) for c in t.columns)) for t in tables}


def said(source: Table, found: TargetTable) -> dict[tuple[str, ...], tuple[str, ...]]:
    return {block.section: block.lines for block in skips([source], there(found))}


def test_a_table_of_one_side_and_a_list_of_migrations_stay_behind() -> None:
    tables = (table("a"), table("only_here"), table("alembic_version"))
    found = exclusions(SourceSchema(tables), counted(tables), there(target("A"), target("alembic_version")))
    assert [(e.table, e.rows, e.choice) for e in found] == [("only_here", 3, False), ("alembic_version", 3, False)]


def listing(name: str, *entries: str, **options: Any) -> tuple[Table, TableProfile]:
    """A table with a column of texts, of which the first and the last are given."""
    texts = ColumnProfile("v", text=3, first=entries[0], last=entries[-1], forms=TextForms(other=3))
    return table(name, text("v"), **options), TableProfile(3, (ColumnProfile("id", integer=3), texts))


def stay(*listed: tuple[Table, TableProfile], **rows: int) -> dict[str, bool]:
    """The tables that stay behind, or as a choice may; each exists in Postgres too, with so many rows."""
    tables = tuple(t for t, _ in listed)
    profiles = {t.name: profile for t, profile in listed}
    both = there(*(target_of(mapped(t)) for t in tables), **rows)
    found = [*exclusions(SourceSchema(tables), profiles, both), *may_stay(tables, profiles, both)]
    return {excluded.table: excluded.choice for excluded in found}


def test_what_is_called_a_list_of_migrations_and_reads_like_one_on_both_sides_stays_behind() -> None:
    assert stay(listing("app_migrations", "001_a", "002_b"), app_migrations=3) == {"app_migrations": False}
    assert stay(listing("app_migrations", "001_a", "002_b"), app_migrations=0) == {}
    assert stay(listing("bird_migrations", "north", "south"), bird_migrations=2) == {}


def test_what_reads_like_a_list_of_migrations_and_differs_is_a_choice() -> None:
    steps = listing("steps", "001_a.sql", "002_b.sql")
    assert stay(steps, steps=2) == {"steps": True}
    assert stay(steps, steps=3) == {}
    assert stay(steps, steps=0) == {}
    bound = listing("steps", "001_a.sql", "002_b.sql", foreign_keys=(ForeignKey(("v",), "t", ("id",)),))
    assert stay(bound, steps=2) == {}


def test_a_table_that_others_refer_to_does_not_stay_behind_by_its_name() -> None:
    child = listing("c", "x", foreign_keys=(ForeignKey(("id",), "Migrations", ("id",)),))
    assert stay(listing("migrations", "001_a", "002_b"), child, migrations=2) == {}
    tables = (table("c", foreign_keys=child[0].foreign_keys), table("migrations"), table("caches"))
    assert [e.table for e in from_file.may_stay(tables, counted(tables))] == ["caches"]


def test_a_name_that_differs_by_letter_case_alone_is_found_unless_two_do() -> None:
    both = there(target("a"), target("A"), target("b"))
    assert [both.table(name) and both.table(name).name for name in ("A", "B", "c")] == ["A", "b", None]  # type: ignore[union-attr]
    assert there(target("Ab"), target("aB")).table("ab") is None


def test_columns_of_one_side_and_computed_ones_are_skipped_and_counted() -> None:
    source = table("t", text("kept"), text("gone"), text("made"))
    found = target("t", column("kept"), column("made", generated=True))
    assert said(source, found) == {("tables", "t"): ('skip = ["gone", "made"]',)}
    assert dropped_values([source], counted([source]), there(found)) == 6


def test_a_key_is_never_skipped() -> None:
    found = TargetTable("app", "t", (column("v"),))
    assert said(table("t", text("v")), found) == {}


def test_what_nothing_feeds_is_told_and_has_a_line_to_begin_with() -> None:
    labels = TargetColumn("kind", "kind", "kind", not_null=True, labels=("it's",))
    count = TargetColumn("n", "integer", "int4", not_null=True)
    found = target("t", column("html"), column("filled", has_default=True), count, labels, column("g", generated=True))
    told = list(unfed([mapped(table("t"))], there(found)))
    assert [(words.partition(" ")[0], block.lines, block.choice) for words, block in told] == [
        ("t.html", ('expression = "NULL"',), True),
        ("t.n", ('expression = "0"',), True),
        ("t.kind", ("expression = \"'it''s'\"",), True),
    ]


def test_rows_that_are_there_already_are_a_choice() -> None:
    source = mapped(table("t", number("n")))
    (block,) = existing_rows([source], there(target_of(source), t=7))
    assert block.choice
    assert "t (7)" in block.why
    assert list(existing_rows([source], there(target_of(source)))) == []
