"""The SQL that moves a target table to the state in its stage. Pure text; `apply` runs it.

A stage is a temporary table with the mapped columns of its target, `_cdc_gone`, which marks keys that must not exist
afterwards, and `_cdc_turn`, a number that grows with each row that is staged. The row of a key with the highest one
wins: a row's place in the table (its ctid) says nothing, for a small row finds room on an earlier page.
"""

import functools
from collections.abc import Sequence
from typing import Final

from cdc.errors import TargetMismatch
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable, TargetUnique
from cdc.postgres.ddl.retype import retyped_columns
from cdc.postgres.ddl.schema_script import typed
from cdc.postgres.tables.key_map import SOURCE_KEY, Crosswalk
from cdc.postgres.tables.shares import is_own
from cdc.postgres.tables.source_key_sql import source_key
from cdc.sql_names import listed, qualified, quote, quote_literal
from cdc.values.converter import TableConverter
from cdc.values.registry import TYPES
from cdc.values.texts import CHAR, TEXT, VARCHAR

# All other types are compared as text: citext and some collations ignore case, json has no equality at all.
_SAME_WHEN_EQUAL: Final = frozenset(type_.base for type_ in TYPES.values() if type_.same_when_equal)
TURNS: Final = "cdc_turns"  # the sequence of `_cdc_turn`, one for all stages: each takes a lock
_TEXT: Final = frozenset((TEXT.base, VARCHAR.base, CHAR.base))


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
        self.retyped = {column.target for column in retyped_columns(mapped)}
        self.provisional = frozenset(column.target for column in mapped.columns if column.provisional)
        self.columns = mapped.target_columns
        key = [self.column(name) for name in mapped.key]
        self.crosswalk = Crosswalk(source_id, self.source_name, self.stage, key) if mapped.crosswalk else None
        self.buries = mapped.key_lasts
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
        # Made from a query: LIKE would take over NOT NULL, and of a row that is gone only the key is known.
        return (
            f"CREATE TEMP TABLE {self.stage} ON COMMIT DELETE ROWS AS "
            f"SELECT {', '.join(map(self._staged, self.columns))}, {own}false AS _cdc_gone, 0::bigint AS _cdc_turn "
            f"FROM {self.name} WITH NO DATA; "
            f"ALTER TABLE {self.stage} ALTER _cdc_gone SET DEFAULT false, "
            f"ALTER _cdc_turn SET DEFAULT nextval('pg_temp.{TURNS}');"
        )

    def _staged(self, name: str) -> str:
        base = self.column(name).domain_of
        if name in self.retyped:  # the target is not there yet
            mapped = next(c for c in self.mapped.columns if c.target == name)
            return f"NULL::{base or typed(mapped)} AS {quote(name)}"
        return f"{quote(name)}::{base} AS {quote(name)}" if base else quote(name)

    def keep_latest(self) -> str:
        """Leave only the newest staged row of each key."""
        names = (SOURCE_KEY,) if self.crosswalk else self.key
        newest = f"SELECT {listed(names)}, max(_cdc_turn) AS _cdc_turn FROM {self.stage} GROUP BY {listed(names)}"
        older = f"s._cdc_turn < n._cdc_turn AND {same('s', 'n', names)}"
        return f"DELETE FROM {self.stage} AS s USING ({newest}) AS n WHERE {older}"

    def stage_unseen(self) -> str:
        """Every own row of the target that was not staged is gone: for tables that were read as a whole."""
        return (
            f"INSERT INTO {self.stage} ({listed(self.key)}, _cdc_gone) "
            f"SELECT {listed(self.key, 't')}, true FROM {self.name} AS t "
            f"WHERE {is_own(self.mapped, 't')} "
            f"AND NOT EXISTS (SELECT FROM {self.stage} AS s WHERE {same('s', 't', self.key)})"
        )

    def unseen_key(self) -> str:
        """SQL that writes the source key of a row that `stage_unseen` stages, as `encode_key` does."""
        if self.crosswalk is None:
            return source_key(self.target, self.mapped, self.stage)
        return self.crosswalk.source_key(self.stage)

    def among(self) -> str:
        """Which places of the keys, given as one array a key column, are of rows that the target has; from 0."""
        keys = f"unnest({self._arrays(self.key, 1)}) WITH ORDINALITY AS s ({listed(self.key)}, _cdc_place)"
        return f"SELECT s._cdc_place - 1 AS place FROM {keys} JOIN {self.name} AS t ON {same('s', 't', self.key)}"

    def reject_subset(self) -> str:
        """Mark staged rows as gone by ctid; returns their source keys, encoded."""
        marked = f"UPDATE {self.stage} AS s SET _cdc_gone = true WHERE ctid = ANY($1::tid[])"
        return f"{marked} RETURNING {self.source_key('s')}"

    def source_key(self, alias: str) -> str:
        """SQL that writes the source key of a staged row as `cdc.facts.row_key.encode_key` does."""
        return f"{alias}.{SOURCE_KEY}" if self.crosswalk else source_key(self.target, self.mapped, alias)

    def take(self, columns: Sequence[str], alias: str) -> tuple[str, str]:
        """Names in the stage and SQL for their values, to stage some columns of a row that the target has."""
        names, values = listed(columns), listed(columns, alias)
        if self.crosswalk is None:
            return names, values
        return f"{names}, {SOURCE_KEY}", f"{values}, {self.crosswalk.source_key(alias)}"

    def column(self, name: str) -> TargetColumn:
        """A mapped column of the target; the converter has checked that it exists."""
        column = self.target.column(name)
        if column is None:
            raise KeyError(name)
        return column

    @property
    def has_arrays(self) -> bool:
        """Whether a column holds arrays: an array of these, one a row, would fall apart into all of their elements."""
        return any(self.column(name).base.startswith("_") for name in self.columns)

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
        exists = f"t.{quote(self.key[0])} IS NOT NULL"
        changed = " OR ".join(self._differs(c, "s") for c in self.columns if c not in self.key) or "false"
        return (
            f"SELECT count(*) FILTER (WHERE s._cdc_gone AND {exists}) AS deleted, "
            f"count(*) FILTER (WHERE NOT s._cdc_gone AND (NOT {exists} OR {changed})) AS upserted "
            f"FROM {self.stage} AS s LEFT JOIN {self.name} AS t ON {same('s', 't', self.key)}"
        )

    def replaced(self, *, gone: bool) -> str:
        """The rows of the target that moving the stage deletes, or else changes, as they are now."""
        changed = " OR ".join(self._differs(c, "s") for c in self.columns if c not in self.key) or "false"
        which = "s._cdc_gone" if gone else f"NOT s._cdc_gone AND ({changed})"
        columns = listed([c.name for c in self.target.columns if not c.generated], "t")
        return (
            f"SELECT {columns} FROM {self.name} AS t JOIN {self.stage} AS s ON {same('s', 't', self.key)} WHERE {which}"
        )

    def unmoved(self, rows: str, *, gone: bool) -> str:
        """Count the rows given as `rows` (SQL for FROM, as `s`) that are not in the target as they should be.

        Those are keys that are there although they are `gone`, or else rows that are missing or other than given.
        """
        joined = f"SELECT count(*) FROM {rows} {'' if gone else 'LEFT '}JOIN {self.name} AS t"
        where = f"{joined} ON {same('s', 't', self.key)} WHERE "
        if gone:
            # Where unequal keys count as the same, the row of another key would be taken for one that should be gone.
            return where + ("true" if all(map(self._is_plain, self.key)) else "false")
        changed = [self._differs(c, "s") for c in self.columns if c not in self.key]
        return where + " OR ".join([f"t.{quote(self.key[0])} IS NULL", *changed])

    def unmoved_from_stage(self, *, gone: bool) -> str:
        """The same for what is staged."""
        staged = f"(SELECT * FROM {self.stage} WHERE {'' if gone else 'NOT '}_cdc_gone) AS s"
        return self.unmoved(staged, gone=gone)

    def unmoved_arrays(self, *, gone: bool) -> str:
        """The same for rows, or keys that are gone, given as one array a column."""
        names = self.key if gone else self.columns
        return self.unmoved(f"unnest({self._arrays(names, 1)}) AS s ({listed(names)})", gone=gone)

    @property
    def reacts(self) -> str:
        """SQL that is true when something on the target may change our writes or hide rows.

        That are triggers that fire, rules, and row level security.
        """
        place = f"{quote_literal(self.name)}::regclass"
        # A row that goes to a partition fires the partition's own triggers too.
        tables = f"IN (SELECT relid FROM pg_partition_tree({place}))" if self.target.partitioned else f"= {place}"
        ours = "SELECT FROM pg_proc AS f WHERE f.oid = tgfoid AND f.pronamespace = to_regnamespace('cdc')"
        trigger = f"SELECT FROM pg_trigger WHERE tgrelid {tables} AND NOT tgisinternal AND tgenabled IN ('O', 'A')"
        trigger += f" AND NOT EXISTS ({ours})"
        rules = f"SELECT relhasrules FROM pg_class WHERE oid = {place}"
        return f"(EXISTS ({trigger}) OR ({rules}) OR row_security_active({place}::oid))"

    def park(self, unique: TargetUnique) -> str | None:
        """Take a unique value from a staged row that gives it up, when another staged row wants it.

        None when no column of the key can hold a stand-in. The row itself stays, so children keep their parent.
        """
        stand_in = self._stand_in(unique)
        if stand_in is None:
            return None
        column, value = stand_in
        columns = unique.columns
        gives_up = f"(s._cdc_gone OR ({listed(columns, 's')}) IS DISTINCT FROM ({listed(columns, 't')}))"
        other = f"EXISTS (SELECT FROM {self.stage} AS w WHERE NOT w._cdc_gone AND {same('w', 't', columns)} "
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
            # A row that is there already as it is costs no write, and is not counted.
            changed = " OR ".join(self._differs(c) for c in others)
            action = f"UPDATE SET {sets} WHERE {changed}"
        # Else a column GENERATED ALWAYS AS IDENTITY takes no value that is given.
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
        cast = "" if self._is_plain(name) else '::text COLLATE "C"'
        return f"t.{quote(name)}{cast} IS DISTINCT FROM {new}.{quote(name)}{cast}"

    def _is_plain(self, name: str) -> bool:
        """Whether what `=` calls equal is the same."""
        column = self.column(name)
        return column.base in _SAME_WHEN_EQUAL or (column.base in _TEXT and column.deterministic)

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


def same(left: str, right: str, columns: Sequence[str], right_columns: Sequence[str] | None = None) -> str:
    """SQL that is true where two aliases agree in all of these columns, which may have other names on the right."""
    pairs = zip(columns, right_columns or columns, strict=True)
    return " AND ".join(f"{left}.{quote(a)} = {right}.{quote(b)}" for a, b in pairs)


# SQL for values that hardly any row has. Where one is taken after all it is refused, and the value waits for its row.
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
