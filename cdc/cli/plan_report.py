"""The plan for people: tables first, then what stays behind, then every risk, the warnings first."""

from collections.abc import Iterable, Iterator
from typing import Final

from rich.text import Text

from cdc.cli.output import bytes_text, counted, facts_of, indented, print_table, say, show
from cdc.facts.profile import ColumnProfile
from cdc.facts.risk import LEVELS, Risk
from cdc.facts.table_map import ValueRules
from cdc.first_copy.plan import Plan, TablePlan

_SHOWN_KEYS: Final = 5
_STYLES = {"warning": "bold yellow", "blocks": "bold red", "quarantine": "yellow", "note": "dim"}
_HEADINGS = {
    "warning": "look at these first: rows arrive, and the application may still not find them",
    "blocks": "these keep the first copy from beginning",
    "quarantine": "these rows will be kept out of Postgres, in quarantine",
    "note": "worth knowing",
}


def print_plan(plan: Plan, *, with_columns: bool) -> None:
    """Print the whole plan; every column only when asked for."""
    print_table(("table", "rows", "in Postgres", "key", "columns"), map(_row, plan.tables), numbers=("rows", "columns"))
    if with_columns:
        for table in plan.tables:
            _print_columns(table)
    _print_pending(plan)
    if plan.views:
        say()
        say(f"views, made if they answer as in SQLite: {', '.join(plan.views)}")
    _print_left_out(plan)
    _print_waiting(plan)
    for level in LEVELS:
        _print_risks(level, [risk for risk in plan.risks if risk.level == level])
    _print_way_back(plan)
    say()
    say(_verdict(plan))


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
    if found.forms.naive + found.forms.zoned + found.forms.date == found.text - found.forms.empty and found.last:
        yield f"up to {found.last}"
    elif found.longest:
        yield f"up to {bytes_text(found.longest)}"


def _print_left_out(plan: Plan) -> None:
    left = [(f"{item.kind} {item.name}", item.reason) for item in plan.left_out]
    left += [(f"{note.table}: {note.object}", note.reason) for note in plan.notes]
    if left:
        say()
        say("left out")
        show(facts_of((f"  {name}", reason) for name, reason in left))


def _print_pending(plan: Plan) -> None:
    """What changed in the configuration since the rows were copied, or what the data asks for."""
    if not plan.pending:
        return
    say()
    compared = len({revision.table for revision in plan.pending if revision.compares})
    say(f"the next start or reload of the daemon applies this, and compares {counted(compared, 'table')}")
    for revision in plan.pending:
        show(indented(str(revision), 2))


def _print_waiting(plan: Plan) -> None:
    if not plan.waiting:
        return
    say()
    show(Text("these tables wait: all others are copied and followed without them", style="yellow"))
    for table in plan.waiting:
        show(indented(f"{table.name}: {table.reason}", 2))
        show(indented(f"remedy: {table.remedy}", 4))


def _print_risks(level: str, risks: Iterable[Risk]) -> None:
    found = list(risks)
    if not found:
        return
    say()
    show(Text(f"{level}: {_HEADINGS[level]}", style=_STYLES[level]))
    for risk in found:
        place = f"{risk.table}.{risk.column}" if risk.column else risk.table
        show(indented(f"{place}: {risk.text}", 2))
        if risk.keys:
            more = f", and {risk.rows - _SHOWN_KEYS:,} more" if risk.rows > _SHOWN_KEYS else ""
            show(indented(f"keys: {', '.join(risk.keys[:_SHOWN_KEYS])}{more}", 4))
        show(indented(f"remedy: {risk.remedy}", 4))


def _print_way_back(plan: Plan) -> None:
    """Tables whose values do not all come back as they were; the others are counted."""
    others = [table for table in plan.tables if table.way_back.level != "exact"]
    if not others:
        return
    say()
    exact = len(plan.tables) - len(others)
    show(Text(f"the way back: {counted(exact, 'table')} can be reversed exactly, the others not entirely", style="dim"))
    for table in others:
        for reason in table.way_back.reasons:
            show(indented(f"{table.source}: {reason}", 2))


def _verdict(plan: Plan) -> str:
    counts = plan.counts
    size = f"{counted(counts['tables'], 'table')}, {counted(counts['rows'], 'row')}"
    if not plan.tables:
        return "no table can be copied as it is"
    warned = f"; {counted(counts['warning'], 'warning')}" if counts["warning"] else ""
    if plan.blocks:
        return f"{size}{warned}; what keeps the first copy from beginning: {counted(counts['blocks'], 'finding')}"
    kept_out = f"; to quarantine: {counted(counts['quarantine'], 'finding')}" if counts["quarantine"] else ""
    waiting = f"; waiting: {counted(counts['waiting'], 'table')}" if plan.waiting else ""
    return f"{size}{warned}{kept_out}{waiting}; next: `cdc up`"
