"""Which table, column and type of Postgres stand for which of SQLite. Frozen, no I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cdc.facts.source_schema import Table
from cdc.facts.target_schema import TargetColumn


@dataclass(frozen=True, slots=True)
class ValueRules:
    """How the operator wants a column's values to be read, where their storage class alone does not tell.

    `format` names how a date, a number or the like is written (`cdc.values.registry` has them). `on_invalid` is what
    becomes of a value that does not fit, and `empty` of an empty text: "keep" or "null".
    """

    format: str = ""
    on_invalid: str = "quarantine"
    empty: str = "keep"

    @property
    def loses(self) -> bool:
        """Whether a value may become another one: a loss that somebody chose in writing."""
        return self.on_invalid != "quarantine" or self.empty != "keep"


@dataclass(frozen=True, slots=True)
class Function:
    """The operator's own function in Python: `call` takes the values of some source columns and returns one to store.

    `name` is its name in SQL, `told_as` what people call it.
    """

    name: str
    columns: tuple[str, ...]
    call: Callable[..., int | float | str | bytes | None]
    told_as: str


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """One column of the target and where its value comes from.

    `expression` is SQLite SQL evaluated at read time: the quoted source column, the rowid alias, or the operator's
    own expression. `source` is the source column's name when it is one plainly. `type` is the Postgres type to create.
    `literal` stores any SQLite value exactly, as its SQL literal, in a text column (for untyped columns that mix).
    `schema` is the text of a JSON Schema that its documents must satisfy. `function` is what the expression calls.
    With `own_outcome` the operator said for this very column what becomes of a value that does not fit.
    `sequence` of the target's schema numbers the column, which nothing there says.
    """

    target: str
    expression: str
    type: str
    source: str | None = None
    literal: bool = False
    reading: ValueRules = ValueRules()
    schema: str = ""
    function: Function | None = None
    own_outcome: bool = False
    sequence: str = ""


@dataclass(frozen=True, slots=True)
class Referring:
    """A foreign key that the operator wants: columns of the target that hold the key of a source table's target."""

    columns: tuple[str, ...]
    parent: str
    on_delete: str


@dataclass(frozen=True, slots=True)
class TableMap:
    """A source table, its target and their columns. `key` are the target columns that hold the source key, in order;
    with a `crosswalk` they are columns that say nothing of it, and Postgres remembers which row is which.

    `columns` leaves out what the operator skipped and what Postgres generates itself. An `adopted` target was made by
    others and is used as it is, but for a `helper_key`: a column that is added for the rowid where it is not there.
    `formats` are what the operator chose for every column of a type, by its `base`.
    """

    source: Table
    schema: str
    target: str
    columns: tuple[ColumnMap, ...]
    key: tuple[str, ...]
    adopted: bool = False
    formats: Mapping[str, ValueRules] = field(default_factory=dict)
    crosswalk: bool = False
    references: tuple[Referring, ...] = ()
    helper_key: bool = False

    @property
    def source_key_width(self) -> int:
        """How many values at the beginning of a row are the source key."""
        return len(self.source.key.columns)

    def reading(self, column: ColumnMap, there: TargetColumn) -> ValueRules:
        """How a column's values are read: as was chosen for it, else as for all columns of that type."""
        own, of_type = column.reading, self.formats.get(there.base)
        if of_type is None or column.literal or (column.target in self.key and not self.crosswalk):
            return own
        on_invalid = own.on_invalid if column.own_outcome else of_type.on_invalid
        return replace(own, format=own.format or of_type.format, on_invalid=on_invalid)

    @property
    def key_sequence(self) -> str:
        """The sequence that the operator named for the key, empty for none."""
        return next((c.sequence for c in self.columns if c.target == self.key[0]), "")

    @property
    def target_columns(self) -> tuple[str, ...]:
        """Names of the target columns in the order rows carry them."""
        return tuple(c.target for c in self.columns)
