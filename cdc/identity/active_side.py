"""Which database applications write to, asked by whoever would write where only that database's own followers may.

Postgres knows it of each source, whatever file is in its place now. A fence that is up for good says it as well, where
Postgres was robbed of what it knew, or cannot be asked. Once the way back was ended on purpose, a note in the state
folder says it, for in the end neither database does.
"""

import asyncio
from pathlib import Path

from cdc.config import Config
from cdc.errors import Finalized, PostgresActive
from cdc.facts.phase import Phase
from cdc.facts.side import Side
from cdc.notes import final_note
from cdc.postgres.record.stream_row import StreamState
from cdc.sqlite.fence import fence
from cdc.sqlite.fence.fence import FenceState


async def require_sqlite_active(config: Config, state: StreamState | None) -> None:
    """Raise `PostgresActive` when applications write to Postgres; `state` is None where that cannot tell.

    Raises errors of the SQLite file too: of a fence that cannot be looked at nobody knows whether it is up. Raises
    `Finalized` where there is no way back any more.
    """
    refuse_finalized(config, state)
    refuse_after_cutover(config.source.path, state, await asyncio.to_thread(fence.look, config))


def refuse_after_cutover(path: Path | str, state: StreamState | None, fenced: FenceState | None) -> None:
    """The same for one who has looked already, or has only one of both to look at."""
    switched = state is not None and state.phase.active is Side.POSTGRES
    if switched or (fenced is not None and fenced.permanent):
        raise postgres_active(path)


def refuse_finalized(config: Config, state: StreamState | None = None) -> None:
    """Raise `Finalized` when the way back was ended on purpose, as the state folder or Postgres has it."""
    note = final_note.read(config)
    if note is not None or (state is not None and state.phase is Phase.FINALIZED):
        since = f" at {note.since}" if note else ""
        raise Finalized(
            f"the way back was ended on purpose{since}: applications write to Postgres, and nothing follows any more",
            remedy=f"nothing, if that is still meant; to replicate {config.source.path} anew, into another database, "
            f"move {final_note.path(config)} away first",
        )


def postgres_active(path: Path | str) -> PostgresActive:
    """The error of what only makes sense while applications write to SQLite."""
    return PostgresActive(
        f"applications write to Postgres since the cutover, and {path} follows",
        remedy="`cdc rollback` takes writes back to SQLite; `cdc status` tells how both stand",
    )
