"""`cdc finalize`: the way back is ended on purpose, with a last verified snapshot and a dump."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from cdc.audit import trail
from cdc.config import Config
from cdc.cutover.run import ROLE, Journal, opened_alone, words_of
from cdc.cutover.steps import Step, StepsUndone, carry_out
from cdc.ending.steps import AfterEnd, Ending, confirmed
from cdc.ending.survey import FinalWish
from cdc.errors import CdcError, Finalized, SwitchError
from cdc.facts.progress import Progress
from cdc.notes import final_note, switch_hold
from cdc.notes.final_note import FinalNote
from cdc.observe.daemon_state import DaemonState
from cdc.postgres.connection.open import hang_up
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.record import stream_row
from cdc.postgres.record.record import Record
from cdc.postgres.server.dump import DumpPrograms, find_programs
from cdc.postgres.server.endpoint import Endpoint, reached
from cdc.reverse.session import ReverseSession
from cdc.sqlite.changelog import source_file

Show = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EndedWay:
    """The way back has ended, with what `note` says; `afterwards` is why something that follows is not done yet."""

    note: FinalNote
    afterwards: str = ""


async def finalize(config: Config, wish: FinalWish, show: Show, progress: Progress) -> EndedWay:
    """End the way back; where it was ended and something after that is not done, do that.

    Raises `SwitchError` with everything as it was, and the way back open.
    """
    with switch_hold.held(config):
        async with reached(config) as endpoint:
            run = f"finalize {datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
            trail.record(config.state.dir, "finalize", "started", {"run": run})
            try:
                await _end(config, endpoint, wish, run, show, progress)
                done = EndedWay(confirmed(config))
            except StepsUndone as undone:
                if not undone.committed:
                    _tell(config, run, None, words_of(undone.cause))
                    raise _given_up(undone) from undone.cause
                done = EndedWay(confirmed(config), f"{undone.step}: {words_of(undone.cause)}")
            except CdcError as error:
                _tell(config, run, None, error.message)
                raise
    _tell(config, run, done.note, done.afterwards)
    return done


async def _end(config: Config, endpoint: Endpoint, wish: FinalWish, run: str, show: Show, progress: Progress) -> None:
    """All that is not done yet."""
    try:
        async with opened_alone(lambda: ReverseSession.open(config, endpoint, DaemonState(), ROLE)) as session:
            programs = await _programs(session.record, wish)
            ending = Ending(config, endpoint, session, programs, progress, leave_behind=wish.leave_behind)
            after = AfterEnd(config, endpoint, session.record, programs)
            await _carry_out([*ending.steps(), *after.steps()], session.record, run, show)
    except Finalized:
        await _go_on(config, endpoint, wish, run, show)


async def _go_on(config: Config, endpoint: Endpoint, wish: FinalWish, run: str, show: Show) -> None:
    """The way back was ended before: what follows is done, each step of which does no harm when it is done again."""
    look = await asyncio.to_thread(source_file.look, config)
    note = final_note.read(config) or final_note.proposed(config)
    source_id = look.capture.source_id if look.capture else note.source_id if note else None
    if source_id is None:
        raise stream_row.never_loaded()
    async with opened_alone(lambda: LockedSource.open(endpoint, source_id)) as locked:
        programs = await _programs(locked.record, wish)
        steps = AfterEnd(config, endpoint, locked.record, programs).steps()
        try:
            await _carry_out(steps, locked.record, run, show)
        except StepsUndone as undone:
            raise StepsUndone(undone.step, undone.cause, committed=True) from undone.cause


class LockedSource:
    """A source whose lock is held, and nothing else."""

    def __init__(self, record: Record) -> None:
        self.record = record

    @classmethod
    async def open(cls, endpoint: Endpoint, source_id: str) -> Self:
        """Take the lock over a connection of its own; raises as `lock_source` does."""
        connection = await endpoint.connect(ROLE)
        try:
            await lock_source(connection, source_id)
        except BaseException:
            await hang_up(connection)
            raise
        return cls(Record(connection, source_id))

    async def close(self) -> None:
        """Let go."""
        await hang_up(self.record.connection)


async def _carry_out(steps: Sequence[Step], record: Record, run: str, show: Show) -> None:
    await carry_out(steps, Journal(record.switch, run), show)


async def _programs(record: Record, wish: FinalWish) -> DumpPrograms | None:
    """What makes the dump, None when none is wanted; raises `SwitchError` when there is nothing to make it with."""
    if wish.without_dump:
        return None
    version = record.connection.get_server_version().major
    programs = await find_programs(version)
    if programs is None:
        raise SwitchError(
            f"there is no pg_dump for a server of version {version}",
            remedy=f"install postgresql-client-{version}; or make a backup of your own, and add --without-dump",
        )
    return programs


def _given_up(undone: StepsUndone) -> BaseException:
    error = undone.cause
    if not isinstance(error, CdcError) or undone.unsettled:
        return error  # whether it is open still is for the next call to find out
    return SwitchError(
        f"the end of the way back was given up at {undone.step}, and it is open as before: {error.message}",
        remedy=f"before another try: {error.remedy}",
    )


def _tell(config: Config, run: str, note: FinalNote | None, reason: str) -> None:
    details: dict[str, trail.Detail] = {"run": run}
    if note is not None:
        details |= {"rows": note.rows, "snapshot": note.snapshot, "snapshot_sha256": note.snapshot_sha256}
        details |= {"dump": note.dump.file, "dump_sha256": note.dump.sha256} if note.dump else {}
    details |= {"reason": reason} if reason else {}
    trail.record(config.state.dir, "finalize", "failed" if reason else "done", details)
