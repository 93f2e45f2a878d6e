"""A switch from its first to its last step: tried a few times, undone where it fails, told as it goes."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, TypeVar

from cdc.audit import trail
from cdc.config import Config
from cdc.cutover.backward import Backward
from cdc.cutover.flag.checks import Checks
from cdc.cutover.flag.flags import Flags
from cdc.cutover.flag.state import FlagState
from cdc.cutover.forward import Forward
from cdc.cutover.scene import Scene
from cdc.cutover.steps import Step, StepsUndone, carry_out
from cdc.cutover.window import RefusedWindow
from cdc.errors import (
    AlreadyRunning,
    CaptureLost,
    CdcError,
    FenceDown,
    Policy,
    StillWorking,
    SwitchError,
    TargetUnavailable,
)
from cdc.facts.changes import Position
from cdc.facts.progress import Progress
from cdc.facts.side import Side
from cdc.mapping.reversible import carried_back
from cdc.notes import switch_hold
from cdc.observe.daemon_state import DaemonState
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.record.record import Record
from cdc.postgres.record.switch import SwitchRecord
from cdc.postgres.server.endpoint import Endpoint, reached
from cdc.postgres.tables import catalogue
from cdc.reverse.carrier import Carrier
from cdc.reverse.forms import forms_from_json
from cdc.reverse.session import ReverseSession
from cdc.sqlite.changelog import positions, source_file
from cdc.sqlite.connection.file_watch import Watch
from cdc.sqlite.connection.transactions import read_transaction
from cdc.stream.session import Session
from cdc.verify.compare_recent import RecentComparison

DAEMON_SECONDS: Final = 30.0  # until the daemon has finished what it does, and stands back
LOOK_SECONDS: Final = 0.05
ROLE: Final = "switch"  # who has the source's lock, until Postgres has noticed that we let it go
AGAIN_SECONDS: Final = 1.0  # between two tries; nothing is refused meanwhile

Show = Callable[[str], None]


class Closed(Protocol):
    """What is closed at its end."""

    async def close(self) -> None:
        """Let go of it."""


T = TypeVar("T", bound=Closed)


@dataclass(frozen=True, slots=True)
class Switched:
    """What a switch came to. `afterwards` is what failed once it was made: it stands all the same."""

    to: Side
    run: str
    refused_seconds: float
    tries: int
    afterwards: str = ""


async def cutover(config: Config, show: Show, word: Path | None = None) -> Switched:
    """Let applications write to Postgres, not before the file `word` is there where one is given.

    Raises `SwitchError` with everything as it was before.
    """
    return await _switch(
        config, Side.POSTGRES, show, lambda endpoint, attempt: _forward(config, endpoint, attempt, word)
    )


async def rollback(config: Config, show: Show, progress: Progress) -> Switched:
    """Let applications write to SQLite again. Raises `SwitchError` with everything as it was before."""
    return await _switch(
        config, Side.SQLITE, show, lambda endpoint, attempt: _backward(config, endpoint, attempt, progress)
    )


@dataclass(slots=True)
class _Attempt:
    """One try: what it is called, how long writes were refused, and whom it tells."""

    run: str
    window: RefusedWindow
    show: Show


async def _switch(
    config: Config, to: Side, show: Show, once: Callable[[Endpoint, _Attempt], Awaitable[None]]
) -> Switched:
    began = datetime.now(UTC)
    with switch_hold.held(config):
        async with reached(config) as endpoint:
            for number in itertools.count(1):
                run = f"{to} {began:%Y-%m-%dT%H:%M:%S.%fZ} {number}"
                attempt = _Attempt(run, RefusedWindow(config.cutover.max_refused_seconds), show)
                trail.record(config.state.dir, "switch", "started", {"to": to, "run": run})
                try:
                    await once(endpoint, attempt)
                except StepsUndone as undone:
                    _tell(config, to, attempt, undone)
                    if undone.committed:
                        return Switched(to, run, attempt.window.seconds, number, words_of(undone.cause))
                    if not _may_help(undone) or number >= config.cutover.tries:
                        error = undone.cause
                        if isinstance(error, CdcError):
                            raise _given_up(to, undone, error) from error
                        raise error from None
                    show(f"given up at {undone.step}: {words_of(undone.cause)}; everything is as before, trying again")
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    break
    _tell(config, to, attempt, None)
    return Switched(to, run, attempt.window.seconds, number)


async def _forward(config: Config, endpoint: Endpoint, attempt: _Attempt, word: Path | None) -> None:
    watch = Watch(config.source.path)

    async def open_session() -> Session:
        return await Session.open(config, endpoint, watch, DaemonState(), role=ROLE)

    async with opened_alone(open_session) as session:
        look = await asyncio.to_thread(source_file.look, config)
        prepared = await session.record.switch.read()
        if prepared.verified_seq is None:
            raise SwitchError("nothing is prepared for a cutover", remedy="`cdc cutover --prepare`, then try again")
        since = await asyncio.to_thread(_position_at, config, prepared.verified_seq)
        targets = await catalogue.read_tables(
            session.record.connection, config.target.schema, [m.target for m in session.maps]
        )
        carrier = Carrier(config, session.record, session.maps, targets, forms_from_json(prepared.forms))
        recent = await RecentComparison.open(session.record, config, look, session.maps, since)
        try:
            scene = _scene(config, session.record, session, carrier, attempt)
            await _agree(scene, Side.SQLITE)
            await _carry_out(Forward(scene, session, recent, word).steps(), session.record, attempt)
        finally:
            recent.close()


async def _backward(config: Config, endpoint: Endpoint, attempt: _Attempt, progress: Progress) -> None:
    async def open_session() -> ReverseSession:
        return await ReverseSession.open(config, endpoint, DaemonState(), ROLE)

    async with opened_alone(open_session) as session:
        look = await asyncio.to_thread(source_file.look, config)
        maps = tuple(map(carried_back, session.maps))
        recent = await RecentComparison.open(session.record, config, look, maps, session.position)
        try:
            scene = _scene(config, session.record, session, session.carrier, attempt)
            await _agree(scene, Side.POSTGRES)
            await _carry_out(Backward(scene, session, recent, progress).steps(), session.record, attempt)
        finally:
            recent.close()


@asynccontextmanager
async def opened_alone(open_session: Callable[[], Awaitable[T]]) -> AsyncIterator[T]:
    """A session of our own, once the daemon has let go of the source; it stands back for as long as the hold lasts."""
    until = time.monotonic() + DAEMON_SECONDS
    while True:
        try:
            session = await open_session()
            break
        except (AlreadyRunning, StillWorking, TargetUnavailable):
            if time.monotonic() > until:
                raise
            await asyncio.sleep(LOOK_SECONDS)
    try:
        yield session
    finally:
        await session.close()


def _scene(
    config: Config, record: Record, session: Session | ReverseSession, carrier: Carrier, attempt: _Attempt
) -> Scene:
    return Scene(
        config=config,
        record=record,
        maps=session.maps,
        guard=WriteGuard(record.connection, record.source_id, withhold=config.cutover.withholds_rights),
        keys=ApplicationKeys(record.connection, config.target.schema),
        carrier=carrier,
        flags=Flags(config),
        checks=Checks(config),
        window=attempt.window,
    )


async def _agree(scene: Scene, active: Side) -> None:
    """Whoever switched before may have died with the flag flipped: it says again where writes go now."""
    if scene.config.cutover.flags and (await asyncio.to_thread(scene.flags.now)).writes is not active:
        await scene.set_flags(FlagState(active, active))


def _position_at(config: Config, seq: int) -> Position:
    with source_file.opened(config) as connection, read_transaction(connection):
        return positions.position_at(connection, seq)


# --- the steps, and what is told of them ------------------------------------------------------------------------------


class Journal:
    """The journal of one try in Postgres."""

    def __init__(self, record: SwitchRecord, run: str) -> None:
        self._record = record
        self._run = run
        self._n = 0

    async def begins(self, name: str) -> None:
        """A step is about to be done."""
        self._n += 1
        await self._record.begin_step(self._run, self._n, name)

    async def ended(self, outcome: str, detail: str) -> None:
        """It has ended."""
        await self._record.end_step(self._run, self._n, outcome, detail)


async def _carry_out(steps: Sequence[Step], record: Record, attempt: _Attempt) -> None:
    await carry_out(steps, Journal(record.switch, attempt.run), attempt.show)


def _may_help(undone: StepsUndone) -> bool:
    """Whether another try may do better."""
    cause = undone.cause
    if undone.unsettled or not isinstance(cause, CdcError):
        return False
    # A session that begins anew follows a changed schema, and applies what was written past a fence that lapsed.
    return cause.policy is not Policy.NEEDS_A_PERSON or isinstance(cause, CaptureLost | FenceDown)


def _given_up(to: Side, undone: StepsUndone, cause: CdcError) -> SwitchError:
    if undone.unsettled:
        return SwitchError(
            f"the switch to {to} was given up at {undone.step}, and could not be undone: {cause.message}; not undone: "
            f"{'; '.join(undone.unsettled)}",
            remedy="the daemon settles it when it goes on; see `cdc status` who accepts writes",
        )
    return SwitchError(
        f"the switch to {to} was given up at {undone.step}, and everything is as before: {cause.message}",
        remedy=f"before another try: {cause.remedy}",
    )


def _tell(config: Config, to: Side, attempt: _Attempt, undone: StepsUndone | None) -> None:
    details: dict[str, trail.Detail] = {
        "to": to,
        "run": attempt.run,
        "refused_seconds": round(attempt.window.seconds, 3),
    }
    if undone is not None:
        details |= {"step": undone.step, "reason": words_of(undone.cause), "unsettled": list(undone.unsettled)}
    result = "done" if undone is None or undone.committed else "failed"
    trail.record(config.state.dir, "switch", result, details)


def words_of(error: BaseException) -> str:
    """What ended a step, in words."""
    if isinstance(error, asyncio.CancelledError):
        return "interrupted"
    return error.message if isinstance(error, CdcError) else type(error).__name__
