"""The flag says where writes go, as the two databases show it: whoever switched may have died with it half flipped."""

import asyncio
from typing import Final

from loguru import logger

from cdc.config import Config
from cdc.cutover.flag.flags import Flags
from cdc.cutover.flag.state import FlagState
from cdc.errors import CdcError
from cdc.facts.side import Side
from cdc.observe.daemon_state import Activity, DaemonState, Listener

ALARM: Final = "flag"


class FlagKeeper(Listener):
    """Looks each time that both databases were opened and settled, which is after every switch and every restart."""

    def __init__(self, config: Config, daemon_state: DaemonState) -> None:
        self._config = config
        self._daemon_state = daemon_state
        self._opened = asyncio.Event()
        if config.cutover.flags:
            daemon_state.listeners = (*daemon_state.listeners, self)

    def opened(self) -> None:
        """Look soon: what is to be set may take seconds."""
        self._opened.set()

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self._opened.wait()
            self._opened.clear()
            returning = self._daemon_state.doing is Activity.RETURNING
            try:
                await asyncio.to_thread(_settle, self._config, Side.POSTGRES if returning else Side.SQLITE)
            except CdcError as error:
                self._daemon_state.alarm(ALARM, error.message, error.remedy)
            else:
                self._daemon_state.calm(ALARM)


def _settle(config: Config, active: Side) -> None:
    flags = Flags(config)
    standing = flags.now()
    if standing.writes is not active or standing.unfinished is not None:
        logger.bind(active=active.value).warning("the flag is set to where writes go")
        flags.set_all(FlagState(active, active))
