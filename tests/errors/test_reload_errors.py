"""A configuration that a running daemon is asked to take up and cannot is refused in its log; it goes on as before."""

import json
import os
import signal
from pathlib import Path

from error_assertions import logged
from fake_systemd import Supervisor
from harness import Daemon, application, make_config, up, wait_until_caught_up

REFUSED = "the new configuration is refused; the old one stays"


async def test_a_change_that_needs_a_restart(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    with (
        Supervisor(tmp_path) as supervisor,
        Daemon(config, ("--log-json", "run"), supervisor.environment) as daemon,
    ):
        await supervisor.hears("READY=1", daemon=daemon)
        daemon.file.write_text(daemon.file.read_text().replace(os.fspath(tmp_path / "state"), "elsewhere"))
        daemon.process.send_signal(signal.SIGHUP)
        await supervisor.hears("READY=1", 2, daemon=daemon)
        lines = [json.loads(line) for line in daemon.words().splitlines()]
        line = next(line for line in lines if line["message"] == REFUSED)
        logged(line, "this cannot change while the daemon runs: {fixed}")
        app.execute("INSERT INTO t VALUES (1)")
        await wait_until_caught_up(config, database, daemon=daemon)
        assert daemon.terminate() == 0
    app.close()
