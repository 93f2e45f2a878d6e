"""What in a table's data or shape may not fit its target, told before anything is created."""

from collections.abc import Iterator
from typing import Final

from cdc.config import TableOptions
from cdc.errors import did_you_mean
from cdc.facts.profile import ColumnProfile, TableProfile
from cdc.facts.risk import Level, Risk
from cdc.facts.source_schema import Affinity, Column, KeyKind, Table
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetTable
from cdc.first_copy.dry_run import Rehearsal
from cdc.mapping.held_values import holds
from cdc.mapping.map_tables import JSON_NAMES
from cdc.mapping.names import column_options, has
from cdc.mapping.proposals import unpacked
from cdc.sql_names import heading, toml_text
from cdc.sqlite.schema.create_text import names
from cdc.sqlite.schema.generated_columns import OTHER_VERSION, changed_between_versions, makes_text_of_numbers
from cdc.values.documents import JSONB
from cdc.values.texts import TEXT
from cdc.values.times import TIMESTAMPTZ, is_temporal

_LISTED_NAMES: Final = 5
_UNPACKED: Final = 'set `type = "jsonb"` and `expression = {expression}` to have them as documents'
_VERSION_REMEDY: Final = (
    "declare it STORED, so that the application's own SQLite computes it, or leave it out with `skip`, or compare some "
    "of its values by hand"
)


def risks(table: Table, mapped: TableMap, profile: TableProfile | None) -> tuple[Risk, ...]:
    """Every finding about a table's shape, and with a profile what its data suggests, in the order of its columns."""
    findings = [*_key_risks(table, profile), *_name_risks(mapped), *_version_risks(table, mapped, profile)]
    for column in mapped.columns:
        values = profile.column(column.source) if profile and column.source else None
        if values is None or column.source is None:
            continue
        declared = table.column(column.source).declared_type
        for text, remedy in _remarks(column, values, declared, column.target in mapped.key):
            findings.append(Risk(table.name, column.source, "note", text, remedy))
    return tuple(findings)


def kept_out(rehearsal: Rehearsal) -> Iterator[Risk]:
    """What a rehearsal of the load found: rows that will go to quarantine, columns that could not be tried."""
    for f in rehearsal.findings:
        text = f"{_rows(f.rows)}: {f.detail}: to quarantine"
        yield Risk(
            f.table,
            f.column,
            "quarantine",
            text,
            f.remedy,
            f.rows,
            f.keys,
            cause=f.cause,
            follows=not f.cause,
            choices=f.choices,
        )
    for (table, column), values in rehearsal.altered.items():
        text = f"{_many(values, 'value')} will become another one, because `on_invalid` or `empty` says so"
        yield Risk(table, column, "note", text, "nothing to do, if that loss is meant", values)
    for (table, index), rows in rehearsal.tight.items():
        text = (
            f"index {index} may have no room for {_rows(rows)}: it is left out then, or gives way when such a row comes"
        )
        yield Risk(table, "", "note", text, "nothing to do, if queries can do without that index", rows)
    for unknown in rehearsal.unknown:
        text = f"whether its values fit {unknown.type} is known only to Postgres: nothing was tried"
        yield Risk(unknown.table, unknown.column, "note", text, "see `cdc quarantine list` after the load")


def skipped_in_vain(table: Table, options: TableOptions) -> Iterator[Risk]:
    """Columns to leave out that this file does not have: those of another generation, or misspelt ones."""
    for name in options.skip:
        if not has(table, name):
            near = did_you_mean(name, [c.name for c in table.columns])
            remedy = f"{near}nothing to do, if other files that this configuration is for have it; else correct `skip`"
            yield Risk(table.name, name, "note", "`skip` names it, and the table has no such column", remedy)


def left_behind(
    mapped: TableMap, options: TableOptions, there: TargetTable | None, profile: TableProfile | None
) -> Iterator[Risk]:
    """Columns to leave out that have values, though Postgres has a place for them that shows something else."""
    for name in (n for n in options.skip if has(mapped.source, n)):
        column = there.column(column_options(options, name).target or name) if there else None
        content = profile.column(mapped.source.column(name).name) if profile else None
        if column is None or column.generated or not column.has_default or content is None or not content.present:
            continue
        text = (
            f"`skip` leaves {_many(content.present, 'value')} in SQLite: in Postgres {column.name} has its default in "
            "every row"
        )
        remedy = "if the application asks for it, give the column a type that takes them and remove it from `skip`"
        yield Risk(mapped.source.name, name, "warning", text, remedy, content.present)


def _name_risks(mapped: TableMap) -> Iterator[Risk]:
    names = [mapped.target, *mapped.target_columns]
    mixed = [name for name in names if name != name.lower()]
    if mixed:
        listed = ", ".join(mixed[:_LISTED_NAMES]) + (", ..." if len(mixed) > _LISTED_NAMES else "")
        wrong = "names with capitals keep them, so SQL for Postgres must quote them"
        remedy = "set `target` where the application's SQL does not quote"
        yield Risk(mapped.source.name, "", "note", f"{wrong}: {listed}", remedy, cause=wrong)


def _version_risks(table: Table, mapped: TableMap, profile: TableProfile | None) -> Iterator[Risk]:
    """Columns that another version of SQLite, such as the application's, may compute otherwise."""
    for name in (c.source for c in mapped.columns if c.source is not None and table.column(c.source).generated):
        column = table.column(name)
        values = profile.column(name) if profile else None
        if column.generated != "virtual":
            continue  # what is stored was computed by whoever wrote it
        if values is not None and values.disagreeing:
            text = (
                f"SQLite {OTHER_VERSION} computes another value in {_rows(values.disagreeing)}: this tool's own is used"
            )
            yield Risk(table.name, name, "note", text, _VERSION_REMEDY, values.disagreeing)
        elif _may_differ(table, column, profile):
            text = "it is computed by this tool's own SQLite, and versions differ in what they make of it"
            yield Risk(table.name, name, "note", text, _VERSION_REMEDY)


def _may_differ(table: Table, column: Column, profile: TableProfile | None) -> bool:
    """Whether another version may compute another value: by a function that changed, or in writing reals as texts.

    Where values were looked at, it counts what they are, else what the columns' affinities let them be.
    """
    expression = column.generated_expression or ""
    if changed_between_versions(expression):
        return True
    used = [c for c in table.columns if c.name.lower() in names(expression)]
    profiles = [(c, profile.column(c.name) if profile else None) for c in used]
    reals = any(p.real if p else c.affinity in {Affinity.REAL, Affinity.NUMERIC} for c, p in profiles)
    to_text = column.affinity is Affinity.TEXT or makes_text_of_numbers(expression)
    return reals and to_text


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _many(count: int, singular: str) -> str:
    noun, _, rest = singular.partition(" ")
    noun += "" if count == 1 else "s"
    return f"{count} {noun} {rest}".rstrip()


def _key_risks(table: Table, profile: TableProfile | None) -> Iterator[Risk]:
    rowid = f'set `key = "rowid"` in {heading("tables", table.name)}'
    if table.key.kind is KeyKind.ROWID:
        text = "its rows are known by rowid, which VACUUM may renumber; the table is then compared as a whole"
        yield Risk(table.name, "", "note", text, "give the table an INTEGER PRIMARY KEY to avoid that")
    if not table.key.nullable:
        return
    profiles = [(name, profile.column(name) if profile else None) for name in table.key.columns]
    nulls = [(name, p.null) for name, p in profiles if p and p.null]
    remedy = "give those rows a key in SQLite" + (f", or {rowid}" if table.rowid_alias else "")
    level: Level
    level, outcome = ("blocks", "nothing tells them apart") if table.null_rowid is None else ("note", "to quarantine")
    for name, count in nulls:
        yield Risk(table.name, name, level, f"the key is NULL in {_rows(count)}: {outcome}", remedy, count)
    if not nulls:
        text = "SQLite lets this key be NULL; such a row would go to quarantine"
        yield Risk(table.name, ", ".join(table.key.columns), "note", text, f"if the application writes them, {rowid}")


# --- what is worth knowing --------------------------------------------------------------------------------------------


def _remarks(column: ColumnMap, values: ColumnProfile, declared: str, in_key: bool) -> Iterator[tuple[str, str]]:
    is_json = declared.strip().upper() in JSON_NAMES
    if is_json and values.binary_json:
        text = f"{_many(values.binary_json, 'blob')} of {values.present} values are JSON in SQLite's binary form"
        yield (
            f"{text}, kept as {'SQL literals' if column.literal else column.type}",
            _UNPACKED.format(expression=toml_text(unpacked(values.name))),
        )
    elif is_json and column.type == TEXT.name and not in_key:
        unfit = values.present - holds(values)[JSONB.name]
        text = f"declared {declared}, kept as text because jsonb would not keep {unfit} of its {values.present} values"
        yield text, f'correct those, or set `type = "{JSONB.name}"`: their rows wait in quarantine then'
    elif column.literal:
        text = f"declared {declared or 'without a type'}, it is kept as SQL literals in a text column"
        yield text, "set `type` if the application keeps to one type"
    elif column.type == TEXT.name and is_temporal(declared) and values.text:
        yield _why_text(values, declared, in_key), "set `type` once every value has one form"
    elif column.type == TEXT.name and values.json and values.json == values.present and not in_key:
        text = f"every one of {_many(values.json, 'text')} is a JSON object or array"
        yield text, f'consider `type = "{JSONB.name}"`'
    elif column.type == TIMESTAMPTZ.name and values.forms.zoned:
        yield "the instant is kept, the offset that was written is not", f'set `type = "{TEXT.name}"` to keep the texts'


def _why_text(values: ColumnProfile, declared: str, in_key: bool) -> str:
    if in_key:
        return f"declared {declared}, kept as text: two texts for one instant are two keys"
    sorts = (
        (values.forms.naive, "timestamp"),
        (values.forms.zoned, "timestamp with an offset"),
        (values.forms.date, "date without a time"),
        (values.forms.time, "time of day"),
        (values.forms.empty, "text that is empty"),
        (values.forms.other + values.forms.uuid, "text of another form"),
    )
    return f"declared {declared}, kept as text because it holds {', '.join(_many(n, what) for n, what in sorts if n)}"
