"""What a target in Postgres has otherwise than it should. Frozen, no I/O."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class SchemaFinding:
    """One part of the target of a source `table`: what it should be, what it is, and what puts it right.

    `kind` says what the part is (an index, a foreign key ...), `name` is its own in Postgres, that of the column for
    what a column has.
    """

    table: str
    kind: str
    name: str
    expected: str
    actual: str
    remedy: str

    @property
    def words(self) -> str:
        """What is wrong, in one line without the remedy."""
        thing = f"{self.kind} {self.name}".rstrip()
        return f"{self.table}: {thing}: expected {self.expected}, found {self.actual}"

    def to_json(self) -> dict[str, str]:
        """The stable form for programs."""
        return asdict(self)
