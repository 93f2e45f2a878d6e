"""All that `cdc plan` found beyond what there is to decide: tables, columns, remarks, the way back."""

from collections.abc import Iterator

from rich.text import Text

from cdc.cli.output import bytes_text, indented, print_table, say, show
from cdc.facts.counted import counted
from cdc.facts.profile import ColumnProfile
from cdc.facts.risk import Risk
from cdc.facts.table_map import ValueRules
from cdc.first_copy.causes import alike, alike_remedy
from cdc.first_copy.plan import Plan, TablePlan


def print_tables(plan: Plan, *, with_columns: bool) -> None:
    """Every table and what it becomes; every column only when asked for."""
    print_table(("table", "rows", "in Postgres", "key", "columns"), map(_row, plan.tables), numbers=("rows", "columns"))
    if with_columns:
        for table in plan.tables:
            _print_columns(table)


def print_details(plan: Plan) -> None:
    """All that there is nothing to decide about."""
    if plan.views:
        say()
        say(f"views, made if they answer as in SQLite: {', '.join(plan.views)}")
    _print_left_out(plan)
    _print_notes(plan)
    _print_way_back(plan)


def _row(table: TablePlan) -> tuple[object, ...]:
    return (table.source, table.rows, f"{table.schema}.{table.target}", ", ".join(table.key), len(table.columns))


def _print_columns(table: TablePlan) -> None:
    say()
    rows = [
        (
            column.source,
            column.declared_type or "none",
            ", ".join([f"{column.target} {column.type}", *(["key"] if column.key else []), *_chosen(column.reading)]),
            _holds(column.holds) if column.holds else "",
        )
        for column in table.columns
    ]
    print_table((table.source, "declared", "in Postgres", "holds"), rows)
    for kind, name in table.creates:
        say(f"  {kind} {name}")


def _chosen(reading: ValueRules) -> Iterator[str]:
    """What the operator chose about a column's values, as it stands in the configuration."""
    if reading.format:
        yield f'format "{reading.format}"'
    if reading.on_invalid != "quarantine":
        yield f'on_invalid "{reading.on_invalid}"'
    if reading.empty != "keep":
        yield f'empty "{reading.empty}"'


def _holds(found: ColumnProfile) -> str:
    """What a column really holds: `59 texts, 22 NULL; all JSON; 36 to 812 bytes`."""
    storage = ((found.integer, "integer"), (found.real, "real"), (found.text, "text"), (found.blob, "blob"))
    counts = [counted(n, what) for n, what in storage if n] + ([f"{found.null:,} NULL"] if found.null else [])
    parts = [", ".join(counts) or "no rows", *_sorts(found), *_extent(found)]
    return "; ".join(parts)


def _sorts(found: ColumnProfile) -> Iterator[str]:
    forms = found.forms
    sorts = (
        (found.json, found.text, "JSON"),
        (forms.naive, found.text, "time stamps without an offset"),
        (forms.zoned, found.text, "time stamps with an offset"),
        (forms.date, found.text, "dates"),
        (forms.uuid, found.text, "UUIDs"),
        (forms.empty, found.text, "empty"),
        (forms.nul, found.text, "with a NUL character"),
        (forms.invalid, found.text, "not in UTF-8"),
    )
    for n, of, what in sorts:
        if n:
            yield f"all {what}" if n == of else f"{n:,} {what}"
    if found.integer and not found.not_boolean:
        yield "all 0 or 1"


def _extent(found: ColumnProfile) -> Iterator[str]:
    if found.least is not None and found.not_boolean + found.real:
        yield f"{found.least} to {found.greatest}"
    forms = found.forms
    if forms.naive + forms.zoned + forms.date + forms.time == found.text - forms.empty and found.last:
        yield f"up to {found.last}"
    elif found.longest:
        yield f"up to {bytes_text(found.longest)}"


def _print_left_out(plan: Plan) -> None:
    """What Postgres will not have, by the reason."""
    reasons: dict[str, list[str]] = {}
    for item in plan.left_out:
        reasons.setdefault(item.reason, []).append(f"{item.kind} {item.name}")
    for note in plan.notes:
        reasons.setdefault(note.reason, []).append(f"{note.table}: {note.object}")
    if reasons:
        say()
        show(Text("left out, or made otherwise", style="bold"))
    for reason, objects in reasons.items():
        show(indented(reason, 2))
        show(indented(", ".join(objects), 4))


def _print_notes(plan: Plan) -> None:
    notes: dict[tuple[str, str], list[Risk]] = {}
    for risk in plan.risks:
        if risk.level == "note":
            notes.setdefault((alike(risk), alike_remedy(risk)), []).append(risk)
    if notes:
        say()
        show(Text("worth knowing", style="bold"))
    for (text, _), group in notes.items():
        one = len(group) == 1
        place = f"{group[0].table}.{group[0].column}" if group[0].column else group[0].table
        show(indented(f"{place}: {group[0].text}" if one else f"{counted(len(group), 'time')}: {text}", 2))
        if not one:
            show(indented(", ".join(f"{r.table}.{r.column}" if r.column else r.table for r in group), 4))
        show(indented(f"remedy: {group[0].remedy}", 4))


def _print_way_back(plan: Plan) -> None:
    """Tables whose values do not all come back as they were; the others are counted."""
    others = [table for table in plan.tables if table.way_back.level != "exact"]
    if not others:
        return
    say()
    exact = len(plan.tables) - len(others)
    show(
        Text(f"the way back: {counted(exact, 'table')} can be reversed exactly, the others not entirely", style="bold")
    )
    reasons: dict[str, list[str]] = {}
    for table in others:
        for reason in table.way_back.reasons:
            reasons.setdefault(reason, []).append(table.source)
    for reason, tables in reasons.items():
        show(indented(f"{', '.join(tables)}: {reason}", 2))
