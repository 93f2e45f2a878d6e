"""The fence: installed ahead of time, raised for a while, kept for good, lifted, taken out.

Raising and lifting change one value of `_cdc_state` and no schema. A raised fence lifts itself at its moment, whoever
died meanwhile, unless it was kept.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import apsw

from cdc.config import Config
from cdc.errors import FenceDown, SourceBusy, SourceError
from cdc.facts.changes import Position
from cdc.faults import crash_point
from cdc.sqlite.capture import fence_state
from cdc.sqlite.capture.schema_objects import FENCE_TRIGGER, altering_schema, triggers_named
from cdc.sqlite.capture.triggers import read_capture
from cdc.sqlite.changelog import errors, positions
from cdc.sqlite.changelog.source_file import opened
from cdc.sqlite.connection.errors import not_set_up, translated
from cdc.sqlite.connection.lock_holders import lock_holders
from cdc.sqlite.connection.transactions import locking, read_transaction, write_transaction
from cdc.sqlite.fence import fence_triggers
from cdc.sqlite.fence.fence_triggers import FencePlan
from cdc.sqlite.schema.read import refuse_namesakes

_MOMENT: Final = "%Y-%m-%d %H:%M:%S"  # as CURRENT_TIMESTAMP gives it
_FOR_GOOD: Final = "never"  # greater than every moment
_RAISED: Final = "SELECT fenced FROM _cdc_state WHERE id = 1 AND fenced > CURRENT_TIMESTAMP"
_SET: Final = "UPDATE _cdc_state SET fenced = ? WHERE id = 1"
_IS_SET: Final = "SELECT EXISTS (SELECT 1 FROM _cdc_state WHERE id = 1 AND fenced IS NOT 0)"


@dataclass(frozen=True, slots=True)
class FenceState:
    """The fence as one snapshot of the file shows it.

    `lacking` are tables of the application without whole triggers, `unfenceable` those that cannot carry any, with the
    reason. `until` is the moment at which a fence that was raised lifts itself, None when none is raised or it is
    `permanent`. `counter` is SQLite's schema counter but for the steps of the fence, as a stream remembers it.
    """

    lacking: tuple[str, ...]
    unfenceable: Mapping[str, str]
    until: datetime | None
    permanent: bool
    counter: int

    @property
    def whole(self) -> bool:
        """Whether every table that can be fenced has its triggers: then it can be raised."""
        return not self.lacking

    @property
    def refuses(self) -> bool:
        """Whether writes to every table that can be fenced were refused at that moment."""
        return self.whole and (self.permanent or self.until is not None)


@dataclass(frozen=True, slots=True)
class RaisedFence:
    """No row was written after the entry at `end`, and none is before `until`.

    `counter` is that of `FenceState`. A stream that has reached the end under another one has yet to find out which
    changes of the schema there were, and what went unseen by them; and one that moves later tells of a migration, which
    no fence refuses.
    """

    end: Position
    until: datetime
    counter: int


def install(config: Config) -> tuple[str, ...]:
    """Make the dormant triggers whole, in one transaction; returns the tables that got theirs now.

    Writes nothing when all is whole. A running daemon goes on: the steps of the schema are counted as the fence's.
    Raises `SourceError` when the file carries no capture, `SourceBusy` when it stays locked.
    """
    with opened(config) as connection:
        with translated("looking at the fence"), read_transaction(connection):
            if not _due(connection, config):
                return ()
        with _altering(connection, "installing the fence"):
            # Read anew, now that the file is locked: the application may have altered its schema meanwhile.
            due = _due(connection, config)
            if due is None:
                return ()
            fence_triggers.carry_out(connection, due)
    return due.lacking


def remove(config: Config) -> None:
    """Take the triggers out, in one transaction, and with them a fence that is up; harmless where there are none."""
    with opened(config) as connection:
        with translated("looking at the fence"), read_transaction(connection):
            if not triggers_named(connection, FENCE_TRIGGER) and not _is_set(connection):
                return
        with _altering(connection, "removing the fence"):
            fence_triggers.carry_out(connection, FencePlan(_present(connection), {}, {}))
            if _is_set(connection):
                connection.execute(_SET, (0,))


def look(config: Config) -> FenceState:
    """What stands and whether it refuses, in one snapshot; also of a file that carries no capture, and so no fence."""
    with opened(config) as connection, translated("looking at the fence"), read_transaction(connection):
        planned = fence_triggers.plan(connection, config)
        raised = _raised(connection) if fence_state.answers(connection) else None
        counter = fence_state.counter_without_steps(connection)
    return FenceState(planned.lacking, planned.unfenceable, _moment(raised), raised == _FOR_GOOD, counter)


def raise_for(config: Config, seconds: float) -> RaisedFence:
    """Refuse every write from now on, for so many seconds at least; a fence that is up is put off until then.

    Writers in flight are waited for as long as `busy_timeout_seconds`: what they wrote is not newer than the end.
    Raises `SourceBusy` when one takes longer, `FenceDown` when a table lacks its triggers, `SourceError` without
    capture or when the fence is up for good; then nothing was changed.
    """
    with _locked(config, "raising the fence") as connection:
        _require_whole(connection, config)
        if _raised(connection) == _FOR_GOOD:
            raise SourceError(
                f"writes to {config.source.path} are refused for good already: its application has moved",
                remedy="nothing to raise; to let the application write there again, move it back",
            )
        until = _in_seconds(seconds)
        connection.execute(_SET, (until.strftime(_MOMENT),))
        end = positions.newest(connection)
        if end is None:
            raise errors.emptied(config.source.path)
        counter = fence_state.counter_without_steps(connection)
        crash_point("fence.before_commit")
    crash_point("fence.after_commit")
    return RaisedFence(end, until, counter)


def keep(config: Config, end: Position) -> None:
    """Refuse every write for good, if none was accepted since the fence was raised; may be given again.

    Raises `FenceDown` when the fence lifted itself meanwhile, when a table lacks its triggers, or when the newest entry
    of the changelog is not the `end` any more: somebody wrote. `SourceBusy` as `raise_for`.
    """
    with _locked(config, "keeping the fence up") as connection:
        _require_whole(connection, config)
        raised = _raised(connection)
        if raised is None:
            raise FenceDown(
                f"the fence around {config.source.path} lifted itself before it was kept: its time was over",
                remedy="the application goes on in SQLite, and nothing is lost: begin again",
            )
        if positions.newest(connection) != end:
            raise FenceDown(
                f"{config.source.path} was written to since: its changelog does not end at number {end.seq} any more",
                remedy="lift the fence and begin again: whatever was written is replicated first",
            )
        if raised != _FOR_GOOD:
            connection.execute(_SET, (_FOR_GOOD,))
        crash_point("fence.before_commit")
    crash_point("fence.after_commit")


def require_raised(connection: apsw.Connection, config: Config) -> None:
    """Raise `FenceDown` when applications can write: nothing may be carried into the file beside them.

    For a transaction that holds the file locked for writing.
    """
    if _raised(connection) is None:
        raise FenceDown(
            f"{config.source.path} accepts writes, so that nothing may be carried into it",
            remedy="`cdc status` tells who accepts writes",
        )


def lift(config: Config) -> None:
    """Let the application write again; writes nothing where nothing is raised. Raises `SourceBusy` as `raise_for`."""
    with opened(config) as connection, translated("looking at the fence"), read_transaction(connection):
        if not _is_set(connection):
            return
    with _locked(config, "lifting the fence") as connection:
        connection.execute(_SET, (0,))


# --- within a transaction ---------------------------------------------------------------------------------------------


@contextmanager
def _altering(connection: apsw.Connection, what: str) -> Iterator[None]:
    with translated(what), altering_schema(connection), fence_state.counting_steps(connection):
        yield


@contextmanager
def _locked(config: Config, what: str) -> Iterator[apsw.Connection]:
    """A connection that holds the file locked for writing; what is written inside survives a power cut."""
    path, seconds = config.source.path, config.source.busy_timeout_seconds
    try:
        with opened(config) as connection, translated(what):
            make_durable(connection)
            with write_transaction(connection):
                yield connection
    except SourceBusy as error:
        holder = lock_holders(path)
        raise SourceBusy(
            f"{what}: {holder} keeps a transaction on {path} open, for longer than {seconds:g} s",
            remedy="let it end, or end the program that keeps it (an import, a console, a worker that hangs), and try "
            "again; nothing was changed",
        ) from error


def make_durable(connection: apsw.Connection) -> None:
    """Let no commit return before it is on the disk: EXTRA also where a journal is deleted, elsewhere it is FULL."""
    with locking(connection):
        connection.pragma("synchronous", "extra")


def _due(connection: apsw.Connection, config: Config) -> FencePlan | None:
    """What has to be done, None when all is whole."""
    refuse_namesakes(connection)
    if read_capture(connection, ()) is None:
        raise not_set_up(config.source.path)
    planned = fence_triggers.plan(connection, config)
    return planned if planned.drop or planned.create else None


def _require_whole(connection: apsw.Connection, config: Config) -> None:
    if read_capture(connection, ()) is None:
        raise not_set_up(config.source.path)
    if lacking := fence_triggers.plan(connection, config).lacking:
        raise FenceDown(
            f"tables of {config.source.path} have no fence: {', '.join(lacking)}",
            remedy="install it again: the application made these tables, or built them anew, since it was installed",
        )


def _present(connection: apsw.Connection) -> tuple[str, ...]:
    return tuple(trigger.name for trigger in triggers_named(connection, FENCE_TRIGGER))


def _is_set(connection: apsw.Connection) -> bool:
    return fence_state.answers(connection) and bool(connection.execute(_IS_SET).get)


# --- moments ----------------------------------------------------------------------------------------------------------


def _raised(connection: apsw.Connection) -> str | None:
    """Until when writes are refused as it is stored, None when they are not."""
    raised = connection.execute(_RAISED).get
    return None if raised is None else str(raised)


def _moment(raised: str | None) -> datetime | None:
    return None if raised in (None, _FOR_GOOD) else datetime.strptime(str(raised), _MOMENT).replace(tzinfo=UTC)


def _in_seconds(seconds: float) -> datetime:
    """A whole second, because CURRENT_TIMESTAMP tells no parts of one; rounded up."""
    return datetime.fromtimestamp(math.ceil((datetime.now(UTC) + timedelta(seconds=seconds)).timestamp()), UTC)
