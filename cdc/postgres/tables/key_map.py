"""Which row of Postgres is which row of SQLite, where the key there says nothing of the key here.

An adopted table may be keyed by a UUID that is made of other values, or by columns that can change while SQLite's key
stays. `cdc.crosswalk` then keeps the source key of each row by its key in Postgres, written in the transaction that
moves the rows; both are found by their digests. A staged row carries its source key in `_cdc_key`; before rows move,
the stage is brought to what every other table's stage is: one row for each key of Postgres.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.postgres.tables.source_key_sql import digest
from cdc.sql_names import quote, quote_literal

SOURCE_KEY: Final = "_cdc_key"


@dataclass(frozen=True, slots=True)
class Crosswalk:
    """The statements for one source table and its stage. `key` are the columns of its key in Postgres."""

    source_id: str
    table: str
    stage: str
    key: Sequence[TargetColumn]

    def source_key(self, alias: str) -> str:
        """SQL that gives the source key of a row of the target, NULL for one that is not known."""
        return f"(SELECT x.source_key FROM {self._known} AND {self._is_row(alias)})"

    def find_gone(self) -> str:
        """Give rows that are gone the key that they have in Postgres; those that never arrived keep none."""
        sets = ", ".join(f"{quote(c.name)} = (x.target_key[{n}])::{c.type}" for n, c in enumerate(self.key, 1))
        return f"UPDATE {self.stage} AS s SET {sets} FROM {self._known} AND s._cdc_gone AND {self._is_source_of('s')}"

    def reject_twins(self) -> str:
        """Mark staged rows as gone whose key another row has or gets; returns their source keys.

        A row that has the key keeps it unless it leaves or moves to another key. Of several that would get it, the one
        with the first source key does.
        """
        staged_twin = (
            f"SELECT FROM {self.stage} AS o WHERE NOT o._cdc_gone AND o.{SOURCE_KEY} <> s.{SOURCE_KEY} "
            f"AND {self._same('o', 's')} "
            f"AND ({self._owns('o')} OR (NOT {self._owns('s')} AND o.{SOURCE_KEY} < s.{SOURCE_KEY}))"
        )
        stays = (
            f"SELECT FROM {self._known} AND {self._is_row('s')} AND x.source_key <> s.{SOURCE_KEY} "
            f"AND NOT EXISTS (SELECT FROM {self.stage} AS o WHERE o.{SOURCE_KEY} = x.source_key)"
        )
        return (
            f"UPDATE {self.stage} AS s SET _cdc_gone = true, {self._no_key} "
            f"WHERE NOT s._cdc_gone AND (EXISTS ({staged_twin}) OR EXISTS ({stays})) RETURNING s.{SOURCE_KEY}"
        )

    def leave_old_keys(self) -> str:
        """Stage the keys that rows had before they moved to another one as gone."""
        names = ", ".join(quote(c.name) for c in self.key)
        values = ", ".join(f"(x.target_key[{n}])::{c.type}" for n, c in enumerate(self.key, 1))
        return (
            f"INSERT INTO {self.stage} ({names}, _cdc_gone) "
            f"SELECT {values}, true FROM {self.stage} AS s, {self._known} "
            f"AND {self._is_source_of('s')} AND NOT s._cdc_gone AND NOT {self._is_row('s')}"
        )

    def keep_taken(self) -> str:
        """Take back that a key is gone which one row leaves and another one takes."""
        return (
            f"UPDATE {self.stage} AS g SET {self._no_key} FROM {self.stage} AS o "
            f"WHERE g._cdc_gone AND NOT o._cdc_gone AND {self._same('o', 'g')}"
        )

    def remember(self, *, whole: bool) -> Iterator[str]:
        """After the rows moved: forget the keys of all that were staged, and note those of the rows that are there."""
        if whole:
            yield f"DELETE FROM {self._known}"
        else:
            staged = f"DELETE FROM cdc.crosswalk AS x USING {self.stage} AS s WHERE {self._ours}"
            yield f"{staged} AND {self._is_source_of('s')}"
            yield f"{staged} AND s._cdc_gone AND {self._is_row('s')}"
        yield (
            f"INSERT INTO cdc.crosswalk "
            f"(source_id, source_table, source_key, target_key, source_digest, target_digest) "
            f"SELECT {quote_literal(self.source_id)}, {quote_literal(self.table)}, s.{SOURCE_KEY}, {self._texts('s')}, "
            f"{digest(f's.{SOURCE_KEY}')}, {self._texts_digest('s')} "
            f"FROM {self.stage} AS s WHERE NOT s._cdc_gone"
        )

    @property
    def _ours(self) -> str:
        return f"x.source_id = {quote_literal(self.source_id)} AND x.source_table = {quote_literal(self.table)}"

    @property
    def _known(self) -> str:
        return f"cdc.crosswalk AS x WHERE {self._ours}"

    @property
    def _no_key(self) -> str:
        return ", ".join(f"{quote(c.name)} = NULL" for c in self.key)

    def _owns(self, alias: str) -> str:
        """Whether a staged row has the key already that it is staged with."""
        return f"EXISTS (SELECT FROM {self._known} AND {self._is_row(alias)} AND {self._is_source_of(alias)})"

    def _is_source_of(self, alias: str) -> str:
        """Whether a note is about the source row that was staged."""
        return f"x.source_digest = {digest(f'{alias}.{SOURCE_KEY}')}"

    def _is_row(self, alias: str) -> str:
        """Whether a note is about the row of the target, or about the one that is staged for it."""
        return f"x.target_digest = {self._texts_digest(alias)}"

    def _texts(self, alias: str) -> str:
        return "ARRAY[" + ", ".join(f"{alias}.{quote(c.name)}::text" for c in self.key) + "]"

    def _texts_digest(self, alias: str) -> str:
        return digest(f"({self._texts(alias)})::text")

    def _same(self, left: str, right: str) -> str:
        return " AND ".join(f"{left}.{quote(c.name)} = {right}.{quote(c.name)}" for c in self.key)
