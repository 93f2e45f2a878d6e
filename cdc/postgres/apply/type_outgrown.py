"""A value came that does not fit the provisional type of its column: the batch waits until another is decided."""

from cdc.errors import CaptureLost


class TypeOutgrown(CaptureLost):
    """Some columns of a source table, by their names in Postgres, hold values that decide their types anew.

    Settled by the same means as lost capture: the next session looks at the file and goes on from the same position.
    """

    def __init__(self, table: str, columns: frozenset[str]) -> None:
        super().__init__(
            f"the types of {table} are decided anew: {', '.join(sorted(columns))}",
            remedy="the daemon does so by itself; what was interrupted by it can be given again",
        )
        self.table = table
        self.columns = columns
