"""The proxy before the application: users get the baseline's answers, whatever the candidate does."""

import asyncio
import threading
from pathlib import Path

import apsw
import asyncpg
import pytest
from harness import Daemon, application, make_config, up, wait_for, wait_until_follows
from proxied import ledger, site
from two_sides import COUNTER, FAULTS

from cdc.config import Config
from cdc.facts.shadow import Verdict

SCHEMA = COUNTER
REQUESTS = 40


# --- faults of the candidate ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*FAULTS, "is killed"])
async def test_whatever_the_candidate_does_no_request_of_a_user_fails(
    app: apsw.Connection, config: Config, fault: str
) -> None:
    """A candidate that hangs does so until the test ends: each answer that comes before was not held up by it."""
    async with site(app, config) as here:
        if fault == "is killed":
            await here.candidate.stop()
        else:
            here.candidate.fault = fault
        for _ in range(3):
            answers = await asyncio.gather(*[here.get(f"/page{n}") for n in range(REQUESTS)])
            assert answers == [f"/page{n}".encode() for n in range(REQUESTS)]
        await here.judged()
        told = here.status()
        seen = sum(told["verdicts"].values()) + sum(told["not_compared"].values())
        assert (seen, here.verdicts(Verdict.EQUAL)) == (3 * REQUESTS, 0)
        if fault in ("hangs", "drips", "is killed"):
            assert told["breaker"] == "open"
            assert told["not_compared"]["the candidate is left alone"] > 0


async def test_a_candidate_that_comes_back_is_asked_again(app: apsw.Connection, config: Config) -> None:
    async with site(app, config) as here:
        here.candidate.fault = "closes within the body"
        await asyncio.gather(*[here.get("/page") for _ in range(REQUESTS)])
        await here.judged()
        assert here.status()["breaker"] == "open"
        here.candidate.fault = ""

        async def compared_again() -> bool:
            await here.get("/page")
            return here.verdicts(Verdict.EQUAL) > 0 and here.status()["breaker"] == "closed"

        await wait_for(compared_again, "the candidate to be asked again")


async def test_pairs_beyond_what_the_queue_takes_are_dropped_and_counted(app: apsw.Connection, config: Config) -> None:
    async with site(app, config, queue_pairs=2, workers=1, failures=1_000) as here:
        here.candidate.fault = "hangs"
        await asyncio.gather(*[here.get("/page") for _ in range(REQUESTS)])
        assert here.status()["not_compared"]["the queue is full"] >= REQUESTS - 3


# --- verdicts ---------------------------------------------------------------------------------------------------------


async def test_a_difference_is_in_the_ledger_with_its_endpoint(app: apsw.Connection, config: Config) -> None:
    async with site(app, config) as here, ledger(config) as kept:
        await here.get("/page", Authorization="Bearer hidden")
        here.candidate.offset = 1
        await here.get("/count?token=hidden", Authorization="Bearer hidden")
        await here.judged()

        async def flushed() -> bool:
            return len(await kept.endpoints()) == 2

        await wait_for(flushed, "the counts to be flushed")
        endpoints = {e.endpoint: e for e in await kept.endpoints()}
        (place,) = await kept.places()
        assert endpoints["GET /page"].verdicts == {"equal": 1}
        assert endpoints["GET /page"].clean_since is not None
        assert endpoints[place.endpoint].verdicts == {"different": 1}
        assert (place.kind, place.path) == ("proxy", "$['n']")
        assert (place.examples[0].baseline, place.examples[0].candidate) == ("0", "1")
        assert "hidden" not in repr((endpoints, place))


async def test_writes_at_full_speed_never_look_like_a_difference(tmp_path: Path, database: str) -> None:
    """Every commit changes what both sides answer; a thread commits as fast as it can, and rests now and then."""
    app = application(tmp_path / "app.db")
    app.execute(SCHEMA).fetchall()
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    ends = threading.Event()

    def write() -> None:
        writer = application(tmp_path / "app.db")
        for n in range(1_000_000):
            writer.execute("UPDATE counter SET n = n + 1").fetchall()
            if ends.is_set() or (n % 50 == 0 and ends.wait(0.02)):
                break
        writer.close()

    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        async with site(app, config) as here:
            writer = threading.Thread(target=write)
            writer.start()
            try:

                async def compared() -> bool:
                    await asyncio.gather(*[here.get("/count") for _ in range(5)])
                    return here.verdicts(Verdict.EQUAL) >= 50 and here.verdicts(Verdict.MOVED) > 0

                await wait_for(compared, "pairs of one moment", daemon=daemon)
            finally:
                ends.set()
                await asyncio.to_thread(writer.join)
            await here.judged()
            assert not {Verdict.DIFFERENT, Verdict.FAILED} & set(here.status()["verdicts"])
    app.close()


async def test_a_write_while_the_baseline_answers_makes_the_pair_move(app: apsw.Connection, config: Config) -> None:
    """The answer shows the write, and Postgres, which no daemon feeds, stays where it was before the question."""

    async def written_meanwhile() -> int:
        return int(app.execute("UPDATE counter SET n = n + 1 RETURNING n").get)

    async with site(app, config) as here:
        here.baseline.read = written_meanwhile
        assert await here.get("/count") == b'{"n": 1}'
        await here.judged()
        assert here.status()["verdicts"] == {Verdict.MOVED: 1}


async def test_what_differs_from_itself_is_noise_and_hides_no_difference_beside_it(
    app: apsw.Connection, config: Config
) -> None:
    async with site(app, config) as here, ledger(config) as kept:
        await here.get("/drawn")
        await here.judged()
        assert here.status()["verdicts"] == {Verdict.NOISE: 1}
        assert ["X-Cdc-Shadow" in request.headers for request in here.baseline.asked] == [False, True]
        here.candidate.offset = 1
        await here.get("/drawn")
        await here.judged()
        assert here.status()["verdicts"] == {Verdict.NOISE: 1, Verdict.DIFFERENT: 1}

        async def flushed() -> bool:
            return len(await kept.places()) > 0

        await wait_for(flushed, "the difference to be flushed")
        assert {place.path for place in await kept.places()} == {"location", "$['n']"}


async def test_what_differs_from_itself_after_a_write_may_be_no_noise(app: apsw.Connection, config: Config) -> None:
    """The second question to the baseline writes: what differs then is the write, or is noise, and nobody knows."""

    async def written() -> int:
        marked = "X-Cdc-Shadow" in here.baseline.asked[-1].headers
        return int(app.execute("UPDATE counter SET n = n + 1 RETURNING n").get) if marked else 0

    async with site(app, config) as here:
        here.baseline.read, here.candidate.offset = written, 1
        await here.get("/count")
        await here.judged()
        assert here.status()["verdicts"] == {Verdict.DIFFERENT: 1}


async def test_what_was_counted_while_postgres_is_away_is_added_later(app: apsw.Connection, config: Config) -> None:
    async with site(app, config) as here, ledger(config) as kept:
        await here.get("/page")
        await here.judged()
        blocker = await asyncpg.connect(config.target.dsn)
        try:
            async with blocker.transaction():
                await blocker.execute("LOCK TABLE cdc.shadow_endpoint")
                here.candidate.offset = 1
                await here.get("/count")

                async def waits() -> bool:
                    return bool(await blocker.fetchval("SELECT 1 FROM pg_locks WHERE NOT granted"))

                await wait_for(waits, "a flush to wait")
                mine = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted"
                await blocker.execute(mine)
                assert await here.get("/page") == b"/page"
        finally:
            await blocker.close()

        async def all_there() -> bool:
            return sum(sum(e.verdicts.values()) for e in await kept.endpoints()) == 3

        await wait_for(all_there, "all counts to be there")


async def test_what_moved_is_put_again_until_something_is_known_of_its_endpoint(
    app: apsw.Connection, config: Config
) -> None:
    """A page that a browser asks for once must not stay unproven because somebody wrote in that moment."""
    writes = 1

    async def written_sometimes() -> int:
        nonlocal writes
        if writes:
            writes -= 1
            return int(app.execute("UPDATE counter SET n = n + 1 RETURNING n").get)
        return int(app.execute("SELECT n FROM counter").get)

    async with site(app, config) as here:
        here.baseline.read = written_sometimes
        assert await here.get("/count") == b'{"n": 1}'
        await up(config)
        await here.judged()
        assert here.status()["verdicts"] == {Verdict.EQUAL: 1}
        asked = len(here.baseline.asked)
        assert [request.headers.get("X-Cdc-Shadow") for request in here.baseline.asked] == [None, "1"]
        writes = 1
        assert await here.get("/count") == b'{"n": 2}'
        await here.judged()
        assert here.status()["verdicts"] == {Verdict.EQUAL: 1, Verdict.MOVED: 1}
        assert len(here.baseline.asked) == asked + 1  # much is known of it, and users ask again
