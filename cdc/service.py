"""The daemon: one task group, signals, and a last word in Postgres about why it ended."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from loguru import logger

from cdc import bootstrap, loading
from cdc.config import Config
from cdc.errors import CdcError
from cdc.model import Progress
from cdc.observe.watched import observed
from cdc.postgres import position
from cdc.postgres.connection import lock_source
from cdc.postgres.target import Target, connected, reached
from cdc.sqlite import source as sqlite
from cdc.stream import Stream
from cdc.vitals import Doing, Vitals


async def run(config: Config, *, until_idle: bool) -> None:
    """Replicate until told to stop by SIGTERM or SIGINT, or with `until_idle` until Postgres has everything."""
    with observed(config) as vitals:
        await _follow(config, vitals, until_idle=until_idle)


async def up(config: Config, *, until_idle: bool, progress: Progress) -> None:
    """Everything that is not done yet (snapshot, schema, load), then `run`."""
    with observed(config) as vitals:
        async with reached(config):
            if not await _is_loaded(config):
                vitals.doing = Doing.LOADING
                if not await _can_go_on(config):
                    await bootstrap.take_snapshot(config, progress)
                await bootstrap.create_schema(config)
                await loading.load(config, progress)
            await _follow(config, vitals, until_idle=until_idle)


async def _follow(config: Config, vitals: Vitals, *, until_idle: bool) -> None:
    async with reached(config) as target:
        stream = Stream(config, target, lambda: notify("READY=1"), vitals)
        stop = asyncio.Event()
        with _stopped_by_signals(stop, stream):
            logger.bind(source=str(config.source.path)).info("replication starts")
            try:
                await stream.run(stop, until_idle=until_idle)
            except CdcError as error:
                await _last_word(config, target, error)
                raise
            vitals.doing = Doing.STOPPING
            await _last_word(config, target, None)
            notify("STOPPING=1")
            logger.info("replication ended")


async def _is_loaded(config: Config) -> bool:
    """Whether the first load of this file is finished; a file that lost its capture is for `run` to judge."""
    look = await asyncio.to_thread(sqlite.look, config)
    async with connected(config, "up") as connection:
        if look.capture is None:
            found = await position.find_by_path(connection, str(config.source.path), config.target.schema)
        else:
            found = look.capture.source_id
        state = await position.read(connection, found) if found else None
    return state is not None and state.position is not None


async def _can_go_on(config: Config) -> bool:
    """Whether the newest snapshot belongs to the file as it is, so that a load that was cut short can use it."""
    return await asyncio.to_thread(bootstrap.usable_snapshot, config) is not None


async def _last_word(config: Config, target: Target, error: CdcError | None) -> None:
    """Tell Postgres why the daemon ended, so that `cdc status` can say it; never hides the error itself.

    A daemon that ends because another one runs has nothing to say about that one's stream: the lock keeps it from it.
    """
    with suppress(CdcError, OSError):
        look = await asyncio.to_thread(sqlite.look, config)
        source_id = look.capture.source_id if look.capture else None
        connection = await target.connect("last word")
        try:
            source_id = source_id or await position.find_by_path(
                connection, str(config.source.path), config.target.schema
            )
            if source_id:
                await lock_source(connection, source_id)
                await position.stopped(
                    connection, source_id, error.message if error else None, error.remedy if error else None
                )
        finally:
            await connection.close()


@contextmanager
def _stopped_by_signals(stop: asyncio.Event, stream: Stream) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        stream.wake()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def notify(message: str) -> None:
    """Tell systemd, as sd_notify(3) describes; does nothing when systemd did not ask."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, suppress(OSError):
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.send(message.encode())
