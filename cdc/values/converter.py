"""SQLite values as Postgres stores them, compiled per table from the Postgres catalogue. Rejects, never alters.

| Postgres type | takes | everything else is rejected, for example |
|---|---|---|
| smallint, integer, bigint | integers in range | any real, even 5.0; texts |
| real | reals and integers that four bytes hold exactly | 0.1 |
| double precision | reals with infinities, integers that a double holds exactly | 2^53+1 |
| numeric | integers; reals as the shortest decimal that reads back as the same double | what a precision or scale would round; -0.0; infinities where a precision is set |
| boolean | 0 and 1 | 2, 'true' |
| text, varchar(n), citext | texts without NUL, within n characters | numbers; broken UTF-8 |
| char(n) | the same without blanks at the end, where Postgres pads | 'a ' |
| bytea | blobs | texts |
| json | any valid JSON, kept character by character | NaN; more than 500 levels |
| jsonb | valid JSON whose every key, character and number it keeps | a key twice in an object; \\u0000; 1e999999 |
| json and jsonb | also integers and finite reals, as JSON numbers | blobs |
| date | 'YYYY-MM-DD' of years 1 to 9999 | '', '2024-02-30', a time of day |
| timestamp | ISO text without offset, blank or T between, to the microsecond | an offset; more digits |
| timestamptz | the same with offset or Z; the instant is kept | no offset: the zone would be a guess |
| time | 'HH:MM[:SS[.ffffff]]' | an offset; 24:00 |
| uuid | 36 lower-case characters | upper case, braces: they would read back otherwise |
| enums | their labels | other texts |
| a column mapped as literal | everything, as its SQL literal in a text column | |

NULL stays NULL, and is rejected where the column is NOT NULL. A value that could not be computed is rejected whatever
the operator chose for values that do not fit: it is none. Dates are handed on as days and timestamps as
microseconds since 2000-01-01, the numbers that Postgres keeps: Python's largest and smallest date would otherwise be
taken for infinities on the way.
"""  # noqa: E501 (a table's rows cannot be broken)

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from types import NoneType

from cdc.errors import TargetMismatch
from cdc.facts.changes import Reason, Rejection
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.facts.values import Failed, KeyValues, NullKey, Row, Value
from cdc.values.by_type import SUPPORTED
from cdc.values.encoder import Form, Kinds, Unfit
from cdc.values.formats import DOCUMENTS, form_for, problem_with


@dataclass(frozen=True)
class Converted:
    """What became of some rows: `rows` and their raw `keys` in the same order, and the `rejected` with the reason.

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


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of the target and its form. `never_null` says why no NULL may come, in words; empty where it may.

    Rows are found by their key, and NULL equals nothing: not even where an adopted table would take it.
    """

    target: TargetColumn
    form: Form
    never_null: str = ""

    def whole(self, values: Sequence[Value]) -> Sequence[object] | None:
        """The column made in one go, None when it must be looked at value by value."""
        kinds: Kinds = set(map(type, values))
        if (NoneType in kinds and self.never_null) or Failed in kinds:
            return None
        return self.form.column(values, kinds)

    def one(self, value: Value) -> object:
        """One value made, or the rejection."""
        if value is None or isinstance(value, NullKey):
            return self._rejection(f"is NULL, and it is {self.never_null}") if self.never_null else None
        if isinstance(value, Failed):
            return self._failure(value)
        try:
            return self.form.one(value)
        except Unfit as unfit:
            return self._rejection(str(unfit))

    def _failure(self, failed: Failed) -> Rejection:
        name = self.target.name
        return Rejection(
            column=name,
            reason=Reason.VALUE,
            detail=f"the value for column {name} could not be computed: {failed.reason}",
            remedy=f"correct the row in SQLite, or what computes {name} in the configuration; then run `cdc quarantine "
            "retry`",
        )

    def _rejection(self, wrong: str) -> Rejection:
        name, kind = self.target.name, self.target.type
        return Rejection(
            column=name,
            reason=Reason.VALUE,
            detail=f"the value for column {name} ({kind}) {wrong}",
            remedy=f"correct it in SQLite, or give {name} a type or a format that fits; {kind} takes {self.form.takes}",
        )


@dataclass(frozen=True, slots=True)
class TableConverter:
    """Makes rows of one table ready for Postgres."""

    _key_width: int  # of the source key, with which rows begin
    _columns: tuple[_Column, ...]
    _key: tuple[_Column, ...]
    _altered: Counter[str]  # by the forms of the columns, since the last rows

    def rows(self, raw: Sequence[Row]) -> Converted:
        """What Postgres is to store for rows that hold the key and then the mapped columns."""
        if not raw:
            return Converted()
        width = self._key_width
        bad: dict[int, Rejection] = {}
        columns = zip(self._columns, list(zip(*raw, strict=True))[width:], strict=True)
        rows = list(zip(*[_made(column, values, bad) for column, values in columns], strict=True))
        altered = self._take_altered()
        if not bad:
            return Converted(rows, [], altered, raw, width)
        good = [place not in bad for place in range(len(raw))]
        rejected = [(raw[place][:width], bad[place]) for place in sorted(bad)]
        return Converted(list(compress(rows, good)), rejected, altered, list(compress(raw, good)), width)

    def _take_altered(self) -> Mapping[str, int]:
        if not self._altered:
            return {}
        altered = dict(self._altered)
        self._altered.clear()
        return altered

    def key(self, raw: KeyValues) -> tuple[object, ...] | Rejection:
        """The key's columns in Postgres for a source key, or why no row there can have that key.

        Not for tables with a crosswalk, whose key there follows from the whole row.
        """
        made = tuple(column.one(value) for column, value in zip(self._key, raw, strict=True))
        return next((part for part in made if isinstance(part, Rejection)), made)


def _made(column: _Column, values: Sequence[Value], bad: dict[int, Rejection]) -> Sequence[object]:
    """The column made; the places whose value cannot be stored are added to `bad` unless another column did so."""
    if (made := column.whole(values)) is not None:
        return made
    singly = [column.one(value) for value in values]
    for place, result in enumerate(singly):
        if isinstance(result, Rejection):
            bad.setdefault(place, result)
    return singly


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
    made = {name: column for name, column in columns.items() if column is not None}
    key = tuple(made[name] for name in table.key)
    return TableConverter(table.source_key_width, tuple(made.values()), key, altered)


def _must_be_fed(column: TargetColumn) -> bool:
    return column.not_null and not (column.has_default or column.generated or column.identity)


def _compiled(
    table: TableMap, column: ColumnMap, target: TargetTable, altered: Counter[str], problems: list[str]
) -> _Column | None:
    found = target.column(column.target)
    if found is not None and column.target in table.key:
        found = replace(found, not_null=True)  # a unique column may allow NULL, and a row must be found by its key
    if found is None:
        problems.append(f"column {column.target} does not exist there")
        return None
    if found.generated:
        problems.append(f"column {column.target} is generated by Postgres")
        return None
    reading = table.reading(column, found)
    form = form_for(found, reading, literal=column.literal, schema=column.schema, altered=altered)
    if column.schema and found.base not in DOCUMENTS:
        problems.append(f"column {column.target} has type {found.type}, and a JSON Schema is for documents")
        return None
    if form is None and (problem := problem_with(found, reading)):
        problems.append(f"column {column.target} has type {found.type}, which {problem}")
        return None
    if form is None:
        wanted = "must be text to hold literals" if column.literal else f"is not one of {', '.join(SUPPORTED)}"
        problems.append(f"column {column.target} has type {found.type}, which {wanted}")
        return None
    never_null = "NOT NULL" if found.not_null else "part of the key" if column.target in table.key else ""
    return _Column(found, form, never_null)
