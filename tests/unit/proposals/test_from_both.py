"""What both databases prove of adopted tables, asked for without either."""

from collections.abc import Sequence

from small_tables import mapped, number, table, target_of, text

from cdc.facts.profile import ColumnProfile, TableProfile
from cdc.facts.source_schema import SourceSchema, Table
from cdc.facts.target_schema import TargetColumn, TargetTable, TargetUnique
from cdc.proposals.from_both import There, dropped_values, exclusions, existing_rows, skips, unfed


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
