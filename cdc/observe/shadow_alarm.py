"""Endpoints that do not answer alike on Postgres are an alarm of the daemon, whoever found that, until they do."""

from typing import Final

from cdc.observe.daemon_state import DaemonState
from cdc.postgres.record.shadow import ShadowReads

ALARM: Final = "shadow reads differ"
REMEDY: Final = "see where and why with `cdc shadow report`; compare the rows with `cdc verify`"


async def tell_shadow_reads(reads: ShadowReads, daemon_state: DaemonState) -> None:
    """Raise the alarm, or end it, as Postgres knows of shadow reads now."""
    summary = await reads.summary()
    if summary is None or not summary.unlike:
        daemon_state.calm(ALARM)
        return
    words = f"{summary.unlike} of {summary.endpoints} endpoints do not answer alike on Postgres"
    daemon_state.alarm(ALARM, words, REMEDY)
