"""A proxy between a client and two instances of an application, in one object."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import apsw
import asyncpg
import msgspec
from harness import wait_for
from msgspec.structs import replace
from two_sides import Instance, both_sides

from cdc.config import Config, ProxySection, ShadowSection
from cdc.facts.shadow import Verdict
from cdc.postgres.record.record import Record
from cdc.postgres.record.shadow import ShadowReads
from cdc.shadow.proxy.run import Proxy, proxy
from cdc.sqlite.changelog import source_file


@dataclass
class Site:
    """The parts; the proxy runs in this process."""

    config: Config
    baseline: Instance
    candidate: Instance
    proxy: Proxy
    client: aiohttp.ClientSession

    def status(self) -> dict[str, Any]:
        return self.proxy.status()

    def verdicts(self, verdict: Verdict) -> int:
        return int(self.status()["verdicts"].get(verdict, 0))

    async def get(self, path: str, **headers: str) -> bytes:
        async with self.client.get(self.proxy.address + path, headers=headers) as answer:
            assert answer.status == 200
            return await answer.read()

    async def add(self) -> None:
        async with self.client.post(self.proxy.address + "/count") as answer:
            assert answer.status == 200

    async def judged(self) -> None:
        async def done() -> bool:
            return bool(self.status()["pairs_waiting"] == 0)

        await wait_for(done, "all pairs to be judged")


@asynccontextmanager
async def site(
    app: apsw.Connection, config: Config, deny: Sequence[str] = (), **proxy_keys: Any
) -> AsyncIterator[Site]:
    """All of it; the daemon is the test's."""
    async with both_sides(app, config.target.dsn) as (baseline, candidate):
        keys = {"listen": "127.0.0.1:0", "flush_seconds": 0.05, "retry_seconds": 0.2, "end_seconds": 2.0, **proxy_keys}
        section = ShadowSection(
            baseline=baseline.url,
            candidate=candidate.url,
            deny=list(deny),
            timeout_seconds=0.3,
            proxy=msgspec.convert(keys, ProxySection),
        )
        chosen = replace(config, shadow=section)
        async with proxy(chosen) as running, aiohttp.ClientSession() as client:
            yield Site(chosen, baseline, candidate, running, client)


@asynccontextmanager
async def ledger(config: Config) -> AsyncIterator[ShadowReads]:
    source_id, _ = source_file.whose(config)
    assert source_id is not None
    connection = await asyncpg.connect(config.target.dsn)
    try:
        yield Record(connection, source_id).shadow
    finally:
        await connection.close()
