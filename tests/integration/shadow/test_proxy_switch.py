"""Writes are held and go on at the side that is active then, by the control socket."""

import asyncio
import itertools
import json
import stat
from typing import Any

import apsw
import pytest
from harness import wait_for
from proxied import Site, site
from two_sides import COUNTER

from cdc.audit import trail
from cdc.config import Config
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
    held, released = [entry for entry in trail.read(config.state.dir) if entry.action.endswith(" writes")]
    assert (held.action, released.action) == ("hold writes", "release writes")
    assert {"active": "baseline", "before": "baseline", "writes": 20}.items() <= released.details.items()


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
