"""The comparison that never ends: what somebody changed is told by every channel, and again when it is over."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from harness import Daemon, application, execute, fetch, followed, value, wait_for
from warm_commands import run_warm

from cdc.config import AlertsSection, Config, VerifySection
from cdc.errors import ExitCode
from cdc.observe.daemon_state import Activity, DaemonState
from cdc.postgres.server.endpoint import Endpoint
from cdc.sqlite.connection.verify_scratch import Scratch
from cdc.verify.rolling import RollingVerifier

TABLES = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE word(w TEXT PRIMARY KEY, n INTEGER);
WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 300)
INSERT INTO item SELECT value, 'name ' || value FROM n;
INSERT INTO word VALUES ('a', 1), ('b', 2);
"""
EAGER = VerifySection(rolling_share=1.0, rolling_hours=0.5 / 3600)  # every table twice a second


class Listening:
    """A server on this machine that keeps what it is sent, by path."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.fails = 0  # so many requests are answered with an error first

    def of(self, path: str) -> list[tuple[str, str, dict[str, str], bytes]]:
        return [request for request in self.requests if request[1] == path]

    def states(self, path: str = "/hook") -> list[str]:
        return [json.loads(body)["state"] for _, _, _, body in self.of(path)]


@contextmanager
def listening() -> Iterator[tuple[Listening, str]]:
    """A real listener, and its address."""
    kept = Listening()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            failed = kept.fails > 0
            kept.fails -= failed
            if not failed:
                kept.requests.append((self.command, self.path, dict(self.headers), body))
            self.send_response(500 if failed else 200)
            self.end_headers()

        do_GET = do_POST = _answer  # noqa: N815 (the library's names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield kept, f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
async def config(tmp_path: Path, database: str) -> Config:
    made = await followed(tmp_path, database, TABLES, heartbeat_seconds=0.2)
    return msgspec.structs.replace(made, verify=EAGER)


def alerted(config: Config, address: str, command: list[str] | None = None) -> Config:
    section = AlertsSection(
        webhook=f"{address}/hook",
        ntfy=f"{address}/topic",
        command=command or [],
        ping=f"{address}/ping",
        ping_seconds=0.1,
    )
    return msgspec.structs.replace(config, alerts=section)


async def holds(condition: Any) -> bool:
    return bool(condition())


async def test_a_row_changed_by_hand_is_told_by_every_channel_and_its_end_too(config: Config, tmp_path: Path) -> None:
    script = tmp_path / "told.sh"
    script.write_text('#!/bin/sh\ncat >> "$1"\necho " $CDC_ALERT_STATE" >> "$1"\n')
    script.chmod(0o700)
    words = tmp_path / "told.txt"
    with listening() as (kept, address), Daemon(alerted(config, address, [str(script), str(words)])) as daemon:
        await wait_for(lambda: holds(lambda: kept.of("/ping")), "a ping, for all is well", daemon=daemon)
        await execute(config.target.dsn, "UPDATE item SET name = 'by hand' WHERE id = 7")
        await wait_for(lambda: holds(lambda: kept.states() == ["alarm"]), "the webhook", daemon=daemon)
        await wait_for(lambda: holds(lambda: kept.of("/topic")), "the topic", daemon=daemon)
        await wait_for(lambda: holds(lambda: words.exists() and " alarm" in words.read_text()), "the command")
        pings = len(kept.of("/ping"))
        told = json.loads(kept.of("/hook")[0][3])
        assert (told["name"], told["text"]) == ("difference in item", "1 rows of item differ")
        assert told["source"] == str(config.source.path)
        assert kept.of("/topic")[0][2]["Title"] == "cdc: 1 rows of item differ"
        status = await asyncio.to_thread(_status, daemon)
        assert status["exit_code"] == ExitCode.DIFFERENCE
        assert status["verification"]["differing"] == ["item"]
        assert "rows are not alike in both databases" in daemon.words()
        assert "keys=7" in daemon.words()
        assert len(kept.of("/ping")) <= pings + 1  # one may have been under way
        await execute(config.target.dsn, "UPDATE item SET name = 'name 7' WHERE id = 7")
        await wait_for(lambda: holds(lambda: kept.states() == ["alarm", "recovered"]), "its end", daemon=daemon)
        await wait_for(lambda: holds(lambda: len(kept.of("/ping")) > pings + 1), "pings again", daemon=daemon)
        await wait_for(lambda: holds(lambda: " recovered" in words.read_text()), "its end by the command")
        assert (await asyncio.to_thread(_status, daemon))["exit_code"] == ExitCode.OK
        ended = "SELECT count(*) FROM cdc.audit WHERE entry ->> 'action' = 'end of a difference'"
        await wait_for(lambda: value(config.target.dsn, ended), "its end in the audit trail", daemon=daemon)
    entries = await fetch(config.target.dsn, "SELECT entry ->> 'action' FROM cdc.audit ORDER BY n")
    actions = [row[0] for row in entries]
    assert actions.count("find a difference") == 1
    assert actions.count("end of a difference") == 1


def _status(daemon: Daemon) -> dict[str, Any]:
    code, out, _ = run_warm(["-c", str(daemon.file), "status", "--json"])
    told: dict[str, Any] = json.loads(out)
    assert told["exit_code"] == code
    return told


async def test_the_alarm_has_no_key_that_is_a_secret(tmp_path: Path, database: str) -> None:
    tables = (
        "CREATE TABLE grant_of(session_token TEXT PRIMARY KEY, n INTEGER); INSERT INTO grant_of VALUES ('s3cr3t', 1)"
    )
    config = await followed(tmp_path, database, tables, heartbeat_seconds=0.2)
    with Daemon(msgspec.structs.replace(config, verify=EAGER)) as daemon:
        await execute(database, "UPDATE grant_of SET n = 2")
        told = "rows are not alike in both databases"
        await wait_for(lambda: holds(lambda: told in daemon.words()), "the alarm", daemon=daemon)
        assert "keys=***" in daemon.words()
        assert "s3cr3t" not in daemon.words()


async def test_a_channel_that_fails_is_tried_again_and_a_new_daemon_tells_nothing_twice(config: Config) -> None:
    with listening() as (kept, address):
        kept.fails = 2
        only = AlertsSection(webhook=f"{address}/hook")
        told = msgspec.structs.replace(config, alerts=only)
        with Daemon(told) as daemon:
            await execute(config.target.dsn, "DELETE FROM word WHERE w = 'a'")
            await wait_for(lambda: holds(lambda: kept.states() == ["alarm"]), "the third attempt", daemon=daemon)
            assert "an alert could not be sent" in daemon.words()
            daemon.kill()
        with Daemon(told) as daemon:
            compared = "SELECT count(*) FROM cdc.verified_table WHERE since > now() - interval '1 second'"
            await wait_for(lambda: _more(config, compared), "the next pass", daemon=daemon)
            await execute(config.target.dsn, "INSERT INTO word VALUES ('a', 1)")
            await wait_for(lambda: holds(lambda: kept.states() == ["alarm", "recovered"]), "its end", daemon=daemon)


async def _more(config: Config, sql: str) -> bool:
    return bool(await value(config.target.dsn, sql))


async def test_a_daemon_that_is_killed_in_a_pass_goes_on_where_it_was(config: Config) -> None:
    app = application(config.source.path)
    app.execute(
        "WITH RECURSIVE n(value) AS (SELECT 1001 UNION ALL SELECT value + 1 FROM n WHERE value < 90000) "
        "INSERT INTO item SELECT value, 'x' FROM n"
    ).fetchall()
    app.close()
    slow = msgspec.structs.replace(config, verify=VerifySection(rolling_share=0.2, rolling_hours=0.5 / 3600))
    place = "SELECT after_key FROM cdc.verified_table WHERE source_table = 'item'"
    with Daemon(slow) as daemon:
        await wait_for(lambda: _more(config, f"SELECT ({place}) IS NOT NULL"), "a slice", daemon=daemon)
        daemon.kill()
    (place_reached,) = await fetch(
        config.target.dsn, "SELECT after_key, began_at FROM cdc.verified_table WHERE source_table = 'item'"
    )
    began = place_reached["began_at"]
    assert place_reached["after_key"] is not None
    with Daemon(slow) as daemon:
        done = "SELECT since = $1 FROM cdc.verified_table WHERE source_table = 'item'"
        await wait_for(lambda: _since(config, done, began), "the end of the pass that was under way", daemon=daemon)
    rows = await value(config.target.dsn, "SELECT rows FROM cdc.verified_table WHERE source_table = 'item'")
    assert rows == 300 + 89_000


async def _since(config: Config, sql: str, began: Any) -> bool:
    return bool(await value(config.target.dsn, sql, began))


async def test_writes_all_the_time_raise_no_alarm(config: Config) -> None:
    with listening() as (kept, address):
        told = msgspec.structs.replace(config, alerts=AlertsSection(webhook=f"{address}/hook"))
        with Daemon(told) as daemon:
            ends = asyncio.get_running_loop().time() + 6
            await asyncio.to_thread(_hammer, config.source.path, 6.0)
            assert asyncio.get_running_loop().time() >= ends
            passes = "SELECT count(*) FROM cdc.verified_table WHERE since > now() - interval '5 seconds'"
            await wait_for(lambda: _more(config, f"SELECT ({passes}) = 2"), "passes meanwhile", daemon=daemon)
            assert daemon.runs
        assert kept.requests == []


def _hammer(path: Path, seconds: float) -> None:
    app = application(path)
    ends = time.monotonic() + seconds
    number = 0
    while time.monotonic() < ends:
        number += 1
        app.execute("UPDATE item SET name = ? WHERE id = ?", (f"n {number}", number % 300 + 1)).fetchall()
        app.execute("REPLACE INTO word VALUES (?, ?)", (f"w{number % 40}", number)).fetchall()
        app.execute("DELETE FROM word WHERE w = ?", (f"w{(number + 7) % 40}",)).fetchall()
        time.sleep(0.0005)  # a daemon that falls behind puts the comparison off for a minute
    app.close()


async def test_a_comparison_that_is_given_up_leaves_no_thread_at_work(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that goes on would use a file that is being closed."""
    at_work = threading.Semaphore(0)
    ended = threading.Event()
    know = Scratch.know

    def slowly(scratch: Scratch, *arguments: Any) -> int:
        at_work.release()
        time.sleep(0.2)
        ended.set()
        return know(scratch, *arguments)

    monkeypatch.setattr(Scratch, "know", slowly)
    state = DaemonState()
    state.doing = Activity.STREAMING
    verifier = RollingVerifier(lambda: config, endpoint := Endpoint(config), state)
    comparison = asyncio.create_task(verifier._slice(config))
    await asyncio.to_thread(at_work.acquire)
    comparison.cancel()
    await asyncio.wait({comparison})
    assert comparison.cancelled()
    assert ended.is_set()
    await verifier._let_go()
    await endpoint.leave()


async def test_nothing_begins_between_standing_by_and_the_pause(config: Config) -> None:
    """The daemon says that it is paused a moment after this: until then its state is still that of one that streams."""
    state = DaemonState()
    state.doing = Activity.STREAMING
    endpoint = Endpoint(config)
    verifier = RollingVerifier(lambda: config, endpoint, state)

    async def holds_a_connection_after_a_turn() -> bool:
        await verifier._turn()
        return verifier._connection is not None

    try:
        assert await holds_a_connection_after_a_turn(), "a slice was compared, and the next one is to be"
        await verifier.stand_by()
        assert not await holds_a_connection_after_a_turn()
    finally:
        await verifier._let_go()
        await endpoint.leave()
