"""Questions whose answers the operator knows are asked of both databases by every whole comparison."""

from pathlib import Path

import apsw
import msgspec
import pytest
from harness import Daemon, application, execute, make_config, up, wait_until_caught_up

from cdc.config import Config, Expectation, VerifySection
from cdc.errors import ExitCode, SourceError, TargetError
from cdc.facts.progress import Silent
from cdc.verify import VerifyReport, verify

COUNT = "SELECT count(*) FROM t WHERE done"


def asking(config: Config, *expect: Expectation) -> Config:
    return msgspec.structs.replace(config, verify=VerifySection(expect=list(expect)))


async def verified(config: Config) -> VerifyReport:
    return await verify(config, None, False, Silent())


@pytest.fixture
def app(tmp_path: Path) -> apsw.Connection:
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, done BOOLEAN, price NUMERIC, name TEXT)")
    app.execute("INSERT INTO t (done, price, name) VALUES (1, 2.5, 'a'), (1, 2.5, 'b'), (0, 1, 'c')")
    return app


async def test_answers_that_are_as_expected_leave_the_result_equal(
    app: apsw.Connection, tmp_path: Path, database: str
) -> None:
    config = asking(
        make_config(tmp_path, tmp_path / "app.db", database),
        Expectation("two are done", COUNT, 2),
        Expectation("they cost six", "SELECT sum(price) FROM t", 6),
        Expectation("the first name", "SELECT name FROM t ORDER BY id LIMIT 1", "a"),
        Expectation("one is done", "SELECT done FROM t WHERE id = 1", 1),
        Expectation("in other words", "SELECT group_concat(name, '') FROM t", "abc",
                    "SELECT string_agg(name, '' ORDER BY id) FROM t"),
    )  # fmt: skip
    await up(config)
    report = await verified(config)
    assert [found.met for found in report.answers] == [True] * 5
    assert report.exit_code is ExitCode.OK


async def test_an_answer_that_is_not_the_expected_one_is_a_difference_although_the_rows_are_equal(
    app: apsw.Connection, tmp_path: Path, database: str
) -> None:
    config = asking(make_config(tmp_path, tmp_path / "app.db", database), Expectation("three are done", COUNT, 3))
    await up(config)
    report = await verified(config)
    assert report.differences == 0
    assert report.exit_code is ExitCode.DIFFERENCE
    (found,) = report.to_json()["expectations"]
    assert found == {"name": "three are done", "expected": 3, "source": 2, "target": 2, "met": False}


async def test_an_answer_of_one_database_only_is_a_difference(
    app: apsw.Connection, tmp_path: Path, database: str
) -> None:
    config = asking(make_config(tmp_path, tmp_path / "app.db", database), Expectation("two are done", COUNT, 2))
    await up(config)
    await execute(database, "UPDATE t SET done = true")
    (found,) = (await verified(config)).answers
    assert (found.source, found.target, found.met) == (2, 3, False)


async def test_what_changes_meanwhile_is_asked_for_again(app: apsw.Connection, tmp_path: Path, database: str) -> None:
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    counting = asking(config, Expectation("as many", "SELECT count(*) FROM t", 0))
    with Daemon(config) as daemon:
        app.execute("INSERT INTO t (done) VALUES (1)")
        await wait_until_caught_up(config, database, daemon=daemon)
        for _ in range(5):
            app.execute("INSERT INTO t (done) VALUES (1)")
            (found,) = (await verified(counting)).answers
            assert found.source == found.target


@pytest.mark.parametrize(
    "sql", ["DELETE FROM t", "INSERT INTO t (id) VALUES (9) RETURNING id", "PRAGMA user_version = 5"]
)
async def test_a_question_that_writes_is_refused_and_nothing_changes(
    app: apsw.Connection, tmp_path: Path, database: str, sql: str
) -> None:
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    with pytest.raises(SourceError, match="not authorized"):
        await verified(asking(config, Expectation("a trick", sql, 1)))
    with pytest.raises(SourceError, match="no such function: unheard_of"):
        await verified(asking(config, Expectation("a slip", "SELECT unheard_of(1)", 1)))
    with pytest.raises(TargetError, match="read-only"):
        await verified(asking(config, Expectation("a trick", "SELECT 1", 1, "DELETE FROM t")))
    assert app.execute("SELECT count(*), (SELECT user_version FROM pragma_user_version) FROM t").get == (3, 0)
