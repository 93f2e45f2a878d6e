"""Writes are held and go on at the side that is active then, by the control socket; and how a proxy ends."""

import asyncio
import itertools
import json
import stat
from typing import Any

import apsw
import pytest
from harness import Daemon, value, wait_for, wait_until_said
from msgspec.structs import replace
from proxied import Site, ledger, site
from two_sides import COUNTER, Instance, served

from cdc.config import Config, ProxySection, ShadowSection
from cdc.shadow.proxy import switch

SCHEMA = COUNTER


class Control:
    """A client of the control socket."""

    def __init__(self, config: Config) -> None:
        self.path = config.state.dir / "proxy.sock"

    async def say(self, command: str) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        writer.write(command.encode() + b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        assert isinstance(answer, dict)
        return answer


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write waits for as long as the test needs."""
    monkeypatch.setattr(switch, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(switch, "LONGEST_HOLD_SECONDS", 60.0)


async def add(here: Site) -> int:
    async with here.client.post(here.proxy.address + "/count") as answer:
        return answer.status


async def holding(here: Site, requests: int) -> list["asyncio.Task[int]"]:
    """Writes that wait, because they are held."""
    tasks = [asyncio.create_task(add(here)) for _ in range(requests)]

    async def all_wait() -> bool:
        return bool(here.status()["waiting"] == requests)

    await wait_for(all_wait, "all writes to wait")
    return tasks


@pytest.mark.usefixtures("_patient")
async def test_held_writes_wait_while_reads_go_on_and_none_fails(app: apsw.Connection, config: Config) -> None:
    async with site(app, config) as here:
        control = Control(here.config)
        assert stat.S_IMODE(control.path.stat().st_mode) == 0o600
        assert (await control.say("hold"))["holds"]
        writes = await holding(here, 20)
        assert await here.get("/count") == b'{"n": 0}'
        told = await control.say("status")
        assert (told["waiting"], told["writing"], told["active"]) == (20, 0, "baseline")
        assert not (await control.say("release"))["holds"]
        assert await asyncio.gather(*writes) == [200] * 20
        assert app.execute("SELECT n FROM counter").get == 20


@pytest.mark.usefixtures("_patient")
async def test_held_writes_go_to_the_side_that_is_active_then_and_so_does_all_else(
    app: apsw.Connection, config: Config
) -> None:
    written = itertools.count(1)
    async with site(app, config) as here:
        control = Control(here.config)
        here.candidate.write = lambda: next(written)
        await control.say("hold")
        writes = await holding(here, 5)
        assert (await control.say("release candidate"))["active"] == "candidate"
        assert await asyncio.gather(*writes) == [200] * 5
        asked = len(here.baseline.asked)
        await here.get("/page")
        assert (next(written), len(here.baseline.asked)) == (6, asked)
        await control.say("release baseline")
        assert await add(here) == 200
        assert app.execute("SELECT n FROM counter").get == 1


async def test_a_write_waits_for_a_second_at_most(app: apsw.Connection, config: Config) -> None:
    """Nobody releases them."""
    async with site(app, config) as here:
        await Control(here.config).say("hold")
        assert await asyncio.gather(*[add(here) for _ in range(3)]) == [200] * 3
        assert here.status()["held"] == 3


@pytest.mark.usefixtures("_patient")
async def test_no_more_writes_wait_than_may(app: apsw.Connection, config: Config) -> None:
    async with site(app, config, held_requests=2) as here:
        control = Control(here.config)
        await control.say("hold")
        writes = await holding(here, 2)
        async with here.client.post(here.proxy.address + "/count") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        await control.say("release")
        assert await asyncio.gather(*writes) == [200, 200]


async def test_a_hold_that_nobody_ends_ends_by_itself(
    app: apsw.Connection, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "LONGEST_HOLD_SECONDS", 0.05)
    async with site(app, config) as here:
        await Control(here.config).say("hold")

        async def released() -> bool:
            return not here.status()["holds"]

        await wait_for(released, "the hold to end")


async def test_another_command_is_answered_with_those_there_are(app: apsw.Connection, config: Config) -> None:
    async with site(app, config) as here:
        assert "release candidate" in (await Control(here.config).say("relaese"))["error"]


# --- the command ------------------------------------------------------------------------------------------------------


async def test_a_proxy_that_is_told_to_end_lets_open_requests_end_and_keeps_its_counts(
    app: apsw.Connection, config: Config
) -> None:
    async def nothing() -> int:
        return 0

    baseline, candidate = Instance(nothing), Instance(nothing)
    async with served(baseline), served(candidate):
        keys = ProxySection(listen="127.0.0.1:0", flush_seconds=3_600.0, end_seconds=60.0)
        chosen = replace(config, shadow=ShadowSection(baseline.url, candidate.url, proxy=keys))
        with Daemon(chosen, ["--log-json", "shadow", "proxy"]) as process:
            await wait_until_said(process, "the proxy serves")
            address = json.loads(process.words().splitlines()[0])["address"]
            await _get(address + "/page")
            open_request = asyncio.create_task(_get(address + "/wait"))

            async def asked() -> bool:
                return len(baseline.asked) == 2 and len(candidate.asked) == 1

            await wait_for(asked, "both requests to arrive", daemon=process)
            process.process.terminate()
            await wait_until_said(process, "the proxy ends")
            baseline.released.set()
            assert await open_request == b"released"
            assert await asyncio.to_thread(process.wait) == 0
        async with ledger(config) as kept:
            assert [e.verdicts for e in await kept.endpoints() if e.endpoint == "GET /page"] == [{"equal": 1}]
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'cdc shadow%'"
        assert await value(config.target.dsn, sessions) == 0


async def _get(url: str) -> bytes:
    reader, writer = await asyncio.open_connection(*_place(url))
    writer.write(f"GET /{url.rpartition('/')[2]} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


def _place(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition("/")[0].partition(":")
    return host, int(port)
