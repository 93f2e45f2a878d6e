"""SQLite values as Postgres stores them, compiled per table from the Postgres catalogue. Rejects, never alters.

What each type takes is promised in the families (`cdc.values.registry.PROMISES`), and docs/types.md is made of that.
NULL stays NULL, and is rejected where the column is NOT NULL. A value that could not be computed is rejected whatever
the operator chose for values that do not fit: it is none.
"""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from types import NoneType

from cdc.errors import TargetMismatch
from cdc.facts.changes import Reason, Rejection
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.facts.values import Failed, KeyValues, NullKey, Row, Value
from cdc.values.column_rules import encoder_for, problem_with
from cdc.values.documents import is_document
from cdc.values.encoder import NOTHING_YET, Encoder, Kinds, Unfit, sparing
from cdc.values.registry import SUPPORTED


@dataclass(frozen=True)
class Converted:
    """Rows made ready for Postgres: `rows` and their raw `keys` in the same order, and the `rejected` with the reason.

    `altered` counts, by column, values that became others because the operator chose so.
    """

    rows: list[tuple[object, ...]] = field(default_factory=list)
    rejected: list[tuple[KeyValues, Rejection]] = field(default_factory=list)
    altered: Mapping[str, int] = field(default_factory=dict)
    _raw: Sequence[Row] = ()
    _key_width: int = 0

    @cached_property
    def keys(self) -> list[KeyValues]:
        """The raw keys of `rows`; made when asked for, because a bulk load never does."""
        return [row[: self._key_width] for row in self._raw]

    def without(self, places: Container[int]) -> "Converted":
        """The same without the rows at some places."""
        stays = [place not in places for place in range(len(self.rows))]
        return replace(self, rows=list(compress(self.rows, stays)), _raw=list(compress(self._raw, stays)))


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of the target and its encoder. `never_null` says why no NULL may come, in words; empty where it may.

    Rows are found by their key, and NULL equals nothing: not even where an adopted table would take it.
    """

    target: TargetColumn
    encoder: Encoder
    never_null: str = ""

    def values(self, raw: Sequence[Value], rejections: dict[int, Rejection]) -> Sequence[object]:
        """The column's values for Postgres; places without one are added to `rejections`, where they are not yet."""
        kinds: Kinds = set(map(type, raw))
        if not ((NoneType in kinds and self.never_null) or Failed in kinds):
            encoded = self.encoder.column(raw, kinds)
            if encoded is not None:
                return encoded
        singly = [self.scalar(value) for value in raw]
        for place, result in enumerate(singly):
            if isinstance(result, Rejection):
                # A row is refused for the first of its columns that does not fit.
                rejections.setdefault(place, result)
        return singly

    def scalar(self, value: Value) -> object:
        """One value for Postgres, or the rejection."""
        if value is None or isinstance(value, NullKey):
            return self._rejection(f"is NULL, and it is {self.never_null}") if self.never_null else None
        if isinstance(value, Failed):
            return self._failure(value)
        try:
            return self.encoder.scalar(value)
        except Unfit as unfit:
            return self._rejection(str(unfit), by_type=True)

    def _failure(self, failed: Failed) -> Rejection:
        name = self.target.name
        return Rejection(
            column=name,
            reason=Reason.VALUE,
            detail=f"the value for column {name} could not be computed: {failed.reason}",
            remedy=f"correct the row in SQLite, or what computes {name} in the configuration; then run `cdc quarantine "
            "retry`",
        )

    def _rejection(self, wrong: str, *, by_type: bool = False) -> Rejection:
        name, kind = self.target.name, self.target.type
        return Rejection(
            column=name,
            reason=Reason.VALUE,
            detail=f"the value for column {name} ({kind}) {wrong}",
            remedy=f"correct it in SQLite, or give {name} a type or a format that fits; {kind} takes "
            f"{self.encoder.takes}",
            by_type=by_type,
        )


@dataclass(frozen=True, slots=True)
class TableConverter:
    """Makes rows of one table ready for Postgres."""

    _key_width: int  # of the source key, with which rows begin
    _columns: tuple[_Column, ...]
    _key: tuple[_Column, ...]
    _altered: Counter[str]  # by the encoders of the columns, since the last rows

    def rows(self, raw: Sequence[Row]) -> Converted:
        """What Postgres is to store for rows that hold the key and then the mapped columns."""
        if not raw:
            return Converted()
        width = self._key_width
        rejections: dict[int, Rejection] = {}
        # Column by column, because one call of C for thousands of values is what makes this fast.
        columns = zip(self._columns, list(zip(*raw, strict=True))[width:], strict=True)
        rows = list(zip(*[column.values(values, rejections) for column, values in columns], strict=True))
        altered = dict(self._altered)
        self._altered.clear()
        if not rejections:
            return Converted(rows, [], altered, raw, width)
        stays = [place not in rejections for place in range(len(raw))]
        rejected = [(raw[place][:width], rejections[place]) for place in sorted(rejections)]
        return Converted(list(compress(rows, stays)), rejected, altered, list(compress(raw, stays)), width)

    def reasons(self, raw: Row) -> list[Rejection]:
        """Everything that is wrong with a row, not only what is found first."""
        found = [column.scalar(value) for column, value in zip(self._columns, raw[self._key_width :], strict=True)]
        self._altered.clear()  # by `rows` they were counted already
        return [result for result in found if isinstance(result, Rejection)]

    def key(self, raw: KeyValues) -> tuple[object, ...] | Rejection:
        """The key's columns in Postgres for a source key, or why no row there can have that key.

        Not for tables with a crosswalk, whose key there follows from the whole row.
        """
        key = tuple(column.scalar(value) for column, value in zip(self._key, raw, strict=True))
        return next((part for part in key if isinstance(part, Rejection)), key)


# --- compiling --------------------------------------------------------------------------------------------------------


def compile_converter(table: TableMap, target: TargetTable) -> TableConverter:
    """The converter of a mapped table for its target as the catalogue tells it.

    Raises `TargetMismatch` that names everything that does not fit at once: columns that are missing, generated by
    Postgres or of a type that is not supported, and NOT NULL columns without a default that nothing feeds.
    """
    problems: list[str] = []
    altered = Counter[str]()
    columns = {column.target: _compiled(table, column, target, altered, problems) for column in table.columns}
    problems += [f"key column {name} is not mapped" for name in table.key if name not in columns]
    problems += [
        f"column {column.name} is NOT NULL without a default, and nothing feeds it"
        for column in target.columns
        if column.name not in columns and _must_be_fed(column)
    ]
    if problems:
        raise TargetMismatch(
            f"table {target.schema}.{target.name} cannot take the rows of {table.source.name}: {'; '.join(problems)}",
            remedy="change that table in Postgres, or the mapping under [tables] in the configuration",
        )
    compiled = {name: column for name, column in columns.items() if column is not None}
    key = tuple(compiled[name] for name in table.key)
    return TableConverter(table.source_key_width, tuple(compiled.values()), key, altered)


def _must_be_fed(column: TargetColumn) -> bool:
    return column.not_null and not (column.has_default or column.generated or column.identity)


def _compiled(
    table: TableMap, column: ColumnMap, target: TargetTable, altered: Counter[str], problems: list[str]
) -> _Column | None:
    fed = target.column(column.target)
    if fed is None:
        problems.append(f"column {column.target} does not exist there")
        return None
    if column.target in table.key:
        fed = replace(fed, not_null=True)  # a unique column may allow NULL, and a row must be found by its key
    if fed.generated:
        problems.append(f"column {column.target} is generated by Postgres")
        return None
    rules = table.reading(column, fed)
    encoder = encoder_for(fed, rules, literal=column.literal, schema=column.schema, altered=altered)
    if encoder is not None and column.undecided:
        encoder = NOTHING_YET
    if column.schema and not is_document(fed):
        problems.append(f"column {column.target} has type {fed.type}, and a JSON Schema is for documents")
        return None
    if encoder is None:
        wrong = "must be text to hold literals" if column.literal else f"is not one of {', '.join(SUPPORTED)}"
        problems.append(f"column {column.target} has type {fed.type}, which {problem_with(fed, rules) or wrong}")
        return None
    if table.share and table.share.rest and column.target == table.share.column:
        encoder = sparing(encoder, table.share.values)
    return _Column(fed, encoder, "NOT NULL" if fed.not_null else "")
