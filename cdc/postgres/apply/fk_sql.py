"""The SQL about children and their parents on the way to a consistent stage: who is orphaned, who waits. Pure text."""

from collections.abc import Sequence
from dataclasses import dataclass

from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetForeignKey, TargetTable
from cdc.postgres.apply.stage_sql import AppliedTable, same
from cdc.postgres.record.quarantine import waits_table
from cdc.postgres.tables.shares import is_own
from cdc.postgres.tables.source_key_sql import digest, source_key
from cdc.sql_names import qualified, quote


@dataclass(frozen=True, slots=True)
class FamilyLink:
    """A foreign key between two replicated tables, or to a table that is not replicated (`parent` is None)."""

    key: TargetForeignKey
    child: AppliedTable
    parent: AppliedTable | None

    @property
    def drags(self) -> bool:
        """Whether moving parents can bend children that stay: the columns they refer to are not the parents' key.

        Such a value may change owners, and what Postgres does with the children of the old owner (cascade, set null)
        is not what SQLite did.
        """
        return self.parent is not None and set(self.key.parent_columns) != set(self.parent.key)

    @property
    def waits_table(self) -> str:
        """Parent and referenced columns as one text, under which orphans wait in quarantine: `schema.table(column)`."""
        return waits_table(self.key)


def referenced_values(alias: str, columns: Sequence[str]) -> str:
    """SQL that writes referenced column values as one text, the same from the child's and from the parent's side.

    concat_ws leaves out NULL: where a parent has one, the text has a part less, and is that of no child.
    """
    return "concat_ws(E'\\x1f', " + ", ".join(f"{alias}.{quote(c)}::text" for c in columns) + ")"


def delete_orphans(target: TargetTable, mapped: TableMap, key: TargetForeignKey) -> str:
    """Delete rows whose parent does not exist; returns source key and the values they wait for."""
    present = " AND ".join(f"c.{quote(c)} IS NOT NULL" for c in key.columns)
    parent = qualified(key.parent_schema, key.parent)
    return (
        f"DELETE FROM {qualified(target.schema, target.name)} AS c WHERE {present} "
        f"AND NOT EXISTS (SELECT FROM {parent} AS p WHERE {same('p', 'c', key.parent_columns, key.columns)}) "
        f"RETURNING {source_key(target, mapped, 'c')} AS key, {referenced_values('c', key.columns)} AS waits_for"
    )


def find_orphans(reference: FamilyLink) -> str:
    """Mark staged children whose parent will not exist as gone; returns source key and the values they wait for."""
    child, key = reference.child, reference.key
    # With a NULL in any of its columns a foreign key refers to nothing, in both databases (Postgres: MATCH SIMPLE).
    present = " AND ".join(f"s.{quote(c)} IS NOT NULL" for c in key.columns)
    staged_parent, survives = "", ""
    if (parent := reference.parent) is not None:
        # A parent of which anything is staged will be as it is staged; only the others stay as they are.
        staged = same("p", "s", key.parent_columns, key.columns)
        staged_parent = f"AND NOT EXISTS (SELECT FROM {parent.stage} AS p WHERE NOT p._cdc_gone AND {staged}) "
        survives = f" AND NOT EXISTS (SELECT FROM {parent.stage} AS g WHERE {same('g', 'p', parent.key)})"
    existing = same("p", "s", key.parent_columns, key.columns)
    return (
        f"UPDATE {child.stage} AS s SET _cdc_gone = true WHERE NOT s._cdc_gone AND {present} {staged_parent}"
        f"AND NOT EXISTS (SELECT FROM {qualified(key.parent_schema, key.parent)} AS p WHERE {existing}{survives}) "
        f"RETURNING {child.source_key('s')} AS key, {referenced_values('s', key.columns)} AS waits_for"
    )


def find_abandoned(reference: FamilyLink) -> str | None:
    """Stage a table's own rows as gone that stay in SQLite while their parent leaves; None when that is not replicated.

    Postgres would delete them by itself under ON DELETE CASCADE, silently, or refuse the parent's delete otherwise.
    """
    child, parent, key = reference.child, reference.parent, reference.key
    if parent is None:
        return None
    names, values = child.take(list(dict.fromkeys((*child.key, *key.columns))), "c")
    # Not where another parent takes the value over, nor children of which something is staged: see `find_orphans`.
    moves = f"(s._cdc_gone OR {_changed('s', 'p', key.parent_columns)})"
    return (
        f"INSERT INTO {child.stage} ({names}, _cdc_gone) "
        f"SELECT DISTINCT {values}, true FROM {parent.stage} AS s "
        f"JOIN {parent.name} AS p ON {same('s', 'p', parent.key)} "
        f"JOIN {child.name} AS c ON {same('c', 'p', key.columns, key.parent_columns)} "
        f"WHERE {moves} AND {is_own(child.mapped, 'c')} "
        f"AND NOT EXISTS (SELECT FROM {parent.stage} AS n WHERE NOT n._cdc_gone "
        f"AND {same('n', 'c', key.parent_columns, key.columns)}) "
        f"AND NOT EXISTS (SELECT FROM {child.stage} AS x WHERE {same('x', 'c', child.key)}) "
        f"RETURNING {child.source_key(child.stage)} AS key, {referenced_values(child.stage, key.columns)} AS waits_for"
    )


def stage_dragged(reference: FamilyLink) -> str | None:
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
        f"WHERE (s._cdc_gone OR {_changed('s', 'p', key.parent_columns)}) AND {is_own(child.mapped, 'c')} "
        f"AND NOT EXISTS (SELECT FROM {child.stage} AS x WHERE {same('x', 'c', child.key)})"
    )


def repoint(reference: FamilyLink) -> str:
    """Let the staged children refer to the parents they end up with, before anything else moves."""
    child, columns = reference.child, reference.key.columns
    sets = ", ".join(f"{quote(c)} = s.{quote(c)}" for c in columns)
    return (
        f"UPDATE {child.name} AS t SET {sets} FROM {child.stage} AS s "
        f"WHERE NOT s._cdc_gone AND {same('s', 't', child.key)} AND {_changed('s', 't', columns)}"
    )


def find_released(reference: FamilyLink) -> str | None:
    """Keys of quarantined orphans whose parent is staged now; $1 is the source id, $2 `waits_table`."""
    parent = reference.parent
    if parent is None:
        return None
    return (
        f"SELECT DISTINCT q.key FROM cdc.quarantine AS q JOIN {parent.stage} AS s "
        f"ON q.waits_digest = {digest(referenced_values('s', reference.key.parent_columns))} "
        f"WHERE q.source_id = $1 AND q.waits_table = $2 AND q.source_table = $3 AND NOT s._cdc_gone"
    )


def _changed(left: str, right: str, columns: Sequence[str]) -> str:
    return "(" + " OR ".join(f"{left}.{quote(c)} IS DISTINCT FROM {right}.{quote(c)}" for c in columns) + ")"
