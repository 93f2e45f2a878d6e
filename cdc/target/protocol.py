"""What a stream, its targets and the reader of the application's file know of each other.

A stream reads what the application changed and hands it to each of its targets. Where a target stands, and how it gets
from there to a later state, is its own: a database moves rows in a transaction, a message queue would send them. The
stream prunes the changelog up to where every target is durable, so each of them gets every change, at its own pace.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from cdc.facts.changes import AppliedBatch, Cursor, Position, Round, TableRows, Traces
from cdc.facts.values import KeyValues, Row


class ChangeReader(Protocol):
    """What a target may read on, in short snapshots of the application's file, while it applies.

    Each read is of a state at or after the one before. Errors of the file come through as `cdc.errors` has them.
    """

    @property
    def wal(self) -> bool:
        """Whether the file is in WAL mode, in which the application writes on while a snapshot of it is held."""

    def dependents(self, name: str) -> tuple[str, ...]:
        """The tables whose values are computed from rows of this source table."""

    async def read(self, after: Position) -> Round:
        """What was changed after a position, as far as one short snapshot goes."""

    async def read_keys(self, keys: Mapping[str, Sequence[KeyValues]], at: Position) -> tuple[TableRows, ...]:
        """The rows of some keys, by source table, at exactly a position; nothing when the file has gone on since."""

    async def read_page(self, name: str, at: Cursor | None) -> tuple[list[Row], Cursor | None]:
        """A page of a whole table, the first one without a cursor; the cursor returned is None at the end."""

    async def hold(self) -> None:
        """Let every read that follows be of one snapshot, until `let_go`."""

    def let_go(self) -> None:
        """Have each read be of a snapshot of its own again; harmless where none is held."""


class ChangeStage(Protocol):
    """Where changes are gathered until together they are one state of the file."""

    async def stage(self, tables: Sequence[TableRows]) -> None:
        """Take what one snapshot gave; a key that comes again is newer."""

    async def begin_whole(self, name: str) -> None:
        """A source table comes as a whole now: what is here of it is void."""

    async def end_whole(self, name: str) -> None:
        """A source table has come as a whole: what did not come is gone from the file."""

    async def releasable(self) -> Mapping[str, Sequence[KeyValues]]:
        """Keys by source table that have to be read again as well, because of what came; each is named once."""

    def ask_again(self, names: Iterable[str]) -> None:
        """Keys of these tables that were named could not be read: name them once more."""


class Target(Protocol):
    """Something that follows the application's file. `position` is the state of the file that it shows.

    It is used by one task. After an error nothing is known of it: it is closed, and opened anew.
    """

    @property
    def position(self) -> Position:
        """Where it stands: with every change up to here, and none after."""

    @property
    def is_settled(self) -> bool:
        """Whether it has nothing to do before the next change; if not, `apply` is called without one."""

    async def apply(self, changes: Round, reader: ChangeReader, began: float) -> AppliedBatch:
        """Move on from `position`, all or nothing, to a committed state of the file at or after `changes`.

        `changes` were read after `position`, and may be empty or only the first of what is there: what a target needs
        beyond, it reads. `began` is when their read began, on the monotonic clock. Returns what was done once others
        can see it; `position` is the new one then. Raises `CdcError` with nothing done.
        """

    async def durable(self) -> int:
        """The number of the newest change that no crash can take from it any more; called again and again."""

    async def heartbeat(self, traces: Traces) -> None:
        """Show that it is followed, though nothing may have changed; raises `CdcError` where it cannot be any more."""

    async def close(self) -> None:
        """Let go of it; what is not committed is undone."""
