"""What passes through the proxy: heads and bodies of both directions as they came, and what goes wrong said plainly."""

import asyncio
import io
import json
import os
import re
from typing import Any

import aiohttp
import apsw
import pytest
from harness import wait_for
from proxied import Site, site
from two_sides import CHUNKS, COUNTER

from cdc.config import Config
from cdc.facts.shadow import Verdict

SCHEMA = COUNTER


ENDS_SECONDS = 10.0  # within which the other end closes a connection that it should


async def raw(here: Site, request: bytes, address: str = "") -> bytes:
    """What comes back for bytes on a connection that is closed by the other end, the proxy where none is given."""
    host, port = (address or here.proxy.address).removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    async with asyncio.timeout(ENDS_SECONDS):
        answer = await reader.read()
    writer.close()
    return answer


def echoed(answer: bytes) -> tuple[list[tuple[str, str]], Any]:
    """The headers and the rest of what the instance says that it was sent."""
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    return [(key, value) for key, value in told["headers"]], told


# --- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/a%2Fb%20c?x=%zz&y=+", "//two//slashes", "/a/../b/./c", "/%C3%A4?q=%e4"])
async def test_a_path_goes_on_byte_for_byte(app: apsw.Connection, config: Config, path: str) -> None:
    async with site(app, config) as here:
        head = f"GET {path} HTTP/1.1\r\nHost: app.example.org\r\nConnection: close\r\n\r\n"
        answer = await raw(here, head.encode())
        assert answer.partition(b"\r\n\r\n")[2] == path.encode()
        await here.judged()
        assert [request.raw_path for request in here.candidate.asked] == [path]
        assert here.verdicts(Verdict.EQUAL) == 1


async def test_headers_of_one_connection_stay_and_all_others_pass(app: apsw.Connection, config: Config) -> None:
    lines = [
        "POST /echo HTTP/1.1",
        "Host: app.example.org",
        "X-Twice: one",
        "Connection: close, X-Hop",
        "X-Hop: mine",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Upgrade: h2c",
        "X-Forwarded-For: 10.0.0.1",
        "x-twice: two",
        "Cookie: a=1; b=2",
        "Content-Length: 4",
    ]
    async with site(app, config) as here:
        headers, told = echoed(await raw(here, "\r\n".join([*lines, "", "body"]).encode()))
        assert told["body"] == "body"
        names = [name.lower() for name, _ in headers]
        assert not {"x-hop", "keep-alive", "te", "upgrade", "user-agent", "accept"} & set(names)
        assert ("Host", "app.example.org") in headers
        assert [value for name, value in headers if name.lower() == "x-twice"] == ["one", "two"]
        assert ("X-Forwarded-For", "10.0.0.1, 127.0.0.1") in headers
        assert names.index("host") < names.index("x-twice") < names.index("cookie")


def undated(answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    """The headers; a second may have passed from one answer to the next."""
    return [(name, b"" if name == b"Date" else value) for name, value in answer.raw_headers]


async def test_headers_of_an_answer_come_as_the_application_gave_them(app: apsw.Connection, config: Config) -> None:
    async with site(app, config) as here:
        direct = await here.client.get(here.baseline.url + "/page")
        through = await here.client.get(here.proxy.address + "/page")
        assert undated(through) == undated(direct)
        assert through.headers.getall("Set-Cookie") == ["a=1", "b=2"]


async def test_only_the_candidate_is_told_that_nobody_waits(app: apsw.Connection, config: Config) -> None:
    async with site(app, config) as here:
        await here.get("/page")
        await here.judged()
        assert "X-Cdc-Shadow" not in here.baseline.asked[0].headers
        assert here.candidate.asked[0].headers["X-Cdc-Shadow"] == "1"
        assert here.candidate.asked[0].headers["Host"] == here.baseline.asked[0].headers["Host"]


KEPT = "GET {} HTTP/1.1\r\nHost: app\r\n\r\n"
LAST = "GET {} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "requests",
    [
        KEPT + KEPT + LAST,  # in one go
        LAST,
        "HEAD {} HTTP/1.1\r\nHost: app\r\n\r\n" + LAST,
        "GET {} HTTP/1.0\r\n\r\n",
        "GET {} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + LAST,
    ],
)
@pytest.mark.parametrize("target", ["/page", "/side", "/unchanged"])
async def test_the_bytes_of_an_answer_are_those_of_the_application(
    app: apsw.Connection, config: Config, requests: str, target: str
) -> None:
    asked = requests.replace("{}", target).encode()
    async with site(app, config) as here:
        through, direct = await raw(here, asked), await raw(here, asked, here.baseline.url)
    undated_bytes = [
        re.sub(rb"Date: [^\r]*|Content-Type: application/octet-stream\r\n", b"", a) for a in (through, direct)
    ]
    assert undated_bytes[0] == undated_bytes[1]


# --- bodies -----------------------------------------------------------------------------------------------------------


async def test_large_bodies_pass_in_both_directions(app: apsw.Connection, config: Config) -> None:
    body = os.urandom(3_000_000)

    async def pieces() -> Any:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    async with site(app, config) as here:
        for data in (io.BytesIO(body), pieces()):
            async with here.client.post(here.proxy.address + "/echo", data=data) as answer:
                assert (await answer.json())["body"].encode("latin-1") == body
        assert await here.get("/chunks") == b"".join(CHUNKS)
        await here.judged()
        assert len(here.candidate.asked) == 1


async def test_a_compressed_body_is_neither_opened_nor_packed(app: apsw.Connection, config: Config) -> None:
    packed = b"\x1f\x8b not really"
    async with site(app, config) as here:
        headers = {"Content-Encoding": "gzip", "Expect": "100-continue"}
        async with here.client.post(here.proxy.address + "/echo", data=packed, headers=headers) as answer:
            told = await answer.json()
        assert told["body"].encode("latin-1") == packed
        assert ["Content-Encoding", "gzip"] in told["headers"]


async def test_an_answer_larger_than_what_is_kept_passes_and_is_counted(app: apsw.Connection, config: Config) -> None:
    async with site(app, config, keep_bytes=1_000) as here:
        assert await here.get("/chunks") == b"".join(CHUNKS)
        assert here.status()["not_compared"] == {"larger than what is kept, or without an end": 1}
        assert here.candidate.asked == []


async def test_events_come_as_they_are_sent(app: apsw.Connection, config: Config) -> None:
    async with site(app, config) as here, here.client.get(here.proxy.address + "/events") as answer:
        assert await answer.content.readline() == b"data: first\n"
        here.baseline.released.set()  # so the first came while the answer was still open
        assert await answer.content.read() == b"\ndata: second\n\n"


async def test_a_websocket_passes_in_both_directions(app: apsw.Connection, config: Config) -> None:
    address = "/socket"
    async with site(app, config) as here:
        socket = await here.client.ws_connect(here.proxy.address + address, protocols=["echo"], compress=15)
        assert socket.protocol == "echo"
        for text in ("one", "two" * 100_000):
            await socket.send_str(text)
            assert await socket.receive_str() == text
        await socket.send_bytes(b"\x00\xff")
        assert await socket.receive_bytes() == b"\x00\xff"
        await socket.close(code=4000)
        assert here.baseline.asked[0].headers["X-Forwarded-For"] == "127.0.0.1"
        assert here.candidate.asked == []
        assert await here.get("/page") == b"/page"


async def test_a_websocket_that_is_refused_is_answered_as_the_application_does(
    app: apsw.Connection, config: Config
) -> None:
    async with site(app, config) as here:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await here.client.ws_connect(here.proxy.address + "/page")
        assert refused.value.status == 200


async def test_head_has_the_length_and_no_body(app: apsw.Connection, config: Config) -> None:
    async with site(app, config) as here:
        async with here.client.head(here.proxy.address + "/page") as answer:
            assert (answer.headers["Content-Length"], await answer.read()) == ("5", b"")
        await here.judged()
        assert here.verdicts(Verdict.EQUAL) == 1


# --- what goes wrong --------------------------------------------------------------------------------------------------


async def test_a_baseline_that_is_away_is_502_and_one_that_hangs_504(app: apsw.Connection, config: Config) -> None:
    async with site(app, config, answer_seconds=0.2) as here:
        async with here.client.get(here.proxy.address + "/wait") as answer:
            assert (answer.status, await answer.text()) == (504, "the application does not answer\n")
        await here.baseline.stop()
        for method in ("GET", "POST"):
            async with here.client.request(method, here.proxy.address + "/page") as answer:
                assert (answer.status, await answer.text()) == (502, "the application cannot be reached\n")


async def test_an_answer_that_breaks_off_breaks_off_for_the_client_too(app: apsw.Connection, config: Config) -> None:
    async with site(app, config) as here:
        with pytest.raises(aiohttp.ClientPayloadError):
            await here.get("/broken")
        assert await here.get("/page") == b"/page"


async def test_a_client_that_goes_away_ends_its_request_at_the_baseline(app: apsw.Connection, config: Config) -> None:
    async with site(app, config) as here:
        async with here.client.get(here.proxy.address + "/events") as answer:
            await answer.content.readline()
            answer.close()

        async def gone() -> bool:
            (request,) = here.baseline.asked
            return request.transport is None

        await wait_for(gone, "the baseline to see that the client is gone")


async def test_writes_are_put_to_the_baseline_once_and_never_to_the_candidate(
    app: apsw.Connection, config: Config
) -> None:
    async with site(app, config) as here:
        for _ in range(20):
            await here.add()
        assert app.execute("SELECT n FROM counter").get == 20
        assert here.candidate.asked == []


async def test_paths_that_are_denied_or_not_drawn_are_not_put_to_the_candidate(
    app: apsw.Connection, config: Config
) -> None:
    rates = [{"path": "/heavy*", "share": 0.0}]
    async with site(app, config, rates=rates, deny=["/private*"]) as here:
        for path in ("/private", "/%70rivate", "/heavy", "/page"):
            await here.get(path)
        await here.judged()
        assert [request.raw_path for request in here.candidate.asked] == ["/page"]
