"""Whether the application really uses the side that it was told to: applications fall back silently.

A check asks over HTTP, with patience for an application that begins again, and looks for what a write left behind on
the side that is active. `{probe}` in its addresses, body and SQL becomes letters of its own each time, so that a row of
an earlier time proves nothing.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cdc.config import CheckSection, Config, ExpectedValue
from cdc.cutover.flag.web import Unreached, WebAnswer, ask, headers_in
from cdc.errors import CdcError, Policy
from cdc.facts.side import Side
from cdc.postgres.connection.errors import translated
from cdc.postgres.server.endpoint import connected
from cdc.sqlite.rows import question

PROBE: Final = "{probe}"
_WAIT_SECONDS: Final = 0.2
_RESTARTING: Final = 503  # not yet, or not any more: such a request was not carried out
_NOT_THERE: Final = (404, 410)  # what is to be undone was not done, or is undone
_NOTHING: Final = object()


class _NotYet(Exception):
    """It is not as it should be, in words; worth another look or not, and whether a request may have done something."""

    def __init__(self, words: str, *, again: bool = True, done: bool = True) -> None:
        super().__init__(words)
        self.again, self.done = again, done


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check came to: `words` say what was found, or what was not as it should be."""

    name: str
    met: bool
    words: str

    def to_json(self) -> dict[str, Any]:
        """The stable form for programs."""
        return {"name": self.name, "met": self.met, "words": self.words}


class Checks:
    """The checks of a configuration."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def ask(self, side: Side, after: Literal["reads", "writes"]) -> list[CheckResult]:
        """Each check of reads, or of writes, in its order: what the application does, with `side` active."""
        return [await self._result(check, side) for check in self._config.cutover.checks if check.after == after]

    async def _result(self, check: CheckSection, side: Side) -> CheckResult:
        probe = secrets.token_hex(8)
        until = time.monotonic() + check.within_seconds
        wrong = None
        try:
            await _patiently(until, lambda: _asked(check, side, probe))
            if check.sql is not None:
                await _patiently(until, lambda: self._looked_up(check, side, probe))
        except _NotYet as error:
            wrong = str(error)
            if not error.done:
                return CheckResult(check.name, met=False, words=wrong)
        except CdcError as error:
            return CheckResult(check.name, met=False, words=error.message)
        undone = await _undone(check, probe)  # also a row that went to the other side
        return CheckResult(check.name, met=wrong is None, words=(wrong or f"as it should be on {side}") + undone)

    async def _looked_up(self, check: CheckSection, side: Side, probe: str) -> None:
        sql = (check.sql or "").replace(PROBE, probe)
        try:
            if side is Side.SQLITE:
                found = await asyncio.to_thread(question.ask, self._config.source, check.name, sql)
            else:
                found = await self._in_postgres(check.name, sql)
        except CdcError as error:
            raise _NotYet(error.message, again=error.policy is Policy.RETRY) from None
        if not found:
            raise _NotYet(f"its row is not in {side}: the query answers {'nothing' if found is None else found}")

    async def _in_postgres(self, name: str, sql: str) -> Any:
        async with connected(self._config, "check") as connection, connection.transaction(readonly=True):
            with translated(f"asking Postgres for the check {name}"):
                return await connection.fetchval(sql)


async def _patiently(until: float, look: Callable[[], Awaitable[None]]) -> None:
    """Look until it is as it should be; raises `_NotYet` when it is late, or will not become so."""
    while True:
        try:
            return await look()
        except _NotYet as error:
            if not error.again or time.monotonic() >= until:
                raise
        await asyncio.sleep(_WAIT_SECONDS)


async def _asked(check: CheckSection, side: Side, probe: str) -> None:
    """Put the request. A write is put once more only where it was surely not carried out."""
    reading = check.method.upper() in ("GET", "HEAD")
    answer = await _put(check, check.url, check.method, probe, again=reading)
    if not answer.fine:
        not_done = answer.status == _RESTARTING
        raise _NotYet(f"it answers {answer.status}", again=reading or not_done, done=not not_done)
    expected = check.sqlite if side is Side.SQLITE else check.postgres
    if wrong := unlike(answer.body, expected):
        raise _NotYet(wrong, again=reading)


async def _undone(check: CheckSection, probe: str) -> str:
    """Take back what the check wrote; returns what is to be said of it."""
    if check.undo_url is None:
        return ""
    try:
        answer = await _put(check, check.undo_url, check.undo_method, probe, again=False)
    except _NotYet as error:
        return f"; what it wrote was not undone: {error}"
    return (
        ""
        if answer.fine or answer.status in _NOT_THERE
        else f"; what it wrote was not undone: it answers {answer.status}"
    )


async def _put(check: CheckSection, url: str, method: str, probe: str, *, again: bool) -> WebAnswer:
    body = check.body.replace(PROBE, probe) if check.body is not None and url == check.url else None
    headers = headers_in(check.headers_file, check.content_type if body is not None else None)
    url = url.replace(PROBE, probe)
    try:
        return await asyncio.to_thread(ask, url, method.upper(), body, headers, check.timeout_seconds)
    except Unreached as error:
        raise _NotYet(f"it gives no answer: {error}", again=again or error.unseen, done=not error.unseen) from None


def unlike(body: bytes, expected: Mapping[str, ExpectedValue]) -> str | None:
    """What in a JSON answer is not as expected, in words; None where all is.

    A path is members and numbers of elements with dots between them, `pool.0.backend`; `$.` may stand before it.
    """
    if not expected:
        return None
    try:
        found = json.loads(body)
    except ValueError:
        return "its answer is no JSON"
    for path, value in expected.items():
        there = _at(found, path.removeprefix("$.").split("."))
        if there is _NOTHING:
            return f"{path} is not in its answer"
        if isinstance(there, bool) is not isinstance(value, bool) or there != value:
            shown = json.dumps(there) if not isinstance(there, dict | list) else "no single value"
            return f"{path} is {shown[:100]}, not {json.dumps(value)}"
    return None


def _at(found: Any, path: list[str]) -> Any:
    for name in path:
        if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            return _NOTHING
    return found
