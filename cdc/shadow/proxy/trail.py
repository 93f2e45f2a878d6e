"""What a proxy does, in the audit trail: written by a thread, in order, so that no user waits for a disk."""

import asyncio
from contextlib import suppress
from typing import Final

from loguru import logger

from cdc.audit import trail
from cdc.audit.chain import AuditEntry, Detail, entry
from cdc.config import Config
from cdc.errors import CdcError

_WRITTEN_SECONDS: Final = 5.0  # for what is not written yet when the proxy ends


class ProxyTrail:
    """Takes entries at once and writes them while it `run`s."""

    def __init__(self, config: Config) -> None:
        self._folder = config.state.dir
        self._waiting: asyncio.Queue[AuditEntry] = asyncio.Queue()

    def tell(self, action: str, **details: Detail) -> None:
        """Note an entry of this moment."""
        self._waiting.put_nowait(entry(action, "done", details))

    async def run(self) -> None:
        """Write what is told; never ends."""
        while True:
            told = await self._waiting.get()
            try:
                await asyncio.to_thread(self._write, told)
            except CdcError as error:
                logger.bind(error=error.message, remedy=error.remedy).error("the audit file cannot be written")
            finally:
                self._waiting.task_done()

    def _write(self, told: AuditEntry) -> None:
        with trail.opened(self._folder) as file:
            file.append([told])

    async def flush(self) -> None:
        """Wait until all is written, for some seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WRITTEN_SECONDS):
                await self._waiting.join()
