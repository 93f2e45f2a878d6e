"""What the parts of the targets are against what they should be, decided without a database.

Both sides come as Postgres writes them: what stands there, and what the statements of today make of empty tables. So a
definition that is another text is another definition. What somebody added by hand is theirs, and only worth a note.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from cdc.facts.schema_finding import SchemaFinding
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import ObjectKind, ObjectPlace, SchemaObject
from cdc.postgres.record.left_out import LeftOutPlace
from cdc.postgres.tables.statement import Made
from cdc.sql_names import qualified, quote

Objects = Mapping[ObjectPlace, SchemaObject]

NOTHING: Final = "nothing"
MAKE: Final = "`cdc schema` makes it"
FILL: Final = "`cdc verify --repair` has it filled, where the daemon has not done so by itself"
_CONSTRAINTS: Final = (ObjectKind.PRIMARY_KEY, ObjectKind.UNIQUE, ObjectKind.CHECK, ObjectKind.FOREIGN_KEY)
# What the statement would have made that was left out, as it is remembered.
_MADE: Final = {
    ObjectKind.NOT_NULL: Made.COLUMN,
    ObjectKind.UNIQUE: Made.CONSTRAINT,
    ObjectKind.CHECK: Made.CHECK,
    ObjectKind.FOREIGN_KEY: Made.FOREIGN_KEY,
    ObjectKind.INDEX: Made.INDEX,
}
_DEFERRABLE: Final = " DEFERRABLE"


def compare(
    maps: Sequence[TableMap], expected: Objects, actual: Objects, left_out: Set[LeftOutPlace]
) -> Iterator[SchemaFinding]:
    """Every part of the targets of our making that is missing or another one, table by table.

    `left_out` is what is missing because rows stood in its way.
    """
    wanted, there = _by_table(expected), _by_table(actual)
    for mapped in (m for m in maps if not m.adopted):
        yield from _Table(mapped, wanted[mapped.target], there[mapped.target], left_out).findings()


def added(maps: Sequence[TableMap], expected: Objects, actual: Objects) -> list[str]:
    """Constraints and uniqueness of the targets of our making that somebody added, as `name of table`."""
    wanted, there = _by_table(expected), _by_table(actual)
    tables = [_Table(m, wanted[m.target], there[m.target], frozenset()) for m in maps if not m.adopted]
    return [f"{place.name} of {place.table}" for table in tables for place in table.added()]


def _by_table(objects: Objects) -> Mapping[str, Objects]:
    tables: defaultdict[str, dict[ObjectPlace, SchemaObject]] = defaultdict(dict)
    for place, part in objects.items():
        tables[place.table][place] = part
    return tables


@dataclass(frozen=True, slots=True)
class _Table:
    """One target: its parts as they should be and as they are."""

    mapped: TableMap
    expected: Objects
    actual: Objects
    left_out: Set[LeftOutPlace]

    def findings(self) -> Iterator[SchemaFinding]:
        if not self.actual:
            place = ObjectPlace(self.mapped.target, ObjectKind.TABLE, "")
            yield self._finding(place, "a table", NOTHING, f"{MAKE}, and {FILL}")
            return
        for place, part in self.expected.items():
            yield from self._judge(place, part)
        for place, part in self.actual.items():
            if place not in self.expected:
                yield from self._hindering(place, part)

    def added(self) -> Iterator[ObjectPlace]:
        """What refuses rows and has no counterpart under any name."""
        for place, part in self.actual.items():
            is_unique = place.kind is ObjectKind.INDEX and part.definition.startswith("UNIQUE")
            refuses = place not in self.expected and (place.kind in _CONSTRAINTS or is_unique)
            if refuses and not self._has_a_double(place, part, self.actual, self.expected):
                yield place

    def _judge(self, place: ObjectPlace, part: SchemaObject) -> Iterator[SchemaFinding]:
        there = self.actual.get(place)
        if there is None:
            if not self._excused(place, part):
                yield self._finding(place, part.definition, NOTHING, self._to_make(place, part))
        elif not _alike(place.kind, part, there):
            yield self._finding(place, part.definition, there.definition, self._to_change(place, part))
        elif not there.usable:
            yield self._finding(place, "valid", "not valid", self._to_validate(place))

    def _excused(self, place: ObjectPlace, part: SchemaObject) -> bool:
        """Whether something missing is no finding: it was left out, has another name, or its column is told of."""
        column = ObjectPlace(place.table, ObjectKind.COLUMN, place.name)
        if place.kind not in (*_CONSTRAINTS, ObjectKind.INDEX, ObjectKind.COLUMN) and column not in self.actual:
            return True
        made = _MADE.get(place.kind)
        if made and LeftOutPlace(place.table, made, place.name) in self.left_out:
            return True
        return self._has_a_double(place, part, self.expected, self.actual)

    @staticmethod
    def _has_a_double(place: ObjectPlace, part: SchemaObject, own: Objects, others: Objects) -> bool:
        """Whether a constraint or index that only one side has is on the other side under another name."""
        return place.kind in (*_CONSTRAINTS, ObjectKind.INDEX) and any(
            other.kind is place.kind and other not in own and _alike(place.kind, part, there) and there.usable
            for other, there in others.items()
        )

    def _hindering(self, place: ObjectPlace, part: SchemaObject) -> Iterator[SchemaFinding]:
        """What of a column keeps every row out that we write."""
        if place.kind is ObjectKind.NOT_NULL and not self._is_filled(place.name):
            yield self._finding(place, "NULL allowed", part.definition, self._alter(place, "DROP NOT NULL"))
        elif (
            place.kind is ObjectKind.GENERATED
            and ObjectPlace(place.table, ObjectKind.COLUMN, place.name) in self.expected
        ):
            yield self._finding(place, NOTHING, f"AS ({part.definition})", self._alter(place, "DROP EXPRESSION"))

    def _is_filled(self, column: str) -> bool:
        """Whether a column that is not ours gets a value by itself."""
        own = ObjectPlace(self.mapped.target, ObjectKind.COLUMN, column) in self.expected
        kinds = (ObjectKind.DEFAULT, ObjectKind.GENERATED, ObjectKind.IDENTITY)
        return not own and any(ObjectPlace(self.mapped.target, kind, column) in self.actual for kind in kinds)

    # --- remedies -----------------------------------------------------------------------------------------------------

    def _finding(self, place: ObjectPlace, expected: str, actual: str, remedy: str) -> SchemaFinding:
        return SchemaFinding(self.mapped.source.name, place.kind, place.name, expected, actual, remedy)

    @property
    def _name(self) -> str:
        return qualified(self.mapped.schema, self.mapped.target)

    def _alter(self, place: ObjectPlace, words: str) -> str:
        return f"ALTER TABLE {self._name} ALTER COLUMN {quote(place.name)} {words}"

    def _to_make(self, place: ObjectPlace, part: SchemaObject) -> str:
        match place.kind:
            case ObjectKind.COLUMN:
                return f"{MAKE}, and {FILL}"
            case ObjectKind.NOT_NULL:
                return self._alter(place, "SET NOT NULL")
            case ObjectKind.DEFAULT:
                return self._alter(place, f"SET DEFAULT {part.definition}")
            case ObjectKind.IDENTITY:
                return self._alter(place, f"ADD GENERATED {part.definition} AS IDENTITY")
            case ObjectKind.PRIMARY_KEY | ObjectKind.CHECK:
                return f"ALTER TABLE {self._name} ADD CONSTRAINT {quote(place.name)} {part.definition}"
            case _:
                return MAKE

    def _to_change(self, place: ObjectPlace, part: SchemaObject) -> str:
        match place.kind:
            case ObjectKind.COLUMN:
                plain = part.definition.partition(" COLLATE ")[0]
                return self._alter(place, f"TYPE {part.definition} USING {quote(place.name)}::{plain}")
            case ObjectKind.IDENTITY:
                return self._alter(place, f"SET GENERATED {part.definition}")
            case ObjectKind.DEFAULT:
                return self._to_make(place, part)
            case ObjectKind.PRIMARY_KEY | ObjectKind.CHECK:
                return f"{self._to_drop(place)}; {self._to_make(place, part)}"
            case _:
                return f"{self._to_drop(place)}; then {MAKE}"

    def _to_drop(self, place: ObjectPlace) -> str:
        if place.kind is ObjectKind.INDEX:
            return f"DROP INDEX {qualified(self.mapped.schema, place.name)}"
        return f"ALTER TABLE {self._name} DROP CONSTRAINT {quote(place.name)}"

    def _to_validate(self, place: ObjectPlace) -> str:
        if place.kind is ObjectKind.INDEX:
            return f"REINDEX INDEX {qualified(self.mapped.schema, place.name)}"
        return f"ALTER TABLE {self._name} VALIDATE CONSTRAINT {quote(place.name)}"


def _alike(kind: ObjectKind, part: SchemaObject, there: SchemaObject) -> bool:
    """Whether two definitions say the same; uniqueness that waits for the end of a transaction is as good."""
    if kind is ObjectKind.UNIQUE and not part.definition.endswith(_DEFERRABLE):
        return part.definition == there.definition.removesuffix(_DEFERRABLE)
    return part.definition == there.definition
