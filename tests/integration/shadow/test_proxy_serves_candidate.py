"""A share of reads is served by the candidate, as new as the baseline's, until something speaks against it."""

from pathlib import Path

import apsw
import pytest
from harness import Daemon, application, execute, make_config, up, value, wait_for, wait_until_follows
from proxied import Site, site
from two_sides import COUNTER, FAULTS

from cdc.config import Config
from cdc.facts.shadow import Verdict

SCHEMA = COUNTER


async def served_by(here: Site, path: str, client: str = "10.0.0.1") -> str:
    """Which side's answer a client got."""
    async with here.client.get(here.proxy.address + path, headers={"X-Forwarded-For": client}) as answer:
        assert answer.status == 200
        return answer.headers["X-Served-By"]


async def known(here: Site) -> None:
    """Wait until the proxy knows where Postgres stands, without which it serves nothing from there."""

    async def answers() -> bool:
        return await served_by(here, "/side") == "candidate"

    await wait_for(answers, "the candidate to serve")


async def test_a_client_reads_what_it_wrote_from_postgres(tmp_path: Path, database: str) -> None:
    """The client adds one and reads at once, again and again, while a daemon brings it to Postgres."""
    app = application(tmp_path / "app.db")
    app.execute(COUNTER).fetchall()
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        async with site(app, config, serve_candidate=1.0, serve_seconds=30.0, catch_up_seconds=5.0) as here:
            await known(here)
            for n in range(1, 101):
                await here.add()
                assert await here.get("/count") == b'{"n": %d}' % n
            await here.judged()
            served = [request for request in here.candidate.asked if "X-Cdc-Shadow" not in request.headers]
            assert len([request for request in served if request.path == "/count"]) > 50
            assert Verdict.DIFFERENT not in here.status()["verdicts"]
    app.close()


async def test_a_write_that_does_not_arrive_is_read_from_the_baseline(app: apsw.Connection, config: Config) -> None:
    """No daemon runs: Postgres stays where it is."""
    async with site(app, config, serve_candidate=1.0, serve_seconds=30.0) as here:
        await known(here)
        await here.add()
        assert await here.get("/count") == b'{"n": 1}'
        assert await served_by(here, "/side") == "baseline"


async def test_what_is_served_is_compared_with_the_baseline(app: apsw.Connection, config: Config) -> None:
    async with site(app, config, serve_candidate=1.0, serve_seconds=30.0) as here:
        await known(here)
        before = here.verdicts(Verdict.EQUAL)
        await here.get("/page")

        async def compared() -> bool:
            return here.verdicts(Verdict.EQUAL) > before

        await wait_for(compared, "the pair to be compared")
        assert [request.path for request in here.baseline.asked].count("/page") == 1


async def test_all_go_back_to_the_baseline_on_a_difference(app: apsw.Connection, config: Config) -> None:
    async with site(app, config, serve_candidate=1.0, serve_seconds=30.0) as here:
        await known(here)
        here.candidate.offset = 1
        assert await here.get("/count") == b'{"n": 1}'  # the one that nobody could know before

        async def back() -> bool:
            return not here.status()["serves_candidate"]

        await wait_for(back, "all to go back")
        assert await here.get("/count") == b'{"n": 0}'
        assert await served_by(here, "/side") == "baseline"


async def test_what_differs_from_itself_sends_nobody_back(app: apsw.Connection, config: Config) -> None:
    async with site(app, config, serve_candidate=1.0, serve_seconds=30.0) as here:
        await known(here)
        await here.get("/drawn")

        async def judged() -> bool:
            return here.verdicts(Verdict.NOISE) == 1

        await wait_for(judged, "the pair to be judged")
        assert here.status()["serves_candidate"]
        asked = [request for request in here.baseline.asked if request.path == "/drawn"]
        assert ["X-Cdc-Shadow" in request.headers for request in asked] == [False, True]  # no user's read twice


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "claims another encoding"])
async def test_a_candidate_that_does_not_answer_is_served_by_the_baseline(
    app: apsw.Connection, config: Config, fault: str
) -> None:
    async with site(app, config, serve_candidate=1.0, serve_seconds=1.0) as here:
        await known(here)
        here.candidate.fault = fault
        assert await here.get("/page") == b"/page"
        if fault != "answers 100 MB":  # which is only larger than what is kept

            async def back() -> bool:
                return not here.status()["serves_candidate"]

            await wait_for(back, "all to go back")


async def test_they_are_served_again_after_a_while(app: apsw.Connection, config: Config) -> None:
    async with site(app, config, serve_candidate=1.0, serve_seconds=30.0, fallback_seconds=0.1) as here:
        await known(here)
        here.candidate.fault = "fails"
        await here.get("/page")
        here.candidate.fault = ""
        await known(here)


async def test_the_same_clients_are_served_each_time(app: apsw.Connection, config: Config) -> None:
    async with site(app, config, serve_candidate=0.5, serve_seconds=30.0) as here:
        clients = [f"10.0.1.{n}" for n in range(40)]

        async def one_is_served() -> bool:
            return "candidate" in [await served_by(here, "/side", client) for client in clients]

        await wait_for(one_is_served, "the candidate to serve")
        first = [await served_by(here, "/side", client) for client in clients]
        assert set(first) == {"baseline", "candidate"}
        assert [await served_by(here, "/side", client) for client in clients] == first


async def test_with_postgres_away_the_baseline_serves(app: apsw.Connection, config: Config) -> None:
    async with site(app, config, serve_candidate=1.0, serve_seconds=30.0) as here:
        await known(here)
        name = await value(config.target.dsn, "SELECT current_database()")
        await execute(config.target.dsn.replace(name, "postgres"), f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        mine = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'cdc shadow%'"
        await execute(config.target.dsn.replace(name, "postgres"), mine)
        app.execute("UPDATE counter SET n = 7")
        assert await here.get("/count") == b'{"n": 7}'
        await execute(config.target.dsn.replace(name, "postgres"), f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
