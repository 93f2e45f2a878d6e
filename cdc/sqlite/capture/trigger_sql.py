"""The SQL that capture puts into the application's file, made from the templates in `triggers/`."""

from collections.abc import Mapping
from functools import cache
from string import Template
from typing import Final

from cdc.facts.source_schema import Column, KeyKind, Table
from cdc.resources import folder
from cdc.sql_names import quote
from cdc.sqlite.capture import replaced_rows

MARKERS: Final = {"mi": "INSERT", "mu": "UPDATE"}


# What logs a new row before and after it goes in. None stands for a declared key that can be NULL.
_INSERT_TEMPLATES: Final[Mapping[KeyKind | None, tuple[str, str]]] = {
    KeyKind.INTEGER: ("before_insert", "after_insert"),
    KeyKind.ROWID: ("before_insert", "after_insert"),
    KeyKind.COLUMNS: ("before_insert_key", ""),
    None: ("before_insert_nullable", "after_insert_null"),
}


def logged_columns(table: Table) -> int:
    """How many columns of the changelog a key takes."""
    return len(replaced_rows.key_columns(table))


def changelog_sql(width: int) -> str:
    """CREATE TABLE for a changelog whose keys have up to `width` columns."""
    return template("changelog").substitute(keys=_keys(width))


def state_sql() -> str:
    """CREATE TABLE for the one row that tells which file this is."""
    return template("state").substitute()


def tables_sql() -> str:
    """CREATE TABLE for the meaning of table ids."""
    return template("tables").substitute()


def mark_sql() -> str:
    """CREATE TABLE for the one row that tells whether rowids are still those that were captured."""
    return template("mark").substitute()


def trigger_sql(tid: int, table: Table) -> Mapping[str, str]:
    """The triggers of one table by name, word for word as SQLite stores them, in the order of their creation."""
    parts = _parts(tid, table)
    blocked = _lookups(parts, replaced_rows.conflicts(table, "INSERT"))
    others = replaced_rows.other_than_old(table)
    blocked_by_others = _lookups(parts, tuple(f"{c} AND {others}" for c in replaced_rows.conflicts(table, "UPDATE")))
    before, after = _INSERT_TEMPLATES[table.key.kind if table.null_rowid is None else None]
    triggers = {
        "bi": _create(before, f"_cdc_{tid}_bi", parts, lookups=blocked),
        "ai": _create(after, f"_cdc_{tid}_ai", parts) if after else "",
        "bu": _create("before_update", f"_cdc_{tid}_bu", parts, lookups=blocked_by_others),
        "bd": _create("before_delete", f"_cdc_{tid}_bd", parts),
    }
    for suffix, event in MARKERS.items():
        unknown = replaced_rows.unknown_before(table, event)
        name = f"_cdc_{tid}_{suffix}"
        triggers[suffix] = _create("marker", name, parts, event=event, unknown=unknown) if unknown else ""
    return {f"_cdc_{tid}_{suffix}": sql for suffix, sql in triggers.items() if sql}


def _parts(tid: int, table: Table) -> dict[str, str]:
    return {
        "tid": str(tid),
        "table": quote(table.name),
        "source": replaced_rows.source(table),
        "keys": _keys(logged_columns(table)),
        "null": replaced_rows.is_null(table),
        "found": ", ".join(replaced_rows.key_columns(table)),
        "new": ", ".join(replaced_rows.key_columns(table, "NEW.")),
        "old": ", ".join(replaced_rows.key_columns(table, "OLD.")),
        "moved": _naming(replaced_rows.moved(table), replaced_rows.named_before_update(table)),
    }


def _naming(condition: str, columns: tuple[Column, ...]) -> str:
    """A condition that names these columns of NEW as well, and stays what it is."""
    named = [f"NEW.{quote(c.name)} IS NEW.{quote(c.name)}" for c in columns]
    return " AND ".join([f"({condition})", *named]) if named else condition


def _lookups(parts: Mapping[str, str], conditions: tuple[str, ...]) -> str:
    lookup = template("lookup")
    return "\n".join(lookup.substitute(parts, conflict=condition) for condition in conditions)


def _create(made_from: str, trigger: str, parts: Mapping[str, str], **more: str) -> str:
    # What is empty leaves no line behind. Looked for in the template: a name of the application may hold empty lines.
    lines = (line for line in template(made_from).template.splitlines() if more.get(line.removeprefix("$"), line))
    return Template("\n".join(lines)).substitute(parts, trigger=quote(trigger), **more)


def _keys(width: int) -> str:
    return ", ".join(f"k{place}" for place in range(1, width + 1))


@cache
def template(name: str) -> Template:
    """A template of the folder `triggers`, without the comment that gives its reason."""
    text = (folder("triggers") / f"{name}.sql").read_text(encoding="utf-8")
    return Template("\n".join(line for line in text.splitlines() if line.strip() and not line.startswith("--")))
