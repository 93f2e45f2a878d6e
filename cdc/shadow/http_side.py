"""One instance of the application: what it answers to a request, or why it gives no answer."""

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from cdc.errors import ConfigError
from cdc.facts.secret_names import MASKED, is_called_secret
from cdc.shadow.http_answer import LARGEST_BODY, TOO_LARGE, HttpAnswer, as_compared
from cdc.shadow.requests import HttpRequest

_CHUNK: Final = 64 * 1024
_FROM_ENVIRONMENT: Final = "env:"
_SHORTEST_SECRET: Final = 6  # characters; shorter values are words like `json`, not secrets


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why a side did not answer; `late` says that it had not when its time was over."""

    reason: str
    late: bool = False


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance that is asked over connections that are kept open."""

    base_url: str
    _session: aiohttp.ClientSession

    async def ask(self, request: HttpRequest) -> HttpAnswer | NoAnswer:
        """What it answers; a redirect is an answer, and is not followed."""
        headers = {"content-type": request.content_type} if request.content_type else None
        url = URL(self.base_url.rstrip("/") + request.target, encoded=True)
        try:
            async with self._session.request(
                request.method, url, data=request.body, headers=headers, allow_redirects=False
            ) as response:
                body = await _body(response)
                return as_compared(response.status, tuple(response.headers.items()), body, self.base_url)
        except TimeoutError:
            return NoAnswer("it took longer than `timeout_seconds`", late=True)
        except ValueError as error:
            return NoAnswer(str(error) if error.__class__ is ValueError else type(error).__name__)
        except aiohttp.ClientOSError as error:
            return NoAnswer(f"it cannot be reached: {error.strerror or type(error).__name__}")
        except aiohttp.ClientError as error:
            return NoAnswer(f"it does not speak HTTP as it should: {type(error).__name__}")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > LARGEST_BODY:
            raise ValueError(TOO_LARGE)
    return bytes(body)


@asynccontextmanager
async def instance(base_url: str, headers: Mapping[str, str], timeout_seconds: float) -> AsyncIterator[Instance]:
    """An instance for the time of a block."""
    session = aiohttp.ClientSession(
        headers={"Accept-Encoding": "gzip, deflate", "Accept": "*/*", **headers},
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),  # a session of one request would make the next one another
        auto_decompress=False,
    )
    async with session:
        yield Instance(base_url, session)


def headers_of(configured: Mapping[str, str], key: str) -> dict[str, str]:
    """Headers as they are sent; raises `ConfigError` for one whose value the environment does not have."""
    return {name: _header_value(value, key) for name, value in configured.items()}


def _header_value(value: str, key: str) -> str:
    if not value.startswith(_FROM_ENVIRONMENT):
        return value
    variable = value.removeprefix(_FROM_ENVIRONMENT)
    found = os.environ.get(variable)
    if found is None:
        raise ConfigError(
            f"`{key}` in [shadow] takes a value from the environment, where {variable} is not set",
            remedy=f"set it for this command, or correct the name after `{_FROM_ENVIRONMENT}`",
        )
    return found


def _is_secret(name: str, configured: str) -> bool:
    return configured.startswith(_FROM_ENVIRONMENT) or "key" in name.lower() or is_called_secret(name)


@dataclass(frozen=True, slots=True)
class Mask:
    """Takes secrets that were sent in headers out of whatever is shown or kept: an answer may repeat them."""

    secrets: tuple[str, ...] = ()

    @classmethod
    def of(cls, *configured: Mapping[str, str]) -> "Mask":
        """The mask of headers that are called like secrets or come from the environment, also of their parts."""
        secret = [{name: v for name, v in named.items() if _is_secret(name, v)} for named in configured]
        values = {value for named in secret for value in headers_of(named, "headers").values()}
        parts = {part for value in values for part in re.split(r"[\s;=]+", value)}
        return cls(tuple(sorted((s for s in values | parts if len(s) >= _SHORTEST_SECRET), key=len, reverse=True)))

    def __call__(self, text: str | None) -> str | None:
        """The text without them."""
        for secret in self.secrets:
            text = text and text.replace(secret, MASKED)
        return text
