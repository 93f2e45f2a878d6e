"""Requests put to an application on both databases: what differs is found where it is, what does not is equal."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from aiohttp import web
from comparison import differences
from harness import Daemon, application, fetch, wait_until_follows, write_config
from shadowed_app import ITEMS, Handler, Instance, on_both

from cdc.cli import main
from cdc.config import Config, CutoverSection, ExpectedDifference, PagedList, ShadowRule
from cdc.config.shadow import ShadowSection
from cdc.cutover.coverage import uncovered
from cdc.errors import ExitCode
from cdc.facts.progress import Silent
from cdc.facts.shadow import Outcome, Verdict
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.shadow.from_data import Sample
from cdc.shadow.http_plan import Sources
from cdc.shadow.http_report import HttpReport
from cdc.shadow.http_run import HttpRun, shadow_http
from cdc.sqlite.changelog import source_file

SCHEMA = ITEMS


@pytest.fixture
async def followed(config: Config) -> AsyncIterator[Config]:
    """The configuration while a daemon follows."""
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        yield config


def lines(folder: Path, *requests: str) -> Sources:
    file = folder / "requests.txt"
    file.write_text("\n".join(requests))
    return Sources(files=[file])


async def asked(config: Config, sources: Sources, **run: Any) -> HttpReport:
    return await shadow_http(config, HttpRun(sources, **run), Silent())


def verdicts(report: HttpReport) -> dict[str, set[Verdict]]:
    return {endpoint: set(counts) for endpoint, counts in report.endpoints.items()}


def places(outcome: Outcome) -> list[str]:
    return [difference.path for difference in outcome.differences]


async def test_an_application_that_answers_alike_is_found_alike_and_nothing_is_written(
    followed: Config, app: apsw.Connection, tmp_path: Path, database: str
) -> None:
    before = app.execute("SELECT count(*), max(seq) FROM _cdc_changelog").get
    async with on_both(tmp_path / "app.db", database) as both:
        config = both.configured(followed, deny=["/pages*"])
        sources = lines(
            tmp_path, "GET /items", "HEAD /items", "/", "/redirect",
            "/compressed", "/items/99", "/pages", "DELETE /items/1",
            "/items/{id}=SELECT id FROM item",
        )  # fmt: skip
        rule = ShadowRule("status", status=404, reason="errors name their side")
        report = await asked(both.configured(config, deny=["/pages*"], rules=[rule]), sources)
        methods = {method for instance in (both.baseline, both.candidate) for method, _ in instance.requests}
        assert methods == {"GET", "HEAD"}
        assert not any("/pages" in path for _, path in both.candidate.requests)
    assert report.exit_code == ExitCode.OK
    assert verdicts(report) == {
        "GET /items": {Verdict.EQUAL},
        "HEAD /items": {Verdict.EQUAL},
        "GET /": {Verdict.EQUAL},
        "GET /redirect": {Verdict.EQUAL},
        "GET /compressed": {Verdict.EQUAL},
        "GET /items/{id}": {Verdict.EQUAL, Verdict.IGNORED},
    }
    assert dict(report.not_asked) == {"`deny` has /pages*": 1, "`methods` does not have DELETE": 1}
    assert report.asked == 18
    assert app.execute("SELECT count(*), max(seq) FROM _cdc_changelog").get == before
    assert await differences(app, database) == []


async def other_number(app: Instance, request: web.Request) -> web.StreamResponse:
    rows = await app.query("SELECT id, name, price, seen FROM item ORDER BY id")
    items = [dict(zip(("id", "name", "price", "seen"), row, strict=True)) for row in rows]
    items[4]["price"] = 99
    return web.json_response(items)


async def other_page(_app: Instance, _request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html><body><ul><li class='a b'>no item</ul>", content_type="text/html")


async def other_place(app: Instance, _request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(f"{app.url}/items/2")


async def breaks(_app: Instance, _request: web.Request) -> web.StreamResponse:
    return web.Response(status=500)


async def hangs(_app: Instance, _request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def too_large(_app: Instance, _request: web.Request) -> web.StreamResponse:
    return web.Response(body=bytes(33 * 1024 * 1024))


FAULTS: list[tuple[str, Handler, Verdict, str]] = [
    ("/items", other_number, Verdict.DIFFERENT, "$[4]['price']"),
    ("/", other_page, Verdict.DIFFERENT, "html > body:nth-child(2) > ul:nth-child(1) > li:nth-child(1)"),
    ("/redirect", other_place, Verdict.DIFFERENT, "location"),
    ("/compressed", breaks, Verdict.DIFFERENT, "status"),
    ("/items", hangs, Verdict.SLOW, ""),
    ("/items", too_large, Verdict.FAILED, ""),
]


@pytest.mark.parametrize(("path", "fault", "verdict", "place"), FAULTS, ids=[fault.__name__ for _, fault, *_ in FAULTS])
async def test_a_fault_of_the_candidate_is_found_at_its_endpoint_alone(
    followed: Config, tmp_path: Path, database: str, path: str, fault: Handler, verdict: Verdict, place: str
) -> None:
    async with on_both(tmp_path / "app.db", database, candidate={path: fault}) as both:
        config = both.configured(followed, timeout_seconds=2.0)
        report = await asked(config, lines(tmp_path, "/items", "/", "/redirect", "/compressed", "/items/1"))
    assert report.exit_code == ExitCode.DIFFERENCE
    (outcome,) = report.shown
    assert (outcome.endpoint, outcome.verdict) == (f"GET {path}", verdict)
    assert places(outcome)[:1] == ([place] if place else [])
    assert report.verdicts == {Verdict.EQUAL: 4, verdict: 1}


async def test_a_baseline_that_does_not_answer_makes_nothing_known(
    followed: Config, tmp_path: Path, database: str
) -> None:
    async with on_both(tmp_path / "app.db", database, baseline={"/items": hangs}) as both:
        report = await asked(both.configured(followed, timeout_seconds=0.2), lines(tmp_path, "/items"))
    assert (report.exit_code, dict(report.verdicts)) == (ExitCode.CRITICAL, {Verdict.FAILED: 1})


async def test_what_differs_from_itself_is_noise_and_hides_no_difference_beside_it(
    followed: Config, tmp_path: Path, database: str
) -> None:
    async def changed(app: Instance, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"drawn": -next(app.counter), "fixed": 2})

    async with on_both(tmp_path / "app.db", database) as both:
        report = await asked(both.configured(followed), lines(tmp_path, "/chance", "/items"))
        assert verdicts(report) == {"GET /chance": {Verdict.NOISE}, "GET /items": {Verdict.EQUAL}}
        assert report.exit_code == ExitCode.OK
        both.candidate.handlers = {"/chance": changed}
        report = await asked(both.configured(followed), lines(tmp_path, "/chance"))
        assert [places(outcome) for outcome in report.shown] == [["$['fixed']"]]


async def test_a_reference_says_whether_the_application_or_the_data_make_a_difference(
    followed: Config, tmp_path: Path, database: str
) -> None:
    async with (
        on_both(tmp_path / "app.db", database, candidate={"/items": other_number, "/": other_page}) as both,
        on_both(tmp_path / "app.db", database, candidate={"/items": other_number}) as third,
    ):
        config = both.configured(followed, reference=third.candidate.url)
        report = await asked(config, lines(tmp_path, "/items", "/", "/redirect"))
        assert len(third.candidate.requests) == 2  # it is asked where a pair differs, and only there
    origins = {outcome.endpoint: {d.origin for d in outcome.differences} for outcome in report.shown}
    assert origins == {"GET /items": {"of the application"}, "GET /": {"of the data"}}


async def test_differences_that_the_data_expect_are_counted_and_neither_more_nor_fewer_pass(
    followed: Config, tmp_path: Path, database: str
) -> None:
    async def renamed(app: Instance, request: web.Request) -> web.StreamResponse:
        given = int(request.path.rpartition("/")[2])
        name = "another" if given in (3, 6) else f"item {given}"
        return web.json_response({"id": given, "name": name, "price": given * 1.5})

    async with on_both(tmp_path / "app.db", database, candidate={"/items/": renamed}) as both:
        sources = Sources(from_data=["/items/{id}=SELECT id FROM item"])

        async def expecting(sql: str) -> HttpReport:
            expect = [ExpectedDifference("GET /items/*", sql, "named anew")]
            return await asked(both.configured(followed, expect=expect), sources)

        met = await expecting("SELECT id FROM item WHERE id IN (3, 6)")
        assert (met.exit_code, dict(met.verdicts)) == (ExitCode.OK, {Verdict.EQUAL: 10, Verdict.EXPECTED: 2})
        more = await expecting("SELECT 3")
        assert [outcome.request for outcome in more.shown] == ["GET /items/6"]
        fewer = await expecting("SELECT id FROM item WHERE id IN (3, 6, 7)")
        assert [(o.request, o.verdict) for o in fewer.shown] == [("GET /items/7", Verdict.DIFFERENT)]
        assert "must differ, and does not" in fewer.shown[0].reason


PAGES = PagedList("GET /pages*", list="$.items", key="id", total="$.total")


def pages(swap: bool = False, lacks: int = 0, total: int = 12, twice: bool = False) -> Handler:
    """Pages out of a list in memory, with what can be wrong about them."""

    async def answer(_app: Instance, request: web.Request) -> web.StreamResponse:
        ids = [n for n in range(1, 13) if n != lacks]
        if swap:
            ids[3], ids[4] = ids[4], ids[3]
        if twice:
            ids[4] = ids[3]
        number = int(request.query.get("page", "1"))
        items = [{"id": n, "name": f"item {n}"} for n in ids[(number - 1) * 4 : number * 4]]
        return web.json_response({"items": items, "total": total})

    return answer


PAGED: list[tuple[Handler, Verdict, list[str]]] = [
    (pages(), Verdict.EQUAL, []),
    (pages(swap=True), Verdict.UNSTABLE, ["id 4", "id 5"]),
    (pages(twice=True), Verdict.UNSTABLE, ["id 4", "id 5"]),
    (pages(lacks=7), Verdict.DIFFERENT, ["$['items'][6]"]),
    (pages(total=13), Verdict.DIFFERENT, ["$['total']"]),
]


@pytest.mark.parametrize(
    ("candidate", "verdict", "paths"), PAGED, ids=["alike", "swapped", "twice", "lost", "miscounted"]
)
async def test_all_pages_are_walked_and_compared_together(
    followed: Config, tmp_path: Path, database: str, candidate: Handler, verdict: Verdict, paths: list[str]
) -> None:
    async with on_both(tmp_path / "app.db", database, {"/pages": pages()}, {"/pages": candidate}) as both:
        config = both.configured(followed, pages=[PAGES])
        report = await asked(config, lines(tmp_path, "/pages?page=2", "/pages?page=3"))
        assert [path for _, path in both.candidate.requests][:4] == [f"/pages?page={n}" for n in range(1, 5)]
    assert dict(report.verdicts) == {verdict: 1}
    assert [place for outcome in report.shown for place in places(outcome)] == paths


def linked(order: str, size: int = 4, leads_to: str = "{url}{path}?after={after}&of={name}") -> Handler:
    """Pages that lead to each other by cursors of the side, in the document and in a header."""

    async def answer(app: Instance, request: web.Request) -> web.StreamResponse:
        at = int(request.query.get("after", f"{app.name}0").removeprefix(app.name))
        rows = await app.query(f"SELECT id, name FROM item ORDER BY {order} LIMIT {size} OFFSET {at}")
        more = at + size < 12
        after = f"{app.name}{at + size}" if more else None
        address = leads_to.format(url=app.url, path=request.path, after=after, name=app.name)
        headers = {"Link": f'<{address}>; rel="next"'} if more else None
        items = [{"id": row[0], "name": row[1]} for row in rows]
        return web.json_response({"items": items, "after": after, "total": 12}, headers=headers)

    return answer


async def test_pages_that_lead_to_each_other_are_followed_on_each_side_and_nowhere_else(
    followed: Config, tmp_path: Path, database: str
) -> None:
    swapped = "CASE id WHEN 4 THEN 5 WHEN 5 THEN 4 ELSE id END"
    ours = {
        "/by": linked("id"),
        "/astray": linked("id", leads_to="/write"),
        "/circle": linked("id", leads_to="/circle"),
    }
    theirs = {**ours, "/by_link": linked(swapped), "/by_less": linked("id", size=3)}
    lists = [
        PagedList("GET /by_cursor*", list="$.items", key="id", total="$.total", cursor="$.after", page="after"),
        PagedList("GET /*", list="$.items", key="id", total="$.total", next="Link", page="after"),
    ]
    rules = [ShadowRule("ignored", path="$.after")]
    async with on_both(tmp_path / "app.db", database, ours, theirs) as both:
        config = both.configured(followed, pages=lists, deny=["/write"], rules=rules)
        paths = ["/by_cursor?after=7", "/by_cursor?after=9", "/by_link", "/by_less", "/astray", "/circle"]
        report = await asked(config, lines(tmp_path, *paths))
        assert [path for _, path in both.candidate.requests[:3]] == [
            "/by_cursor", "/by_cursor?after=candidate4", "/by_cursor?after=candidate8",
        ]  # fmt: skip
    came_to = {outcome.request.split(",")[0]: (outcome.verdict, places(outcome)) for outcome in report.shown}
    assert report.verdicts[Verdict.EQUAL] == 1
    assert came_to["GET /by_link"] == (Verdict.UNSTABLE, ["id 4", "id 5"])
    assert came_to["GET /by_less"][0] is Verdict.UNSTABLE
    reasons = {outcome.request.split(",")[0]: outcome.reason for outcome in report.shown}
    assert "page 2 must not be asked: `deny` has /write" in reasons["GET /astray"]
    assert "its pages lead in a circle" in reasons["GET /circle"]


async def test_ties_of_a_real_order_do_not_look_like_lost_rows(followed: Config, tmp_path: Path, database: str) -> None:
    async with on_both(tmp_path / "app.db", database) as both:
        report = await asked(both.configured(followed, pages=[PAGES]), lines(tmp_path, "/pages"))
    assert dict(report.verdicts) in ({Verdict.EQUAL: 1}, {Verdict.UNSTABLE: 1})


async def test_secrets_reach_the_application_and_nobody_else(
    followed: Config, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tells(app: Instance, request: web.Request) -> web.StreamResponse:
        headers = {"Set-Cookie": f"sid={app.name}-cookie"}
        return web.json_response({"you": request.headers["Authorization"], "from": app.name}, headers=headers)

    monkeypatch.setenv("TOKEN", "Bearer hush-hush-7")
    handlers = {"/me": tells}
    async with on_both(tmp_path / "app.db", database, handlers, handlers) as both:
        config = both.configured(
            followed,
            baseline_headers={"Authorization": "env:TOKEN", "Accept-Language": "baseline"},
            candidate_headers={"Authorization": "Bearer quiet-please-8"},
            compared_headers=["set-cookie"],
        )
        report = await asked(config, lines(tmp_path, "/me?api_key=under-the-mat"))
        assert both.baseline.headers[0]["Authorization"] == "Bearer hush-hush-7"
    kept = await fetch(database, "SELECT examples::text FROM cdc.shadow_difference")
    told = json.dumps([report.to_json(), *[row[0] for row in kept]])
    assert [places(outcome) for outcome in report.shown] == [["set-cookie", "$['you']", "$['from']"]]
    assert report.shown[0].differences[2].baseline == '"baseline"'  # what is no secret is shown
    assert len(kept) == 3
    for secret in ("hush", "quiet", "under-the", "baseline-cookie", "candidate-cookie"):
        assert secret not in told


async def test_a_writer_at_full_speed_makes_no_difference(followed: Config, tmp_path: Path, database: str) -> None:
    ends = threading.Event()

    def write() -> None:
        writer = application(tmp_path / "app.db")
        while not ends.wait(0.02):
            for _ in range(5):
                writer.execute("UPDATE item SET seen = seen + 1")
        writer.close()

    thread = threading.Thread(target=write)
    async with on_both(tmp_path / "app.db", database) as both:
        thread.start()
        try:
            report = await asked(both.configured(followed), lines(tmp_path, "/items", "/pages"), repeat=30)
        finally:
            ends.set()
            await asyncio.to_thread(thread.join)
    assert report.shown == []
    assert set(report.verdicts) <= {Verdict.EQUAL, Verdict.MOVED}
    assert report.verdicts[Verdict.EQUAL] > 0


async def test_the_baseline_alone_is_timed_without_a_candidate_and_without_a_daemon(
    config: Config, tmp_path: Path, database: str
) -> None:
    async with on_both(tmp_path / "app.db", database) as both:
        report = await asked(both.configured(config), lines(tmp_path, "/items"), repeat=3, record_baseline=True)
        assert both.candidate.requests == []
    assert report.exit_code == ExitCode.OK
    rows = await fetch(database, "SELECT kind, endpoint, baseline::text, candidate::text FROM cdc.shadow_endpoint")
    ((kind, endpoint, baseline, candidate),) = rows
    assert (kind, endpoint, candidate) == ("baseline", "GET /items", "{}")
    assert sum(json.loads(baseline).values()) == 3


async def test_the_ledger_has_both_timings_and_a_log_shows_what_was_never_compared(
    followed: Config, tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "access.log"
    words = '127.0.0.1 - - [26/Nov/2026:10:00:00 +0000] "GET {} HTTP/1.1" 200 1\n'
    log.write_text("".join(words.format(path) for path in ("/items/5", "/items", "/pages?page=7", "/pages?page=8")))
    with log.open("a") as more:
        more.write(words.format("/items").replace("GET", "POST"))  # which is never asked, and so not missed
    async with on_both(tmp_path / "app.db", database) as both:
        sources = Sources(from_data=["/items/{id}=SELECT id FROM item"], sample=Sample(4, 1), coverage=[log],
                          log_format='%h %l %u %t "%r" %>s %b')  # fmt: skip
        report = await asked(both.configured(followed), sources, repeat=2)
        again = await asked(both.configured(followed), sources)
        assert both.candidate.requests[:4] == both.candidate.requests[8:12]
        configured = both.configured(followed, access_log=log, log_format=sources.log_format)
        file = write_config(tmp_path / "shadow.toml", configured)
    asks = msgspec.structs.replace(configured, cutover=CutoverSection(shadow_clean_hours=1))
    missed = ("never compared: GET /pages?page, 2 in the log", "never compared: GET /items, 1 in the log")
    assert await missing_for_a_cutover(asks) == missed
    assert await missing_for_a_cutover(configured) == ()
    await asyncio.to_thread(main, ["-q", "-c", str(file), "shadow", "report"])
    assert "never compared: GET /pages?page, 2 requests in the log\n" in capsys.readouterr().out
    (unlike,) = await missing_for_a_cutover(msgspec.structs.replace(asks, shadow=ShadowSection(access_log=log)))
    assert "has no read in it" in unlike
    call = ["-q", "-c", str(file), "shadow", "report", "--coverage-log", str(log), "--log-format", sources.log_format]
    await asyncio.to_thread(main, call)
    told = capsys.readouterr().out
    assert "never compared: GET /pages?page, 2 requests in the log\n" in told
    assert "compared: 1 of 3 endpoints in the log\n" in told
    await asyncio.to_thread(main, [*call, "--json"])
    as_json = json.loads(capsys.readouterr().out)
    assert (as_json["logged_endpoints"], as_json["never_compared"]) == (3, report.uncovered)
    assert report.uncovered == {"GET /pages?page": 2, "GET /items": 1}
    assert again.asked == 4
    rows = await fetch(database, "SELECT endpoint, baseline::text, candidate::text FROM cdc.shadow_endpoint")
    ((endpoint, ours, theirs),) = rows
    assert endpoint == "GET /items/{id}"
    assert sum(json.loads(ours).values()) == sum(json.loads(theirs).values()) == 12


async def missing_for_a_cutover(config: Config) -> tuple[str, ...]:
    look = await asyncio.to_thread(source_file.look, config)
    assert look.capture is not None
    async with connected(config, "test") as connection:
        return await uncovered(config, Record(connection, look.capture.source_id))


async def test_the_candidate_is_asked_first_every_other_time(followed: Config, tmp_path: Path, database: str) -> None:
    order: list[str] = []

    async def noted(app: Instance, _request: web.Request) -> web.StreamResponse:
        order.append(app.name)
        return web.json_response([])

    async with on_both(tmp_path / "app.db", database, {"/x": noted}, {"/x": noted}) as both:
        await asked(both.configured(followed), lines(tmp_path, "/x"), repeat=4)
    assert order == ["baseline", "candidate", "candidate", "baseline"] * 2


async def test_no_more_is_asked_than_the_time_allows(followed: Config, tmp_path: Path, database: str) -> None:
    async with on_both(tmp_path / "app.db", database) as both:
        config = both.configured(followed, requests_per_second=50.0)
        report = await asked(config, lines(tmp_path, "/items"), repeat=1_000, minutes=0.005)
    assert report.asked + report.unreached == 1_000
    assert 0 < report.asked < 40


async def test_the_command_says_what_differs_where_and_what_was_left_out(
    followed: Config, tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines(tmp_path, "/items", "/", "/chance", "POST /items")
    async with on_both(tmp_path / "app.db", database, candidate={"/items": other_number}) as both:
        file = write_config(tmp_path / "shadow.toml", both.configured(followed))
        command = ["-q", "-c", str(file), "shadow", "http", "--requests", str(tmp_path / "requests.txt")]
        code = await asyncio.to_thread(main, command)
        told = capsys.readouterr().out
        assert code == await asyncio.to_thread(main, [*command, "--json"]) == ExitCode.DIFFERENCE
        as_json = json.loads(capsys.readouterr().out)
        code = await asyncio.to_thread(main, [*command, "--candidate", "http://127.0.0.1:1"])
    assert code == ExitCode.CRITICAL
    assert "nothing is known: no request of 3 was answered by both sides" in capsys.readouterr().out
    assert "! different: GET /items\n    $[4]['price'] (changed value)\n        SQLite    7.5\n" in told
    assert "not asked: 1, for `methods` does not have POST, such as POST /items\n" in told
    assert told.splitlines()[-1] == (
        "not alike: 1 different of 3 requests to 3 endpoints; 1 different each time on the baseline, 1 not asked"
    )
    assert as_json["endpoints"]["GET /items"]["different"] == 1
    assert as_json["result"] == told.splitlines()[-1]
    entries = [json.loads(line.rpartition("\t")[0] or line) for line in _trail(followed) if '"shadow http"' in line]
    assert len(entries) == 3


def _trail(config: Config) -> list[str]:
    return (config.state.dir / "audit.jsonl").read_text().splitlines()
