"""The SQL that moves a target table to the state in its stage. Pure text; `apply` runs it.

A stage is a temporary table with the mapped columns of its target and `_cdc_gone`, which marks keys that must not
exist afterwards. Later rows of a key win, and rows come in the order they were staged: their ctid tells.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.convert import TableConverter
from cdc.errors import TargetMismatch
from cdc.keys import encode_key
from cdc.model import TableMap, TargetColumn, TargetForeignKey, TargetTable, TargetUnique
from cdc.postgres.crosswalk import SOURCE_KEY, Crosswalk
from cdc.quoting import qualified, quote
from cdc.text_forms import read_literal

# Types whose equality means that nothing a reader could see differs. Others are compared as text: numeric 1.0 equals
# 1.00, citext and some collations ignore case, json has no equality at all.
_SAME_WHEN_EQUAL: Final = frozenset(
    ("int2", "int4", "int8", "float4", "float8", "bool", "bytea", "uuid", "date", "timestamp", "timestamptz", "time")
)
_TEXT: Final = frozenset(("text", "varchar", "bpchar"))


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key between two replicated tables, or to a table that is not replicated (`parent` is None)."""

    key: TargetForeignKey
    child: "AppliedTable"
    parent: "AppliedTable | None"

    @property
    def drags(self) -> bool:
        """Whether moving parents can bend children that stay: the columns they refer to are not the parents' key.

        Such a value may change owners, and what Postgres does with the children of the old owner (cascade, set null)
        is not what SQLite did.
        """
        return self.parent is not None and set(self.key.parent_columns) != set(self.parent.key)

    @property
    def waits_table(self) -> str:
        """Names the parent's table and columns; orphans wait under it."""
        return waits_table(self.key)


class AppliedTable:
    """One replicated table as the applier sees it: its mapping, its target, its stage and their statements."""

    def __init__(
        self, place: int, source_id: str, mapped: TableMap, target: TargetTable, converter: TableConverter
    ) -> None:
        _require_unique_key(mapped, target)
        self.mapped = mapped
        self.target = target
        self.converter = converter
        self.source_name = mapped.source.name
        self.name = qualified(target.schema, target.name)
        self.stage = f"cdc_stage_{place}"
        self.key = mapped.key
        self.columns = mapped.target_columns
        key = [self.column(name) for name in mapped.key]
        self.crosswalk = Crosswalk(source_id, self.source_name, self.stage, key) if mapped.crosswalk else None
        self.upsert_from_stage = self._upsert(f"SELECT {listed(self.columns)} FROM {self.stage} WHERE NOT _cdc_gone")
        self.upsert_subset = self._upsert(
            f"SELECT {listed(self.columns)} FROM {self.stage} WHERE ctid = ANY($1::tid[])"
        )
        self.delete_from_stage = (
            f"DELETE FROM {self.name} AS t USING {self.stage} AS s WHERE s._cdc_gone AND {same('s', 't', self.key)}"
        )

        # Kept, because to write such a text takes as long as to run it.
        self.upsert_arrays = functools.cache(self._upsert_arrays)
        self.delete_arrays = functools.cache(self._delete_arrays)
        unique = [qualified(target.schema, u.name) for u in target.uniques if u.deferrable]
        self.check_uniques = f"SET CONSTRAINTS {', '.join(unique)} IMMEDIATE" if unique else ""

    def _upsert_arrays(self, first: int) -> str:
        """Upsert rows given as one array a column, in parameters from number `first`."""
        return self._upsert(f"SELECT * FROM unnest({self._arrays(self.columns, first)})")

    def _delete_arrays(self, first: int) -> str:
        """Delete keys given as one array a key column, in parameters from number `first`."""
        keys = f"unnest({self._arrays(self.key, first)}) AS s ({listed(self.key)})"
        return f"DELETE FROM {self.name} AS t USING {keys} WHERE {same('s', 't', self.key)}"

    def create_stage(self) -> str:
        """The stage, empty at every commit; types, modifiers and collations are the target's.

        Of a domain it has the base: a value that breaks a domain's check must reach the merge, which finds its row.
        """
        own = f"''::text COLLATE \"C\" AS {SOURCE_KEY}, " if self.crosswalk else ""
        return (
            f"CREATE TEMP TABLE {self.stage} ON COMMIT DELETE ROWS AS "
            f"SELECT {', '.join(map(self._staged, self.columns))}, {own}false AS _cdc_gone FROM {self.name} "
            f"WITH NO DATA; "
            f"ALTER TABLE {self.stage} ALTER _cdc_gone SET DEFAULT false"
        )

    def _staged(self, name: str) -> str:
        base = self.column(name).domain_of
        return f"{quote(name)}::{base} AS {quote(name)}" if base else quote(name)

    def keep_latest(self) -> str:
        """Leave only the newest staged row of each key."""
        newer = f"n.ctid > s.ctid AND {same('s', 'n', (SOURCE_KEY,) if self.crosswalk else self.key)}"
        return f"DELETE FROM {self.stage} AS s USING {self.stage} AS n WHERE {newer}"

    def stage_unseen(self) -> str:
        """Everything of the target that was not staged is gone: for tables that were read as a whole."""
        return (
            f"INSERT INTO {self.stage} ({listed(self.key)}, _cdc_gone) "
            f"SELECT {listed(self.key, 't')}, true FROM {self.name} AS t "
            f"WHERE NOT EXISTS (SELECT FROM {self.stage} AS s WHERE {same('s', 't', self.key)})"
        )

    def reject_subset(self) -> str:
        """Mark staged rows as gone by ctid; returns their source keys, encoded."""
        marked = f"UPDATE {self.stage} AS s SET _cdc_gone = true WHERE ctid = ANY($1::tid[])"
        return f"{marked} RETURNING {self.source_key('s')}"

    def source_key(self, alias: str) -> str:
        """SQL that writes the source key of a staged row as `cdc.keys.encode_key` does."""
        return f"{alias}.{SOURCE_KEY}" if self.crosswalk else source_key(self.target, self.mapped, alias)

    def take(self, columns: Sequence[str], alias: str) -> tuple[str, str]:
        """Names in the stage and SQL for their values, to stage some columns of a row that the target has."""
        names, values = listed(columns), listed(columns, alias)
        if self.crosswalk is None:
            return names, values
        return f"{names}, {SOURCE_KEY}", f"{values}, {self.crosswalk.source_key(alias)}"

    def column(self, name: str) -> TargetColumn:
        """A mapped column of the target; the converter has checked that it exists."""
        found = self.target.column(name)
        if found is None:
            raise KeyError(name)
        return found

    @property
    def swappable(self) -> tuple[TargetUnique, ...]:
        """Unique keys on plain columns, whose values may change owners within a batch."""
        return tuple(u for u in self.target.uniques if u.columns and set(u.columns) != set(self.key))

    @property
    def whole(self) -> bool:
        """Whether a staged row has everything its target row has, so that it can be deleted and inserted again."""
        return {c.name for c in self.target.columns if not c.generated} <= set(self.columns)

    def vacate(self) -> str:
        """Delete every row that is staged. Only for whole tables that nobody refers to."""
        return f"DELETE FROM {self.name} AS t USING {self.stage} AS s WHERE {same('s', 't', self.key)}"

    def count_moves(self) -> str:
        """Count what moving the staged rows will do: rows to be deleted, and rows to be written because they differ."""
        there = f"t.{quote(self.key[0])} IS NOT NULL"
        changed = " OR ".join(self._differs(c, "s") for c in self.columns if c not in self.key) or "false"
        return (
            f"SELECT count(*) FILTER (WHERE s._cdc_gone AND {there}) AS deleted, "
            f"count(*) FILTER (WHERE NOT s._cdc_gone AND (NOT {there} OR {changed})) AS upserted "
            f"FROM {self.stage} AS s LEFT JOIN {self.name} AS t ON {same('s', 't', self.key)}"
        )

    def park(self, unique: TargetUnique) -> str | None:
        """Take a unique value from a staged row that gives it up, when another staged row wants it.

        None when no column of the key can hold a stand-in. The row itself stays, so children keep their parent.
        """
        stand_in = self._stand_in(unique)
        if stand_in is None:
            return None
        column, value = stand_in
        wanted = unique.columns
        gives_up = f"(s._cdc_gone OR ({listed(wanted, 's')}) IS DISTINCT FROM ({listed(wanted, 't')}))"
        other = f"EXISTS (SELECT FROM {self.stage} AS w WHERE NOT w._cdc_gone AND {same('w', 't', wanted)} "
        other += f"AND NOT ({same('w', 't', self.key)}))"
        return (
            f"UPDATE {self.name} AS t SET {quote(column)} = {value} FROM {self.stage} AS s "
            f"WHERE {same('s', 't', self.key)} AND {gives_up} AND {other}"
        )

    def _stand_in(self, unique: TargetUnique) -> tuple[str, str] | None:
        free = [self.column(name) for name in unique.columns if name in self.columns and name not in self.key]
        for column in free:
            if not column.not_null:
                return column.name, "NULL"
        # A stand-in is no parent's value, which only a foreign key that waits for the end puts up with.
        bound = {name for key in self.target.foreign_keys if not key.deferrable for name in key.columns}
        return next(((c.name, _STAND_INS[c.base]) for c in free if c.base in _STAND_INS and c.name not in bound), None)

    def _upsert(self, rows: str) -> str:
        others = [c for c in self.columns if c not in self.key]
        action = "NOTHING"
        if others:
            sets = ", ".join(f"{quote(c)} = EXCLUDED.{quote(c)}" for c in others)
            changed = " OR ".join(self._differs(c) for c in others)
            action = f"UPDATE SET {sets} WHERE {changed}"
        overriding = "OVERRIDING SYSTEM VALUE " if any(c.identity == "a" for c in self.target.columns) else ""
        return (
            f"INSERT INTO {self.name} AS t ({listed(self.columns)}) {overriding}{rows} "
            f"ON CONFLICT {self._arbiter()} DO {action}"
        )

    def _arbiter(self) -> str:
        """What finds the row of a key. Columns alone would also mean a deferrable constraint on them, which cannot."""
        for unique in self.target.uniques:
            if unique.primary and not unique.deferrable and set(unique.columns) == set(self.key):
                return f"ON CONSTRAINT {quote(unique.name)}"
        return f"({listed(self.key)})"

    def _differs(self, name: str, new: str = "EXCLUDED") -> str:
        column = self.column(name)
        plain = column.base in _SAME_WHEN_EQUAL or (column.base in _TEXT and column.deterministic)
        cast = "" if plain else '::text COLLATE "C"'
        return f"t.{quote(name)}{cast} IS DISTINCT FROM {new}.{quote(name)}{cast}"

    def _arrays(self, names: Sequence[str], first: int) -> str:
        return ", ".join(f"${place}::{self.column(name).type}[]" for place, name in enumerate(names, first))


def at_once(statements: Sequence[str]) -> str:
    """One statement that runs several which change rows, and returns how many rows each of them changed."""
    parts = ", ".join(f"m{n} AS ({statement} RETURNING 1)" for n, statement in enumerate(statements))
    counts = ", ".join(f"(SELECT count(*) FROM m{n})" for n in range(len(statements)))
    return f"WITH {parts} SELECT {counts}"


def _require_unique_key(mapped: TableMap, target: TargetTable) -> None:
    """Rows are found again by their key: Postgres must know that it names one row, and know it row by row."""
    if target.is_keyed_by(mapped.key):
        return
    columns = ", ".join(mapped.key)
    raise TargetMismatch(
        f"table {target.schema}.{target.name} has no unique key on {columns}, by which {mapped.source.name} names rows",
        remedy=f"add a primary key or unique constraint on ({columns}) in Postgres, not deferrable",
    )


def listed(columns: Iterable[str], alias: str = "") -> str:
    """Column names as a SQL list, with an alias before each when one is given."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(prefix + quote(name) for name in columns)


def same(left: str, right: str, columns: Sequence[str], right_columns: Sequence[str] | None = None) -> str:
    """SQL that two aliases agree in some columns."""
    pairs = zip(columns, right_columns or columns, strict=True)
    return " AND ".join(f"{left}.{quote(a)} = {right}.{quote(b)}" for a, b in pairs)


def referenced_values(alias: str, columns: Sequence[str]) -> str:
    """SQL that writes referenced column values as one text, the same from the child's and from the parent's side."""
    return "concat_ws(E'\\x1f', " + ", ".join(f"{alias}.{quote(c)}::text" for c in columns) + ")"


def waits_table(key: TargetForeignKey) -> str:
    """The name of a parent and its referenced columns, under which orphans wait."""
    return f"{qualified(key.parent_schema, key.parent)}({', '.join(map(quote, key.parent_columns))})"


def source_key(target: TargetTable, mapped: TableMap, alias: str) -> str:
    """SQL that writes the source key of a target row for `read_key`."""
    literals = {c.target for c in mapped.columns if c.literal}
    columns = [column for name in mapped.key if (column := target.column(name)) is not None]
    parts = [
        _escaped("l", f"{alias}.{quote(c.name)}") if c.name in literals else _encoded(f"{alias}.{quote(c.name)}", c)
        for c in columns
    ]
    return " || E'\\x1f' || ".join(parts)


def read_key(text: str) -> str:
    """A key that `source_key` wrote as `cdc.keys.encode_key` writes it: literals say which value they stand for."""
    return "\x1f".join(_read_part(part) if part.startswith("l") else part for part in text.split("\x1f"))


def _read_part(part: str) -> str:
    literal = part[1:].replace("\x1bs", "\x1f").replace("\x1be", "\x1b")
    return encode_key([read_literal(literal)])


def delete_orphans(target: TargetTable, mapped: TableMap, key: TargetForeignKey) -> str:
    """Delete rows whose parent does not exist; returns source key and the values they wait for."""
    present = " AND ".join(f"c.{quote(c)} IS NOT NULL" for c in key.columns)
    parent = qualified(key.parent_schema, key.parent)
    return (
        f"DELETE FROM {qualified(target.schema, target.name)} AS c WHERE {present} "
        f"AND NOT EXISTS (SELECT FROM {parent} AS p WHERE {same('p', 'c', key.parent_columns, key.columns)}) "
        f"RETURNING {source_key(target, mapped, 'c')} AS key, {referenced_values('c', key.columns)} AS waits_for"
    )


def find_orphans(reference: Reference) -> str:
    """Mark staged children whose parent will not exist as gone; returns source key and the values they wait for."""
    child, key = reference.child, reference.key
    present = " AND ".join(f"s.{quote(c)} IS NOT NULL" for c in key.columns)
    staged_parent, survives = "", ""
    if (parent := reference.parent) is not None:
        staged = same("p", "s", key.parent_columns, key.columns)
        staged_parent = f"AND NOT EXISTS (SELECT FROM {parent.stage} AS p WHERE NOT p._cdc_gone AND {staged}) "
        survives = f" AND NOT EXISTS (SELECT FROM {parent.stage} AS g WHERE {same('g', 'p', parent.key)})"
    existing = same("p", "s", key.parent_columns, key.columns)
    return (
        f"UPDATE {child.stage} AS s SET _cdc_gone = true WHERE NOT s._cdc_gone AND {present} {staged_parent}"
        f"AND NOT EXISTS (SELECT FROM {qualified(key.parent_schema, key.parent)} AS p WHERE {existing}{survives}) "
        f"RETURNING {child.source_key('s')} AS key, {referenced_values('s', key.columns)} AS waits_for"
    )


def find_abandoned(reference: Reference) -> str | None:
    """Stage children as gone that stay in SQLite while their parent leaves; None when the parent is not replicated.

    Postgres would delete them by itself under ON DELETE CASCADE, silently, or refuse the parent's delete otherwise.
    """
    child, parent, key = reference.child, reference.parent, reference.key
    if parent is None:
        return None
    names, values = child.take(list(dict.fromkeys((*child.key, *key.columns))), "c")
    moves = f"(s._cdc_gone OR {_changed('s', 'p', key.parent_columns)})"
    return (
        f"INSERT INTO {child.stage} ({names}, _cdc_gone) "
        f"SELECT DISTINCT {values}, true FROM {parent.stage} AS s "
        f"JOIN {parent.name} AS p ON {same('s', 'p', parent.key)} "
        f"JOIN {child.name} AS c ON {same('c', 'p', key.columns, key.parent_columns)} WHERE {moves} "
        f"AND NOT EXISTS (SELECT FROM {parent.stage} AS n WHERE NOT n._cdc_gone "
        f"AND {same('n', 'c', key.parent_columns, key.columns)}) "
        f"AND NOT EXISTS (SELECT FROM {child.stage} AS x WHERE {same('x', 'c', child.key)}) "
        f"RETURNING {child.source_key(child.stage)} AS key, {referenced_values(child.stage, key.columns)} AS waits_for"
    )


def stage_dragged(reference: Reference) -> str | None:
    """Stage children as they are now, where Postgres would bend them along with their parent; else None.

    SQLite did so only if it enforced foreign keys, and then the children were logged too.
    """
    child, parent, key = reference.child, reference.parent, reference.key
    if parent is None or not reference.drags:
        return None
    names, values = child.take(child.columns, "c")
    return (
        f"INSERT INTO {child.stage} ({names}) "
        f"SELECT {values} FROM {parent.stage} AS s "
        f"JOIN {parent.name} AS p ON {same('s', 'p', parent.key)} "
        f"JOIN {child.name} AS c ON {same('c', 'p', key.columns, key.parent_columns)} "
        f"WHERE (s._cdc_gone OR {_changed('s', 'p', key.parent_columns)}) "
        f"AND NOT EXISTS (SELECT FROM {child.stage} AS x WHERE {same('x', 'c', child.key)})"
    )


def repoint(reference: Reference) -> str:
    """Let the staged children refer to the parents they end up with, before anything else moves."""
    child, columns = reference.child, reference.key.columns
    sets = ", ".join(f"{quote(c)} = s.{quote(c)}" for c in columns)
    return (
        f"UPDATE {child.name} AS t SET {sets} FROM {child.stage} AS s "
        f"WHERE NOT s._cdc_gone AND {same('s', 't', child.key)} AND {_changed('s', 't', columns)}"
    )


def find_released(reference: Reference) -> str | None:
    """Keys of quarantined orphans whose parent is staged now; $1 is the source id, $2 `waits_table`."""
    parent = reference.parent
    if parent is None:
        return None
    return (
        f"SELECT DISTINCT q.key FROM cdc.quarantine AS q JOIN {parent.stage} AS s "
        f"ON q.waits_for = {referenced_values('s', reference.key.parent_columns)} "
        f"WHERE q.source_id = $1 AND q.waits_table = $2 AND q.source_table = $3 AND NOT s._cdc_gone"
    )


def _changed(left: str, right: str, columns: Sequence[str]) -> str:
    return "(" + " OR ".join(f"{left}.{quote(c)} IS DISTINCT FROM {right}.{quote(c)}" for c in columns) + ")"


_STAND_INS: Final = {
    "text": "'cdc:' || gen_random_uuid()",
    "varchar": "'cdc:' || gen_random_uuid()",
    "bytea": "uuid_send(gen_random_uuid())",
    "uuid": "gen_random_uuid()",
    "int8": "(-9223372036854775808 + (random() * 4e18)::bigint)",
    "int4": "(-2147483648 + (random() * 1e9)::int)",
    "float8": "(-1e300 * (1 + random()))",
    "numeric": "(-1e60::numeric - (random() * 1e15)::numeric)",
}


def _encoded(value: str, column: TargetColumn) -> str:
    written = _ENCODED.get(column.base)
    return written.format(value=value) if written else _escaped("t", value)


# SQLite's NUMERIC affinity keeps whole numbers of up to 64 bits as integers, all else as reals.
_WHOLE: Final = "{value} = trunc({value}) AND abs({value}) < 9223372036854775807"
_INTEGER: Final = "'i' || {value}"
_REAL: Final = "'r' || encode(float8send({value}::float8), 'hex')"
_ENCODED: Final = {
    "int2": _INTEGER,
    "int4": _INTEGER,
    "int8": _INTEGER,
    "bool": "'i' || {value}::int",
    "float4": _REAL,
    "float8": _REAL,
    "bytea": "'b' || encode({value}, 'hex')",
    "date": "'t' || to_char({value}, 'YYYY-MM-DD')",
    "numeric": f"CASE WHEN {_WHOLE} THEN 'i' || trunc({{value}})::bigint ELSE {_REAL} END",
}


def _escaped(kind: str, value: str) -> str:
    return f"'{kind}' || replace(replace({value}::text, E'\\x1b', E'\\x1be'), E'\\x1f', E'\\x1bs')"
