"""A daemon that has nobody to tell does nothing about alerts."""

import asyncio
import sys
from pathlib import Path

from small_tables import config

from cdc.observe.alerts import FILE, Alerts
from cdc.observe.daemon_state import Alarm, DaemonState


async def test_without_a_channel_nothing_runs_and_nothing_is_kept(tmp_path: Path) -> None:
    alerts = Alerts(config(state={"dir": str(tmp_path)}), DaemonState())
    alerts.alarmed(Alarm("name", "words", "remedy"))
    async with asyncio.timeout(30):
        await alerts.run()
    assert not (tmp_path / FILE).exists()


async def test_nothing_that_speaks_http_is_loaded_before_it_is_needed() -> None:
    program = "import sys, cdc.daemon.service; print('urllib.request' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert said.strip() == b"False"
