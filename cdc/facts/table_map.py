"""Which table, column and type of Postgres stand for which of SQLite. Frozen, no I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cdc.facts.source_schema import KeyKind, Table
from cdc.facts.target_schema import TargetColumn


@dataclass(frozen=True, slots=True)
class ValueRules:
    """How the operator wants a column's values to be read, where their storage class alone does not tell.

    `format` names how a date, a number or the like is written (`cdc.values.registry` has them). `on_invalid` is what
    becomes of a value that does not fit, and `empty` of an empty text: "keep", "null" or "default".
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
class HeldType:
    """What a column of Postgres is: its type, and whether its texts are literals."""

    type: str
    literal: bool

    def __str__(self) -> str:
        return "literal" if self.literal else self.type


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """One column of the target and where its value comes from.

    `expression` is SQLite SQL evaluated at read time: the quoted source column, the rowid alias, or the operator's
    own expression. `source` is the source column's name when it is one plainly. `type` is the Postgres type to create.
    `literal` stores any SQLite value exactly, as its SQL literal, in a text column (for untyped columns that mix).
    `schema` is the text of a JSON Schema that its documents must satisfy. `function` is what the expression calls.
    With `own_outcome` the operator said for this very column what becomes of a value that does not fit.
    `sequence` of the target's schema numbers the column, which nothing there says.

    `choice` is what the operator chose for it, as pairs of a key and its value. A `provisional` type was given when
    there was no data to decide it, or little: the first values that do not fit it have it decided anew. `held` is what
    Postgres still has where the column is to be retyped, None everywhere else.
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
    choice: tuple[tuple[str, str], ...] = ()
    provisional: bool = False
    held: HeldType | None = None
    sequence: str = ""

    @property
    def undecided(self) -> bool:
        """Whether no value may come before a type was decided: as literals a column would take any, and stay so."""
        return self.provisional and self.literal


@dataclass(frozen=True, slots=True)
class Referring:
    """A foreign key that the operator wants: columns of the target that hold the key of a source table's target."""

    columns: tuple[str, ...]
    parent: str
    on_delete: str


@dataclass(frozen=True, slots=True)
class Share:
    """The rows that are one source table's, of a target that several feed: those with one of `values` in a column.

    `values` are texts as Postgres reads them. With `rest` it is all but those, so that every row is somebody's.
    """

    column: str
    values: tuple[str, ...]
    rest: bool


@dataclass(frozen=True, slots=True)
class TableMap:
    """A source table, its target and their columns. `key` are the target columns that hold the source key, in order;
    with a `crosswalk` they are columns that say nothing of it, and Postgres remembers which row is which.

    `columns` leaves out what the operator skipped and what Postgres generates itself. An `adopted` target was made by
    others and is used as it is, but for a `helper_key`: a column that is added for the rowid where it is not there. Of
    one with a `share` other tables feed the rest. `formats` are what the operator chose for every column of a type, by
    its `base`.
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
    share: Share | None = None
    helper_key: bool = False

    @property
    def source_key_width(self) -> int:
        """How many values at the beginning of a row are the source key."""
        return len(self.source.key.columns)

    @property
    def key_lasts(self) -> bool:
        """Whether a key is one row's name for good: SQLite gives a rowid to another row, and a `literal` names a row in
        a form of Postgres alone.
        """
        literals = {column.target for column in self.columns if column.literal}
        return self.source.key.kind is not KeyKind.ROWID and literals.isdisjoint(self.key)

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
