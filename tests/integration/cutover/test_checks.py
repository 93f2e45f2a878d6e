"""Whether the application does what it was told is asked of itself, and of the database that it shall use."""

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import msgspec
import pytest
from msgspec.structs import replace
from told import Answer, Server, in_json, serving, told

from cdc.config import CheckSection, Config, CutoverSection
from cdc.cutover.flag.checks import CheckResult, Checks, unlike
from cdc.cutover.watch import require_checks, watch
from cdc.errors import ConfigError
from cdc.facts.side import Side

SCHEMA = "CREATE TABLE note(id INTEGER PRIMARY KEY, words TEXT)"
WRITE = {
    "name": "a write and its row",
    "after": "writes",
    "method": "POST",
    "body": '{"words": "check {probe}"}',
    "sql": "SELECT count(*) = 1 FROM note WHERE words = 'check {probe}'",
    "within_seconds": 10.0,
}

SOON = {"within_seconds": 0.2}


def checking(config: Config, **keys: Any) -> Checks:
    section = CutoverSection(checks=[msgspec.convert(keys, CheckSection)])
    return Checks(replace(config, cutover=section))


async def one(checks: Checks, side: Side, after: Any = "reads") -> CheckResult:
    [result] = await checks.ask(side, after)
    return result


async def test_an_application_that_begins_again_gets_time_and_one_that_falls_back_is_found(tmp_path: Path) -> None:
    config = told(tmp_path, [])
    with serving() as app:
        count = itertools.count()
        app.answer = lambda *_: (503, {}, b"") if next(count) < 3 else in_json(pool=[{"backend": "sqlite"}], ready=True)
        keys = {"name": "backend", "url": f"{app.url}/health", "within_seconds": 0.9}
        sides = {side.value: {"$.pool.0.backend": side.value, "ready": True} for side in Side}
        checks = checking(config, **keys, **sides)
        assert await one(checks, Side.SQLITE) == CheckResult("backend", met=True, words="as it should be on sqlite")
        found = await one(checks, Side.POSTGRES)
        assert (found.met, found.words) == (False, '$.pool.0.backend is "sqlite", not "postgres"')
        assert await checks.ask(Side.POSTGRES, "writes") == []
    gone = await one(checking(config, name="gone", url=app.url, within_seconds=0.1), Side.SQLITE)
    assert (gone.met, gone.words) == (False, "it gives no answer: Connection refused")


def writing(app: Server, config: Config, side: Side) -> None:
    """Have the application store what it is sent on one side, and delete it again when it is asked to."""

    def answer(method: str, path: str, body: bytes) -> Answer:
        words = json.loads(body)["words"] if body else f"check {path.rpartition('/')[2]}"
        act = "INSERT INTO note(id, words) VALUES (7, ?)" if method == "POST" else "DELETE FROM note WHERE words = ?"
        if side is Side.SQLITE:
            connection = apsw.Connection(str(config.source.path))
            connection.set_busy_timeout(5000)
            connection.execute(act, (words,))
            connection.close()
        else:
            asyncio.run(in_postgres(config.target.dsn, act.replace("?", "$1"), words))
        return 201, {}, b""

    app.answer = answer


async def in_postgres(dsn: str, sql: str, *arguments: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(sql, *arguments)
    await connection.close()


@pytest.mark.parametrize("side", Side)
async def test_a_write_is_looked_for_where_it_should_be_and_is_undone(
    app: apsw.Connection, config: Config, side: Side
) -> None:
    with serving() as server:
        writing(server, config, side)
        checks = checking(config, **WRITE, url=f"{server.url}/notes", undo_url=f"{server.url}/notes/{{probe}}")
        found = await one(checks, side, "writes")
        assert found == CheckResult("a write and its row", met=True, words=f"as it should be on {side}")
        assert [method for method, *_ in server.asked] == ["POST", "DELETE"]
        assert app.execute("SELECT count(*) FROM note").get == 0
        connection = await asyncpg.connect(config.target.dsn)
        assert await connection.fetchval("SELECT count(*) FROM note") == 0
        await connection.close()


async def test_a_write_that_went_to_the_other_side_is_found_and_is_made_once_only(config: Config) -> None:
    with serving() as server:
        writing(server, config, Side.SQLITE)
        found = await one(
            checking(config, **WRITE | SOON, url=server.url, undo_url=f"{server.url}/{{probe}}"),
            Side.POSTGRES,
            "writes",
        )
        assert (found.met, found.words) == (False, "its row is not in postgres: the query answers False")
        assert [method for method, *_ in server.asked] == ["POST", "DELETE"]
        server.answer = lambda *_: (500, {}, b"")
        found = await one(checking(config, **WRITE, url=server.url), Side.POSTGRES, "writes")
        assert (found.words, len(server.asked)) == ("it answers 500", 3)


async def test_a_query_that_a_side_does_not_understand_is_told(config: Config) -> None:
    with serving() as server:
        keys = {"name": "wrong", "url": server.url, "sql": "SELECT nothing FROM note", "within_seconds": 0.1}
        for side in Side:
            found = await one(checking(config, **keys), side)
            assert not found.met
            assert "nothing" in found.words


@pytest.mark.parametrize(
    ("body", "expected", "words"),
    [
        (b"{}", {}, None),
        (b"<html>", {"a": 1}, "its answer is no JSON"),
        (b'{"a": {"b": 1}}', {"a.b": 1}, None),
        (b'{"a": {"b": 1}}', {"a.c": 1}, "a.c is not in its answer"),
        (b'{"a": 1}', {"a": True}, "a is 1, not true"),
        (b'{"a": {"b": 1}}', {"a": 1}, "a is no single value, not 1"),
        (b'{"a": 1}', {"a.b": 1}, "a.b is not in its answer"),
        (b'[{"a": null}]', {"0.a": "x"}, '0.a is null, not "x"'),
    ],
)
def test_what_is_not_as_expected_is_named(body: bytes, expected: dict[str, Any], words: str | None) -> None:
    assert unlike(body, expected) == words


def test_an_application_that_does_badly_after_the_cutover_is_noticed(tmp_path: Path) -> None:
    with serving() as server:
        check = {"name": "list", "url": f"{server.url}/list", "within_seconds": 0.5}
        config = told(tmp_path, [], [check])
        assert asyncio.run(watch(config, 1.5)) is None
        assert len(server.asked) >= 2
        server.answer = lambda _method, _path, _body: (500, {}, b"")
        assert "list: " in str(asyncio.run(watch(config, 60)))
        slow = replace(config, cutover=replace(config.cutover, watch_p95_seconds=1e-6))
        server.answer = lambda _method, _path, _body: (200, {}, b"")
        assert "over the limit" in str(asyncio.run(watch(slow, 60, every_seconds=0.01)))
    with pytest.raises(ConfigError, match="nothing to watch"):
        require_checks(told(tmp_path, []))
