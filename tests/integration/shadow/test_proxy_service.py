"""The proxy as a service: what systemd, metrics and the audit trail are told of it, its reload, and how it ends."""

import asyncio
import json
import re
import signal
from typing import Final

import apsw
from fake_systemd import Supervisor
from harness import Daemon, value, wait_for, write_config
from msgspec.structs import replace
from proxied import ledger
from two_sides import COUNTER, Instance, served

from cdc.audit import trail
from cdc.config import Config, ProxySection, ShadowRule, ShadowSection

SCHEMA = COUNTER
WATCHDOG_SECONDS: Final = 3.0


async def test_a_proxy_is_ready_lives_reloads_and_ends_as_a_service_does(app: apsw.Connection, config: Config) -> None:
    async def nothing() -> int:
        return 0

    baseline, candidate = Instance(nothing), Instance(nothing, offset=1)
    async with served(baseline), served(candidate):
        keys = ProxySection("127.0.0.1:0", flush_seconds=3_600.0, end_seconds=60.0, metrics="127.0.0.1:0")
        chosen = replace(config, shadow=ShadowSection(baseline.url, candidate.url, proxy=keys))
        with (
            Supervisor(config.state.dir.parent, watchdog_seconds=WATCHDOG_SECONDS) as systemd,
            Daemon(chosen, ["--log-json", "shadow", "proxy"], systemd.environment) as process,
        ):
            await systemd.hears("READY=1", daemon=process)
            await systemd.pings(1, daemon=process)
            address, metrics = told(process, "the proxy serves"), told(process, "metrics are served")
            await _get(address + "/page")
            await _get(address + "/count")
            await verdicts(metrics, {"equal": 1, "different": 1})

            meant = ShadowRule("ignored", path="$.n", reason="meant")
            write_rules(process, replace(chosen, shadow=replace(chosen.shadow, rules=[meant])))
            await systemd.hears("READY=1", 2, daemon=process)
            await _get(address + "/count")
            await verdicts(metrics, {"equal": 1, "different": 1, "ignored": 1})
            open_request = asyncio.create_task(_get(address + "/wait"))

            async def asked() -> bool:
                return baseline.asked[-1].path == "/wait"

            await wait_for(asked, "the request to arrive", daemon=process)
            process.process.terminate()
            await systemd.hears("STOPPING=1", daemon=process)
            baseline.released.set()
            assert await open_request == b"released"
            assert await asyncio.to_thread(process.wait) == 0
    assert systemd.statuses[0].startswith("serving from the baseline: 0 requests")
    async with ledger(config) as kept:
        assert [e.verdicts for e in await kept.endpoints() if e.endpoint == "GET /page"] == [{"equal": 1}]
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'cdc shadow%'"
    assert await value(config.target.dsn, sessions) == 0
    entries = trail.read(config.state.dir)
    assert [(e.action, e.result, e.details.get("rules")) for e in entries if "shadow" in e.action] == [
        ("shadow proxy", "started", None),
        ("load shadow rules", "done", 0),
        ("load shadow rules", "done", 1),
        ("shadow proxy", "done", None),
    ]
    assert entries[-1].details["requests"] == 4


def told(process: Daemon, message: str) -> str:
    """The address that a line of the log has."""
    lines = map(json.loads, process.words().splitlines())
    return next(str(line["address"]) for line in lines if line["message"] == message)


def write_rules(process: Daemon, config: Config) -> None:
    """Have the proxy read another configuration."""
    write_config(process.file, config)
    process.process.send_signal(signal.SIGHUP)


async def verdicts(metrics: str, wanted: dict[str, int]) -> None:
    """Wait until so many pairs came to each verdict, as the metrics tell."""

    async def come() -> bool:
        page = (await _get(metrics + "/metrics")).decode()
        counts = {name: int(float(n)) for name, n in re.findall(r'_pairs_total\{verdict="(\w+)"\} (\S+)', page)}
        compared = int(float(re.findall(r"cdc_proxy_added_seconds_count (\S+)", page)[0]))
        return counts == wanted and compared == sum(wanted.values()) and 'cdc_proxy_active{side="baseline"} 1.0' in page

    await wait_for(come, "the pairs to be judged")
    assert json.loads(await _get(metrics + "/healthz"))["healthy"]


async def _get(url: str) -> bytes:
    reader, writer = await asyncio.open_connection(*_place(url))
    writer.write(f"GET /{url.rpartition('/')[2]} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


def _place(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition("/")[0].partition(":")
    return host, int(port)
