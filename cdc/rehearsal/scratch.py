"""The copy that a rehearsal plays on: a file, a schema and a state folder of its own, and nothing of them afterwards.

What a rehearsal that was killed left behind is found by the folder, and by the comment of the schema, and removed
before the next one.
"""

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cdc.config import AlertsSection, Config, CutoverSection, FileFlag, MetricsSection, ShadowSection, load_config
from cdc.config.written import as_toml
from cdc.errors import CdcError, StillWorking
from cdc.facts.progress import Progress
from cdc.facts.row_rewrite import LoggedWrite
from cdc.first_copy.snapshots import absolute
from cdc.host import private_files
from cdc.notes import switch_hold
from cdc.observe import daemon_file
from cdc.postgres.ddl import scratch_schema
from cdc.postgres.ddl.scratch_schema import ScratchSchema
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.server.endpoint import Endpoint
from cdc.rehearsal.load import MOST_RECORDED
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.recorded import recorded_writes
from cdc.sqlite.snapshot import scratch_copy
from cdc.threads import to_its_end

FOLDER: Final = "rehearsal"  # within the state folder
CONFIG_FILE: Final = "cdc.toml"
END_SECONDS: Final = 20.0  # until a daemon that was left behind has ended
LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class ScratchPair:
    """A copy of the file and an empty schema for it; `config_file` is what commands are given.

    `recorded` is what the changelog of the file told, which the copy has no more: it has an id of its own.
    """

    id: str
    folder: Path
    config: Config
    config_file: Path
    recorded: list[LoggedWrite]


def scratch_config(config: Config, dsn: str, folder: Path, schema: str) -> Config:
    """What commands go by in a rehearsal: another file, schema, state and flag, and nobody who is told of anything."""
    replace = msgspec.structs.replace
    cutover = CutoverSection(
        max_refused_seconds=config.cutover.max_refused_seconds,
        wait_for_writers_seconds=config.cutover.wait_for_writers_seconds,
        tries=config.cutover.tries,
        verified_within_hours=config.cutover.verified_within_hours,
        rehearsed_within_hours=0.0,
        flags=[FileFlag(kind="file", path=folder / "flag.json")],
    )
    return replace(
        config,
        source=replace(config.source, path=folder / config.source.path.name),
        target=replace(config.target, dsn=dsn, schema=schema),
        state=replace(config.state, dir=folder / "state"),
        metrics=MetricsSection(),
        alerts=AlertsSection(),
        shadow=ShadowSection(),
        verify=replace(config.verify, expect=[]),
        cutover=cutover,
    )


@asynccontextmanager
async def scratch_pair(
    config: Config, endpoint: Endpoint, source_id: str, progress: Progress
) -> AsyncIterator[ScratchPair]:
    """A scratch pair for the time of a block. Raises `StillWorking` beside another rehearsal."""
    with _alone(config):
        await _remove(config, endpoint, source_id)
        name = secrets.token_hex(4)
        folder = config.state.dir / FOLDER / name
        try:
            yield await _make(config, endpoint, source_id, folder, progress)
        finally:
            await _remove(config, endpoint, source_id)


async def _make(config: Config, endpoint: Endpoint, source_id: str, folder: Path, progress: Progress) -> ScratchPair:
    private_files.make_folder(folder)
    schema = f"cdc_rehearsal_{folder.name}"
    scratch = scratch_config(config, await endpoint.dsn(), folder, schema)
    private_files.replace(folder / CONFIG_FILE, as_toml(scratch).encode())
    with absolute(progress, "copy (bytes)") as shown:
        recorded = await to_its_end(_copy, config, scratch, shown)
    async with endpoint.connected("rehearsal") as connection:
        await ScratchSchema(connection, schema).make(source_id)
    return ScratchPair(folder.name, folder, scratch, folder / CONFIG_FILE, recorded)


def _copy(config: Config, scratch: Config, progress: Callable[[int, int], None]) -> list[LoggedWrite]:
    """A file of its own: whoever meets it must not take it for the one that it was copied from."""
    pause = config.snapshot.max_writer_pause_seconds
    scratch_copy.make(config.source.path, scratch.source.path, max_writer_pause_seconds=pause, progress=progress)
    recorded = recorded_writes(scratch, MOST_RECORDED)
    source_file.remove_capture(scratch)
    return recorded


# --- and nothing of it afterwards -------------------------------------------------------------------------------------


async def remove_leftovers(config: Config, endpoint: Endpoint, source_id: str) -> None:
    """Remove what a rehearsal that was killed left behind. Raises `StillWorking` while one is under way."""
    with _alone(config):
        await _remove(config, endpoint, source_id)


async def _remove(config: Config, endpoint: Endpoint, source_id: str) -> None:
    folders = _folders(config)
    for folder in folders:
        await asyncio.to_thread(_end_processes, folder)
    async with endpoint.connected("rehearsal") as connection:
        for schema in await scratch_schema.left_behind(connection, source_id):
            # The schema goes last: as long as it is there, what is known of its sources is found.
            for scratch_id in await schema.sources():
                await WriteGuard(connection, scratch_id).remove(config.cutover.wait_for_writers_seconds)
                await scratch_schema.forget_source(connection, scratch_id)
            await schema.drop()
    for folder in folders:
        await to_its_end(shutil.rmtree, folder, ignore_errors=True)


def _folders(config: Config) -> list[Path]:
    place = config.state.dir / FOLDER
    return sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []


def _end_processes(folder: Path) -> None:
    """End what plays on a copy: the daemon at once, and a switch when it is done, which is soon."""
    try:
        scratch = load_config(folder / CONFIG_FILE)
    except CdcError:
        return  # killed before anything could be started
    until = time.monotonic() + END_SECONDS
    while (shown := daemon_file.look(scratch)) or switch_hold.is_held(scratch):
        late = time.monotonic() > until
        if shown:
            with suppress(ProcessLookupError):
                os.kill(shown.pid, signal.SIGKILL if late else signal.SIGTERM)
        elif late:
            return
        time.sleep(LOOK_SECONDS)


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    place = config.state.dir / FOLDER
    private_files.make_folder(place)
    descriptor = private_files.opener(str(place / "lock"), os.O_RDWR | os.O_CREAT)
    try:
        # The kernel gives it back with the process, however that ends.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StillWorking("another rehearsal is under way", remedy="wait until that one is done") from None
    try:
        yield
    finally:
        os.close(descriptor)
