"""A small application as users have it, served twice in the test's process: once on SQLite, once on Postgres.

Both read the same tables by the same SQL. Handlers given for one side are what a port of an application gets wrong.
"""

import asyncio
import gzip
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from aiohttp import web
from harness import application

from cdc.config import Config, ShadowSection

ITEMS = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, day TEXT, seen INTEGER NOT NULL);
INSERT INTO item WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12)
SELECT i, 'item ' || i, i * 1.5, '2026-01-' || CASE WHEN i % 3 THEN '01' ELSE '02' END, 0 FROM n;
"""
PAGE = 4

Query = Callable[[str], Awaitable[list[tuple[Any, ...]]]]
Handler = Callable[["Instance", web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Instance:
    """One of the two: how it queries, what it does otherwise, and what it was asked."""

    name: str
    query: Query
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    url: str = ""
    counter: Any = field(default_factory=lambda: itertools.count(1))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What it says to anything."""
        self.requests.append((request.method, request.path_qs))
        self.headers.append(dict(request.headers))
        for prefix, handler in {**HANDLERS, **self.handlers}.items():
            if request.path.startswith(prefix):
                found = handler
        return await found(self, request)


async def all_items(app: Instance, _request: web.Request) -> web.StreamResponse:
    rows = await app.query("SELECT id, name, price, seen FROM item ORDER BY id")
    return web.json_response([dict(zip(("id", "name", "price", "seen"), row, strict=True)) for row in rows])


async def one_item(app: Instance, request: web.Request) -> web.StreamResponse:
    given = request.path.rpartition("/")[2]
    rows = await app.query(f"SELECT id, name, price FROM item WHERE id = {int(given)}")
    if not rows:
        return web.json_response({"error": f"{app.name} has no item {given}"}, status=404)
    return web.json_response(dict(zip(("id", "name", "price"), rows[0], strict=True)))


async def page_of_items(app: Instance, request: web.Request) -> web.StreamResponse:
    offset = (int(request.query.get("page", "1")) - 1) * PAGE
    order = "day" if app.name == "baseline" else "day, id"
    rows = await app.query(f"SELECT id, name, day FROM item ORDER BY {order} LIMIT {PAGE} OFFSET {offset}")
    (total,) = (await app.query("SELECT count(*) FROM item"))[0]
    items = [dict(zip(("id", "name", "day"), row, strict=True)) for row in rows]
    return web.json_response({"items": items, "total": total})


async def a_page(app: Instance, _request: web.Request) -> web.StreamResponse:
    rows = await app.query("SELECT name FROM item ORDER BY id")
    blanks = " " if app.name == "baseline" else "\n   "
    listed = "".join(f"{blanks}<li class='b a'>{name}</li>" for (name,) in rows)
    return web.Response(text=f"<html><body><ul>{listed}</ul></body></html>", content_type="text/html")


async def a_redirect(app: Instance, _request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(f"{app.url}/items/1")


async def compressed(app: Instance, request: web.Request) -> web.StreamResponse:
    plain = json.dumps([row[0] for row in await app.query("SELECT name FROM item ORDER BY id")]).encode()
    if app.name == "candidate":
        return web.Response(body=plain, content_type="application/json")
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    return web.Response(body=gzip.compress(plain), headers=headers)


async def always_another(app: Instance, _request: web.Request) -> web.StreamResponse:
    return web.json_response({"drawn": next(app.counter) * 2 + (app.name == "candidate"), "fixed": 1})


async def written(app: Instance, _request: web.Request) -> web.StreamResponse:
    raise AssertionError(f"{app.name} was asked to write")


HANDLERS: dict[str, Handler] = {
    "/": a_page,
    "/items": all_items,
    "/items/": one_item,
    "/pages": page_of_items,
    "/redirect": a_redirect,
    "/compressed": compressed,
    "/chance": always_another,
    "/write": written,
}


@dataclass(frozen=True, slots=True)
class Application:
    """Both instances, and a configuration that knows where they are."""

    baseline: Instance
    candidate: Instance

    def configured(self, config: Config, **shadow: Any) -> Config:
        """The configuration with these keys of [shadow]."""
        section = ShadowSection(baseline=self.baseline.url, candidate=self.candidate.url, **shadow)
        return msgspec.structs.replace(config, shadow=section)


@asynccontextmanager
async def served(instance: Instance) -> AsyncIterator[Instance]:
    """An instance that listens for the time of a block."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", instance.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    instance.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield instance
    finally:
        await runner.cleanup()


@asynccontextmanager
async def on_both(
    path: Path, dsn: str, baseline: Mapping[str, Handler] | None = None, candidate: Mapping[str, Handler] | None = None
) -> AsyncIterator[Application]:
    """The application on both databases; handlers take the place of those of one side."""
    connection = application(path)
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=2)

    async def of_sqlite(sql: str) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(lambda: connection.execute(sql).fetchall())

    async def of_postgres(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await pool.fetch(sql)]

    ours = Instance("baseline", of_sqlite, baseline or {})
    theirs = Instance("candidate", of_postgres, candidate or {})
    try:
        async with served(ours), served(theirs):
            yield Application(ours, theirs)
    finally:
        await pool.close()
        connection.close()
