"""The SQL that capture puts into the application's file, made from the templates in `triggers/`."""

from collections.abc import Mapping, Sequence
from functools import cache
from string import Template
from typing import Final

from cdc.facts.source_schema import Column, GuardedKey, KeyKind, Table
from cdc.resources import folder
from cdc.sql_names import quote, quote_literal
from cdc.sqlite.capture import replaced_rows

MARKERS: Final = {"mi": "INSERT", "mu": "UPDATE"}
UNBURYING: Final = {"ta": "INSERT", "tu": "UPDATE"}


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


def tombstones_sql(width: int) -> tuple[str, str]:
    """CREATE TABLE, and CREATE INDEX, for keys of up to `width` columns that may not come back."""
    return template("tombstones").substitute(keys=_keys(width)), template("tombstone_index").substitute()


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
    triggers |= _tombstone_triggers(tid, table, parts)
    return {f"_cdc_{tid}_{suffix}": sql for suffix, sql in triggers.items() if sql}


def _tombstone_triggers(tid: int, table: Table, parts: Mapping[str, str]) -> dict[str, str]:
    """What remembers deleted keys in the file and refuses them, where the operator wants that."""
    named = {**parts, "name": quote_literal(table.name)}
    triggers: dict[str, str] = {}
    if table.guards:
        guarded = " OR ".join(f"({_guarded(table, guard)})" for guard in table.guards)
        triggers["ti"] = _create("guard", f"_cdc_{tid}_ti", named, guarded=guarded)
    if table.buries:
        same = _same_key(table.key.columns)
        # Without the rowid that tells rows with a NULL in their key apart: NULL is nobody's key to come back under.
        old = ", ".join(f"OLD.{quote(column)}" for column in table.key.columns)
        buried = {**named, "keys": _keys(len(table.key.columns)), "old": old}
        triggers["td"] = _create("bury", f"_cdc_{tid}_td", buried)
        for suffix, event in UNBURYING.items():
            triggers[suffix] = _create("unbury", f"_cdc_{tid}_{suffix}", named, event=event, same=same)
    return triggers


def _guarded(table: Table, guard: GuardedKey) -> str:
    """Whether a new row has a key that was deleted. One of its own that lives is being replaced, or left as it is."""
    name, same = quote_literal(guard.table), _same_key(guard.columns)
    buried = f"EXISTS (SELECT 1 FROM _cdc_tombstone WHERE name = {name} AND {same})"
    if guard.table != table.name or guard.columns != table.key.columns:
        return buried
    lives = " AND ".join(f"{quote(column)} = NEW.{quote(column)}" for column in guard.columns)
    return f"{buried} AND NOT EXISTS (SELECT 1 FROM {quote(table.name)} WHERE {lives})"


def _same_key(columns: Sequence[str]) -> str:
    return " AND ".join(f"k{place} = NEW.{quote(column)}" for place, column in enumerate(columns, 1))


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
