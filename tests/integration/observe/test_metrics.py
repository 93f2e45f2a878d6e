"""`/metrics` and `/healthz` of the real daemon, in every state that it can be in."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from harness import Daemon, application, make_config, up, wait_for, wait_until_caught_up
from prometheus_client.parser import text_string_to_metric_families

from cdc.config import Config, MetricsSection

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
ADDRESS = re.compile(r"metrics are served.*?address=(http://\S+)")


def with_metrics(config: Config, **options: Any) -> Config:
    return msgspec.structs.replace(config, metrics=MetricsSection(**{"listen": "127.0.0.1:0", **options}))


class Page:
    """What one daemon serves."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._address = ""

    async def opened(self) -> "Page":
        async def told() -> bool:
            found = ADDRESS.findall(self._daemon.words())
            self._address = found[-1] if found else ""
            return bool(found)

        await wait_for(told, "the address to be logged", daemon=self._daemon)
        return self

    async def get(self, path: str) -> tuple[int, str]:
        return await asyncio.to_thread(get, self._address + path)

    async def samples(self) -> Samples:
        status, text = await self.get("/metrics")
        assert status == 200
        return samples_of(text)

    async def health(self) -> tuple[int, dict[str, Any]]:
        status, text = await self.get("/healthz")
        return status, json.loads(text)


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples_of(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, labels: Mapping[str, str] | None = None) -> float:
    return samples[name, tuple(sorted((labels or {}).items()))]


async def test_a_daemon_that_replicates_tells_its_position_and_no_lag(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    config = with_metrics(make_config(tmp_path, tmp_path / "app.db", database))
    await up(config)
    with Daemon(config) as daemon:
        page = await Page(daemon).opened()
        app.execute("INSERT INTO t(v) VALUES ('a'), ('b')")
        await wait_until_caught_up(config, database, daemon=daemon)

        async def shown() -> bool:
            samples = await page.samples()
            return value(samples, "cdc_lag_changes") == 0 and ("cdc_quarantine_rows", (("reason", "value"),)) in samples

        await wait_for(shown, "the scrape to see what was applied", daemon=daemon)
        samples = await page.samples()
        assert value(samples, "cdc_position") == value(samples, "cdc_newest_entry")
        assert value(samples, "cdc_lag_seconds") == 0
        assert value(samples, "cdc_state", {"state": "streaming"}) == 1
        assert value(samples, "cdc_source_readable") == value(samples, "cdc_target_reachable") == 1
        status, health = await page.health()
        assert (status, health["healthy"], health["reason"]) == (200, True, None)
        assert daemon.terminate() == 0
    app.close()
