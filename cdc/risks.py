"""What in a table's data or shape may not fit its target, told before anything is created."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from cdc.mapping import ColumnProfile, TableProfile, is_temporal
from cdc.model import ColumnMap, KeyKind, Table, TableMap

Level = Literal["blocks", "quarantine", "note"]

_LITERAL: Final = 'correct those rows, or set `type = "literal"` to keep every value as its SQL literal'
_DATES: Final = ("timestamp", "timestamptz", "date")
_REFUSED: Final[dict[str, tuple[str, ...]]] = {
    "bigint": ("real", "text", "blob"),
    "double precision": ("integer above 2^53", "text", "blob"),
    "numeric": ("text", "blob"),
    "boolean": ("integer other than 0 and 1", "real", "text", "blob"),
    "text": ("integer", "real", "blob"),
    "bytea": ("integer", "real", "text"),
    "jsonb": ("text that is no JSON", "blob"),
    "json": ("text that is no JSON", "blob"),
    **dict.fromkeys(_DATES, ("integer", "real", "text of another form", "blob")),
}


@dataclass(frozen=True, slots=True)
class Risk:
    """One finding: `blocks` stops the first copy, `quarantine` keeps rows out, `note` is for the operator to know.

    `column` is empty for what concerns the whole table.
    """

    table: str
    column: str
    level: Level
    text: str
    remedy: str


def risks(table: Table, mapped: TableMap, profile: TableProfile | None) -> tuple[Risk, ...]:
    """Every finding about a table, in the order of its columns; without a profile only those about its shape."""
    found = list(_key_risks(table, profile))
    if profile and profile.orphans:
        text = f"{_rows(profile.orphans)} whose parent row is missing: to quarantine"
        found.append(Risk(table.name, "", "quarantine", text, "add the parents or correct the references in SQLite"))
    for column in mapped.columns:
        values = profile.column(column.source) if profile and column.source else None
        if values is None or column.source is None:
            continue
        in_key = column.target in mapped.key
        declared = table.column(column.source).declared_type
        for level, text, remedy in (*_unfit(column, values), *_remarks(column, values, declared, in_key)):
            found.append(Risk(table.name, column.source, level, text, remedy))
    return tuple(found)


_Finding = tuple[Level, str, str]


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _many(count: int, one: str) -> str:
    noun, _, rest = one.partition(" ")
    noun += "" if count == 1 else "s"
    return f"{count} {noun} {rest}".rstrip()


def _key_risks(table: Table, profile: TableProfile | None) -> Iterator[Risk]:
    rowid = f'set `key = "rowid"` in [tables.{table.name}]'
    if table.key.kind is KeyKind.ROWID:
        text = "its rows are known by rowid, which VACUUM may renumber; the table is then compared as a whole"
        yield Risk(table.name, "", "note", text, "give the table an INTEGER PRIMARY KEY to avoid that")
    if not table.key.nullable:
        return
    profiles = [(name, profile.column(name) if profile else None) for name in table.key.columns]
    nulls = [(name, p.null) for name, p in profiles if p and p.null]
    remedy = "give those rows a key in SQLite" + (f", or {rowid}" if table.rowid_alias else "")
    for name, count in nulls:
        yield Risk(table.name, name, "blocks", f"the key is NULL in {_rows(count)}: nothing tells them apart", remedy)
    if not nulls:
        text = "SQLite lets this key be NULL; such a row would go to quarantine"
        yield Risk(table.name, ", ".join(table.key.columns), "note", text, f"if the application writes them, {rowid}")


# --- values that do not fit -------------------------------------------------------------------------------------------


def _unfit(column: ColumnMap, values: ColumnProfile) -> Iterator[_Finding]:
    """Rows that will be rejected, by the type of the target."""
    if column.literal:
        return
    wrong = [(count, what) for count, what in _wrong(column.type, values) if count]
    if wrong:
        listed = ", ".join(_many(count, what) for count, what in wrong)
        text = f"a {column.type} column cannot hold {listed}: those rows go to quarantine"
        yield "quarantine", text, _LITERAL
    if column.type in ("text", "jsonb", "json"):
        if values.nul:
            text = f"{_many(values.nul, 'text')} with a NUL character, which Postgres cannot store: to quarantine"
            yield "quarantine", text, _LITERAL
        if values.invalid:
            text = f"{_many(values.invalid, 'text')} not in UTF-8: to quarantine"
            yield "quarantine", text, _LITERAL


def _wrong(type_: str, v: ColumnProfile) -> list[tuple[int, str]]:
    """How many values of each sort a type refuses; nothing is known about types that only an operator chooses."""
    form = {"timestamp": v.naive, "timestamptz": v.zoned, "date": v.date}.get(type_, 0)
    counts = {
        "integer": v.integer,
        "real": v.real,
        "text": v.text,
        "blob": v.blob,
        "integer other than 0 and 1": v.not_boolean,
        "integer above 2^53": v.big,
        "text that is no JSON": v.not_json,
        "text of another form": v.text - form,
    }
    if type_ in _DATES and not _forms_known(v):
        return []
    return [(counts[sort], sort) for sort in _REFUSED.get(type_, ())]


def _forms_known(v: ColumnProfile) -> bool:
    return v.naive + v.zoned + v.date + v.empty + v.other == v.text


# --- what is worth knowing --------------------------------------------------------------------------------------------


def _remarks(column: ColumnMap, values: ColumnProfile, declared: str, in_key: bool) -> Iterator[_Finding]:
    if column.literal:
        text = f"declared {declared or 'without a type'}, it is kept as SQL literals in a text column"
        yield "note", text, "set `type` if the application keeps to one type"
    elif column.type == "text" and is_temporal(declared) and values.text:
        yield "note", _why_text(values, declared, in_key), "set `type` once every value has one form"
    elif column.type == "text" and values.json and values.json == values.present and not in_key:
        text = f"every one of {_many(values.json, 'text')} is a JSON object or array"
        yield "note", text, 'consider `type = "jsonb"`'
    elif column.type == "timestamptz" and values.zoned:
        yield "note", "the instant is kept, the offset that was written is not", 'set `type = "text"` to keep the texts'


def _why_text(values: ColumnProfile, declared: str, in_key: bool) -> str:
    if in_key:
        return f"declared {declared}, kept as text: two texts for one instant are two keys"
    sorts = (
        (values.naive, "timestamp"),
        (values.zoned, "timestamp with an offset"),
        (values.date, "date without a time"),
        (values.empty, "text that is empty"),
        (values.other, "text of another form"),
    )
    return f"declared {declared}, kept as text because it holds {', '.join(_many(n, what) for n, what in sorts if n)}"
