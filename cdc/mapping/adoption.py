"""Whether tables that others made can take the rows of their sources: compared column by column, never altered."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from cdc.errors import TargetMismatch
from cdc.facts.cause import ConfigLines
from cdc.facts.risk import Level, Risk
from cdc.facts.source_schema import Affinity, KeyKind
from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.facts.target_schema import SilentTrigger, TargetColumn, TargetSequence, TargetTable, TargetUnique
from cdc.mapping import adopted_sequences, adopted_shares, nullable_keys
from cdc.mapping.names import in_key
from cdc.sql_names import heading
from cdc.values import addresses
from cdc.values.booleans import BOOLEAN
from cdc.values.column_rules import encoder_for, problem_with
from cdc.values.identifiers import UUID
from cdc.values.numbers import BIGINT, DOUBLE, INTEGER, NUMERIC, SMALLINT, WHOLE
from cdc.values.registry import FORMATS, TYPES, is_supported
from cdc.values.texts import BYTEA, CHAR, TEXT, VARCHAR
from cdc.values.times import DATE

# Under these, two keys that SQLite keeps apart stay apart. A date has one form only, unlike a timestamp.
# Texts of char(n) are never padded by the application: those that end in a blank are refused.
KEY_BASES: Final = tuple(
    type_.base for type_ in (*WHOLE, DOUBLE, TEXT, VARCHAR, CHAR, BYTEA, BOOLEAN, UUID, NUMERIC, DATE, *addresses.TYPES)
)
_NARROW_INTEGERS: Final = (SMALLINT.base, INTEGER.base)

ExistingRows = Literal["refuse", "replace"]


@dataclass(frozen=True, slots=True)
class Adopted:
    """The adopted tables that Postgres has, by name, how many rows each holds, triggers that are `silent` because
    replication disabled them, and the sequences of the schema.
    """

    tables: Mapping[str, TargetTable]
    rows: Mapping[str, int]
    existing_rows: ExistingRows
    silent: Collection[SilentTrigger] = ()
    sequences: Sequence[TargetSequence] = ()


def adapt(maps: Sequence[TableMap], adopted: Adopted) -> tuple[TableMap, ...]:
    """The maps with the types that adopted tables really have."""
    return tuple(_adapted(m, adopted.tables.get(m.target)) if m.adopted else m for m in maps)


def _adapted(mapped: TableMap, target: TargetTable | None) -> TableMap:
    columns = (target.column(c.target) if target else None for c in mapped.columns)
    pairs = zip(mapped.columns, columns, strict=True)
    return replace(mapped, columns=tuple(replace(c, type=fed.type) if fed else c for c, fed in pairs))


def require_compatible(maps: Sequence[TableMap], adopted: Adopted) -> None:
    """Raises `TargetMismatch` that names everything which blocks, in all adopted tables at once."""
    blocking = [risk for risk in compare(maps, adopted) if risk.level == "blocks"]
    if blocking:
        listed = "; ".join(f"{_place(risk)}: {risk.text}" for risk in blocking)
        raise TargetMismatch(
            f"adopted tables cannot take the rows: {listed}", remedy="see `cdc plan`, which has the remedy for each"
        )


def _place(risk: Risk) -> str:
    return f"{risk.table}.{risk.column}" if risk.column else risk.table


def compare(maps: Sequence[TableMap], adopted: Adopted) -> Iterator[Risk]:
    """Everything about the adopted tables that blocks, what to look at first, and what is worth knowing."""
    for mapped in maps:
        if mapped.adopted:
            target = adopted.tables.get(mapped.target)
            yield from _table(mapped, target, adopted) if target else _missing(mapped)
    yield from adopted_shares.judge(maps, adopted.tables)
    yield from nullable_keys.judge(maps, adopted.tables)
    yield from adopted_sequences.judge(maps, adopted.tables, adopted.sequences)


def _missing(mapped: TableMap) -> Iterator[Risk]:
    name = f"{mapped.schema}.{mapped.target}"
    yield _blocks(
        mapped,
        "",
        f"there is no table {name} in Postgres",
        "run the application's migrations there, correct `target`, or set `adopt = false` for this table",
    )


def _table(mapped: TableMap, target: TargetTable, adopted: Adopted) -> Iterator[Risk]:
    yield from _key(mapped, target)
    for column in mapped.columns:
        fed = target.column(column.target)
        if fed:
            yield from _column(mapped, column, fed)
        elif column.source or column.target not in mapped.key:  # the rowid has its own words
            yield from _no_column(mapped, column)
    yield from _narrower(mapped, target)
    yield from _unfed(mapped, target)
    yield from _bending(mapped, target)
    yield from _silent(mapped, adopted)
    yield from _rows(mapped, adopted)


def _blocks(mapped: TableMap, column: str, text: str, remedy: str) -> Risk:
    return Risk(mapped.source.name, column, "blocks", text, remedy)


def _note(mapped: TableMap, column: str, text: str, remedy: str) -> Risk:
    return Risk(mapped.source.name, column, "note", text, remedy)


# --- the key ----------------------------------------------------------------------------------------------------------


def _key(mapped: TableMap, target: TargetTable) -> Iterator[Risk]:
    if mapped.source.key.kind is KeyKind.ROWID and not target.column(mapped.key[0]):
        yield _helper_key(mapped, target)
        return
    columns = ", ".join(mapped.key)
    if not target.is_keyed_by(mapped.key):
        yield _blocks(
            mapped,
            "",
            f"nothing in Postgres makes ({columns}) unique, by which SQLite names rows",
            f"add a unique constraint on ({columns}) there, not deferrable",
        )
    elif set(target.primary_key) != set(mapped.key):
        primary = ", ".join(target.primary_key) or "none"
        yield _note(mapped, "", f"rows are found by ({columns}); the primary key there is {primary}", "nothing to do")
    for name in () if mapped.crosswalk else mapped.key:
        if column := target.column(name):
            yield from _key_column(mapped, column)


def _helper_key(mapped: TableMap, target: TargetTable) -> Risk:
    """What becomes of a table without a key, and without a column for SQLite's rowid."""
    why = "SQLite knows its rows by rowid only: it declares no key, or one that is NULL in some rows"
    section = heading("tables", mapped.source.name)
    column = f"{mapped.key[0]} bigint GENERATED BY DEFAULT AS IDENTITY UNIQUE"
    by_hand = f"or leave it out with `exclude`, or add {column} there yourself"
    if target.partitioned:
        return _blocks(mapped, "", f"{why}; and no helper key can be unique across partitions", by_hand[3:])
    if not target.owned:
        text = f"{why}; and only its owner may add a helper key"
        return _blocks(mapped, "", text, f"make the role of `dsn` a member of the role that owns it; {by_hand}")
    if not mapped.helper_key:
        remedy = f"`helper_key = true` in {section} has {mapped.key[0]} added to it there, until the end; {by_hand}"
        effect = f"a column {mapped.key[0]} is added there, until the end"
        lines = ConfigLines(("tables", mapped.source.name), ("helper_key = true",), effect, exact=False)
        return replace(_blocks(mapped, "", why, remedy), choices=(lines,))
    text = f"a column {mapped.key[0]} is added to it there: `SELECT *` has it too, and an INSERT need not name it"
    return _note(mapped, "", text, "nothing to do: `cdc cleanup` takes it away, and so does the end of replication")


def with_helper_keys(maps: Sequence[TableMap], targets: Mapping[str, TargetTable]) -> dict[str, TargetTable]:
    """The adopted tables as they will be once helper keys are added."""
    return {**targets, **{m.target: _with_helper_key(m, targets[m.target]) for m in maps if m.target in targets}}


def _with_helper_key(mapped: TableMap, target: TargetTable) -> TargetTable:
    if not mapped.helper_key or target.column(mapped.key[0]):
        return target
    column = TargetColumn(mapped.key[0], BIGINT.name, BIGINT.base, not_null=True, identity="d")
    unique = TargetUnique(mapped.key[0], mapped.key)
    return replace(target, columns=(*target.columns, column), uniques=(*target.uniques, unique))


def _key_column(mapped: TableMap, column: TargetColumn) -> Iterator[Risk]:
    """A column that identifies rows in both databases, without anything that remembers which row is which."""
    if not is_supported(column):
        return  # which is told as of every other column
    if column.base not in KEY_BASES or not column.deterministic:
        text = f"as {column.type} two keys that SQLite keeps apart could become equal"
        yield _blocks(mapped, column.name, text, _another_key_type(mapped, column))
    elif chosen := mapped.formats.get(column.base):
        section = f"[tables.{mapped.source.name}.columns.{column.name}]"
        text = f"[formats] does not reach {column.name}, because it identifies rows"
        yield _note(
            mapped,
            column.name,
            text,
            f"if that is how its values are to be read, set {_as_configured(chosen)} in {section}",
        )


def _another_key_type(mapped: TableMap, column: TargetColumn) -> str:
    """What helps where a key column's type calls different keys equal; a format makes rows be found by a crosswalk."""
    types = f"there, give it one of the types {', '.join(KEY_BASES)}, with a deterministic collation"
    formats = [f'"{name}"' for name, format_ in FORMATS.items() if TYPES.get(column.base) in format_.into]
    if not formats:
        return types
    source = next((c.source for c in mapped.columns if c.target == column.name and c.source), column.name)
    section = heading("tables", mapped.source.name, "columns", source)
    return f"{types}; or, if its values are written in that form, set `format` to {' or '.join(formats)} in {section}"


def _as_configured(chosen: ValueRules) -> str:
    keys = (("format", chosen.format, ""), ("on_invalid", chosen.on_invalid, ValueRules().on_invalid))
    return " and ".join(f'`{key} = "{value}"`' for key, value, unsaid in keys if value != unsaid)


# --- columns ----------------------------------------------------------------------------------------------------------


def _no_column(mapped: TableMap, column: ColumnMap) -> Iterator[Risk]:
    name = column.source or column.target
    yield _blocks(
        mapped,
        name,
        f"table {mapped.target} has no column {column.target}",
        f"set `target` for it, name it in `skip` of {heading('tables', mapped.source.name)}, or add it in Postgres",
    )


def _column(mapped: TableMap, column: ColumnMap, fed: TargetColumn) -> Iterator[Risk]:
    name = column.source or column.target
    skip = f"name it in `skip` of {heading('tables', mapped.source.name)}"
    if fed.generated:
        yield _blocks(mapped, name, f"{fed.name} is generated by Postgres and takes no value", skip)
    elif problem := problem_with(fed, reading := mapped.reading(column, fed)):
        yield _blocks(mapped, name, f"{fed.name} is of type {fed.type}, which {problem}", "correct the mapping")
    elif encoder_for(fed, reading, literal=column.literal) is None:
        text = f"{fed.name} is of type {fed.type}, which is not supported"
        yield _blocks(mapped, name, text, f"give it another type there, {_leave_out(mapped, column, fed, skip)}")


def _leave_out(mapped: TableMap, column: ColumnMap, fed: TargetColumn, skip: str) -> str:
    """How to do without a column, or else without its table: a key, and what must have a value, cannot be skipped."""
    identifies = column.source is not None and in_key(mapped.source, mapped.source.column(column.source))
    if identifies or fed.name in mapped.key or (fed.not_null and not fed.has_default):
        return f"or leave the table out: add {mapped.source.name} to `exclude` in [replicate]"
    return f"or {skip}: what SQLite has in it then stays there"


def _narrower(mapped: TableMap, target: TargetTable) -> Iterator[Risk]:
    """One note a table: migrations declare lengths everywhere, and each row that does not fit is named by itself."""
    pairs = ((c, target.column(c.target)) for c in mapped.columns if c.source)
    narrower = [text for column, fed in pairs if fed and (text := _less(mapped, column, fed))]
    if narrower:
        text = f"some columns take less there than in SQLite: {', '.join(narrower)}"
        yield _note(mapped, "", text, "nothing to do: rows that do not fit are named")


def _less(mapped: TableMap, column: ColumnMap, fed: TargetColumn) -> str:
    """The target column with what it does not take of what its source may hold; empty where it takes all."""
    source = mapped.source.column(column.source or column.target)
    may_be_null = not source.not_null and not source.primary_key
    narrow = source.affinity is Affinity.INTEGER and fed.base in _NARROW_INTEGERS
    if narrow or fed.length is not None:
        return f"{fed.name} {fed.type}"
    if fed.labels:
        return f"{fed.name} {fed.type} ({', '.join(fed.labels)})"
    return f"{fed.name} NOT NULL" if fed.not_null and may_be_null else ""


def _unfed(mapped: TableMap, target: TargetTable) -> Iterator[Risk]:
    fed = set(mapped.target_columns)
    extra = [c for c in target.columns if c.name not in fed and not c.generated]
    for column in (c for c in extra if not c.has_default and not c.identity):
        section = f"[tables.{mapped.source.name}.columns.{column.name}]"
        if column.not_null:
            yield _blocks(
                mapped,
                column.name,
                f"{column.name} is NOT NULL without a default there, and nothing feeds it",
                f"set `expression` in {section}, or give it a default",
            )
        else:
            yield Risk(
                mapped.source.name,
                column.name,
                "warning",
                f"{column.name} is NULL in every row: nothing feeds it, and it has no default there",
                f"if the application asks for it, set `expression` or `python` in {section}, or give it a default; "
                'if not, `expression = "NULL"` there says so',
            )
    defaulted = [c.name for c in extra if c.has_default or c.identity]
    if defaulted:
        text = (
            f"only Postgres has {', '.join(defaulted)}: new rows get the default, replicated changes leave them alone"
        )
        yield _note(mapped, "", text, "set `expression` for a column that is to be fed")


# --- what would bend or hide rows -------------------------------------------------------------------------------------


def _bending(mapped: TableMap, target: TargetTable) -> Iterator[Risk]:
    name = f"{target.schema}.{target.name}"
    if target.rules:
        text = f"rules of {name} rewrite what is written: {', '.join(target.rules)}"
        yield _blocks(mapped, "", text, "drop them, or make them triggers")
    if target.row_security:
        text = f"row level security of {name} filters what the role of `dsn` sees and writes"
        yield _blocks(mapped, "", text, "connect as the table's owner, or as a role with BYPASSRLS")
    if target.user_triggers:
        names = ", ".join(target.user_triggers)
        if target.owned:
            text = f"its triggers would bend replicated rows, and are disabled while they are replicated: {names}"
            yield _note(mapped, "", text, "nothing to do: what was disabled is recorded, to be enabled again")
        else:
            text = f"its triggers would bend replicated rows, and only its owner may disable them: {names}"
            yield _blocks(mapped, "", text, f"make the role of `dsn` a member of the role that owns {name}")
    if target.partitioned:
        yield _note(mapped, "", f"{name} is partitioned: Postgres puts each row where it belongs", "nothing to do")


def _silent(mapped: TableMap, adopted: Adopted) -> Iterator[Risk]:
    if silent := [str(trigger) for trigger in adopted.silent if trigger.of == mapped.target]:
        text = f"its triggers are disabled now, while rows are replicated: {', '.join(silent)}"
        yield _note(mapped, "", text, "nothing to do: they fire again with the cutover, or when replication ends")


def _rows(mapped: TableMap, adopted: Adopted) -> Iterator[Risk]:
    count = adopted.rows.get(mapped.target, 0)
    if not count:
        return
    rows = f"{mapped.schema}.{mapped.target} holds {'1 row' if count == 1 else f'{count:,} rows'} already"
    level: Level = "note" if adopted.existing_rows == "replace" else "blocks"
    if level == "note":
        text, remedy = f"{rows}: they are saved to a file, then become what SQLite holds", "nothing to do"
    else:
        text, remedy = rows, 'empty it, or set `existing_rows = "replace"` in [target]: they are saved to a file first'
    yield Risk(mapped.source.name, "", level, text, remedy)
