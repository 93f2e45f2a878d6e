"""Routes and handlers: a question comes in, statements go to the back end, a document or a page goes out."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

from aiohttp import web

from . import pages, queries, reports, writes
from .backend import Backend, DatabaseError
from .dialect import POSTGRES, planted
from .own_tables import OwnTablesBackend
from .postgres_backend import PostgresBackend
from .question import BadRequest, Question
from .recent import Recent
from .settings import Settings
from .sqlite_backend import SqliteBackend

COMMON_LOG_FORMAT = '%a - - %t "%r" %s %b'
LOG = logging.getLogger("ytv2")
ACCESS_LOG = logging.getLogger("ytv2.access")
BACKEND = web.AppKey("BACKEND", Backend)
RECENT = web.AppKey("RECENT", Recent)
STATIC = Path(__file__).with_name("static")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# With its keys in order, a document has the same bytes whatever order a database kept them in.
_answer = partial(web.json_response, dumps=partial(json.dumps, ensure_ascii=False, sort_keys=True))


def application(settings: Settings) -> web.Application:
    """The dashboard on the back end that the settings name."""
    app = web.Application(middlewares=[_told])
    app[BACKEND] = _backend(settings)
    app[RECENT] = Recent(settings.recent)
    app.cleanup_ctx.append(_closing)
    app.on_response_prepare.append(_with_headers)
    app.add_routes(
        [
            web.get("/", start_page),
            web.get("/health", health),
            web.get("/health/backend", health_of_backend),
            web.get("/api/reports", list_reports),
            web.get("/api/reports/{key}", show_report),
            web.get("/api/filters", list_filters),
            web.get("/api/reset", reset),
            web.post("/api/content", ingest),
            web.post("/api/content/{key}", change),
            web.delete("/api/delete/{key}", delete),
            web.static("/static", STATIC),
            web.get("/{key}.json", show_report),
            web.get("/{key}.html", report_page),
        ]
    )
    return app


def _backend(settings: Settings) -> Backend:
    if settings.read_from_postgres:
        kind = OwnTablesBackend if settings.own_tables else PostgresBackend
        return kind(settings.database_url, planted(POSTGRES, settings.plants))
    return SqliteBackend(settings.database)


async def _closing(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[BACKEND].close()


async def _with_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure is answered in words; what a database says is logged as well."""
    try:
        return await handler(request)
    except BadRequest as error:
        return _answer({"error": str(error)}, status=400)
    except DatabaseError as error:
        return _failed(request, error)
    except web.HTTPError as error:
        return _answer({"error": error.reason}, status=error.status, headers=_allowed(error))


def _failed(request: web.Request, error: DatabaseError) -> web.Response:
    said = f"{type(error).__name__} by {request.app[BACKEND].name}: {error}"
    LOG.error("%s %s: %s", request.method, request.rel_url, said)
    return _answer({"error": str(error)}, status=error.status)


def _allowed(error: web.HTTPError) -> dict[str, str]:
    return {name: value for name, value in error.headers.items() if name == "Allow"}


# --- reading ---


async def start_page(request: web.Request) -> web.Response:
    """The list, its filters, and a form to ingest a video."""
    backend, question = request.app[BACKEND], Question.of(request.query.items())
    statements = queries.facets(backend.dialect)
    (counted, *_), rows, *values = await backend.read(*queries.page(backend.dialect, question), *statements.values())
    facets = reports.facets(dict(zip(statements, values, strict=True)))
    return _page(pages.start(question, reports.listing(question, counted["total"], rows), facets))


async def report_page(request: web.Request) -> web.Response:
    """One video with its summaries."""
    return _page(pages.report(await _found(request)))


async def list_reports(request: web.Request) -> web.Response:
    """One page of the list."""
    backend, question = request.app[BACKEND], Question.of(request.query.items())
    (counted, *_), rows = await backend.read(*queries.page(backend.dialect, question))
    return _answer(reports.listing(question, counted["total"], rows))


async def list_filters(request: web.Request) -> web.Response:
    """The values that the list can be filtered by."""
    statements = queries.facets(request.app[BACKEND].dialect)
    rows = await request.app[BACKEND].read(*statements.values())
    return _answer(reports.facets(dict(zip(statements, rows, strict=True))))


async def show_report(request: web.Request) -> web.Response:
    """One video with its summaries, as a document."""
    return _answer(await _found(request))


async def health(request: web.Request) -> web.Response:
    """Whether the back end answers."""
    await request.app[BACKEND].read(queries.PING)
    return _answer({"status": "ok"})


async def health_of_backend(request: web.Request) -> web.Response:
    """Which back end it is."""
    return _answer({"backend": request.app[BACKEND].name})


async def reset(request: web.Request) -> web.Response:
    """Forget what was ingested last. A GET only because somebody wanted to do it from a browser's address line."""
    request.app[RECENT].clear()
    return _answer({"status": "cleared"})


async def _found(request: web.Request) -> reports.Document:
    rows, variants = await request.app[BACKEND].read(*queries.report(_key(request)))
    if not rows:
        raise web.HTTPNotFound(reason="there is no such video")
    return reports.detail(rows[0], variants)


def _key(request: web.Request) -> str:
    key = request.match_info["key"]
    if "\0" in key:
        raise web.HTTPNotFound(reason="there is no such video")
    return key


def _page(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8")


# --- writing ---


async def ingest(request: web.Request) -> web.Response:
    """Insert a video with its summary, or change it."""
    video = writes.decoded(await _body(request), writes.Video)
    (written, *_) = await request.app[BACKEND].write(*writes.ingest(video))
    _remember(request, written[0]["id"], video.title)
    return _answer({"id": written[0]["id"], "video_id": video.video_id, "status": "stored"})


def _remember(request: web.Request, key: str, title: str) -> None:
    """What is committed is answered as such, whatever becomes of the small file."""
    try:
        request.app[RECENT].add(key, title)
    except OSError as error:
        LOG.warning("%s", error)


async def change(request: web.Request) -> web.Response:
    """Change what is said of a video."""
    fields = writes.decoded(await _body(request), writes.Fields)
    (written, *_) = await request.app[BACKEND].write(*writes.change(_key(request), fields))
    if not written:
        raise web.HTTPNotFound(reason="there is no such video")
    return _answer({"id": written[0]["id"], "status": "stored"})


async def delete(request: web.Request) -> web.Response:
    """Delete a video with its summaries; tells how many rows of each kind went."""
    statements = writes.delete(_key(request))
    deleted = dict(zip(statements, await request.app[BACKEND].write(*statements.values()), strict=True))
    if not deleted["content"]:
        raise web.HTTPNotFound(reason="there is no such video")
    counts = {kind: len(rows) for kind, rows in deleted.items()}
    return _answer({"id": deleted["content"][0]["id"], "status": "deleted", "deleted": counts})


async def _body(request: web.Request) -> bytes:
    """The JSON of a request. A form of another site cannot send that type, and so cannot write here."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="the body is application/json")
    return await request.read()
