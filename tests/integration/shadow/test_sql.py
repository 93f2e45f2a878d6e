"""Queries put to both databases: what is alike is called so, and each habit of SQLite is found and named."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from harness import execute, value, wait_for
from replicated_pair import Pair, replicated

from cdc.config import ShadowRule
from cdc.facts.progress import Silent
from cdc.facts.shadow import Outcome, Verdict
from cdc.shadow.ledger import Ledger
from cdc.shadow.queries import ShadowQuery
from cdc.shadow.sql import explore, shadow_sql

ITEM = """CREATE TABLE item(id INTEGER PRIMARY KEY, title TEXT, note TEXT, n INTEGER, price REAL, at TIMESTAMP,
ok BOOLEAN, doc JSON, owner INTEGER)"""
ROWS = """INSERT INTO item VALUES
(1, 'Apple', NULL, 1, 1.5, '2026-01-02 03:04:05', 1, '{"b": 1, "a": [1, 2]}', 1),
(2, 'avocado', 'x', 1, 0.1, '2026-01-02 03:04:06.5', 0, '{"a": null}', 2),
(3, 'berry', NULL, 1, 2.25, NULL, 1, NULL, 9),
(4, 'Berry', 'a', 2, 1e-7, '2026-02-02 00:00:00', 0, '[]', 1)"""
OWNER = "CREATE TABLE owner(id INTEGER PRIMARY KEY, name TEXT)"
OWNERS = "INSERT INTO owner VALUES (1, 'ann'), (2, 'bob')"


@pytest.fixture
async def pair(tmp_path: Path, database: str) -> AsyncIterator[Pair]:
    async with replicated(tmp_path, database, ITEM, ROWS, OWNER, OWNERS) as made:
        yield made


async def asked(pair: Pair, *queries: ShadowQuery, rules: tuple[ShadowRule, ...] = ()) -> list[Outcome]:
    shadow = msgspec.structs.replace(pair.config.shadow, rules=list(rules), patience_seconds=0.2)
    config = msgspec.structs.replace(pair.config, shadow=shadow)
    return await shadow_sql(config, queries, Ledger("sql", 3), Silent())


async def verdict(pair: Pair, sql: str, target_sql: str | None = None, **options: str) -> tuple[Verdict, set[str]]:
    """What one query comes to, and the causes that are named."""
    query = msgspec.convert({"name": "q", "sql": sql, "target_sql": target_sql, **options}, ShadowQuery)
    (outcome,) = await asked(pair, query)
    assert outcome.reason == "" or outcome.verdict is Verdict.FAILED
    return outcome.verdict, {d.cause for d in outcome.differences}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM item ORDER BY id",
        "SELECT title, at, ok, doc, price FROM item",
        "SELECT i.title AS t, o.name FROM item AS i LEFT JOIN owner AS o ON o.id = i.owner ORDER BY i.note, i.id",
        "SELECT n, count(*) AS many, avg(price) AS mean, max(at) AS newest FROM item GROUP BY n ORDER BY n",
        "SELECT title FROM item WHERE n IN (SELECT id FROM owner) AND price > 0.2 ORDER BY title LIMIT 2",
        "SELECT ifnull(note, '-') FROM item ORDER BY id DESC",
    ],
)
async def test_a_query_that_both_answer_alike_is_equal(pair: Pair, sql: str) -> None:
    assert await verdict(pair, sql) == (Verdict.EQUAL, set())


@pytest.mark.parametrize(
    ("sql", "target_sql", "cause"),
    [
        ("SELECT id FROM item ORDER BY note, id", "SELECT id FROM item ORDER BY note, id", "order of NULL"),
        ("SELECT id FROM item WHERE title LIKE 'a%'", None, "LIKE and letter case"),
        ("SELECT id, n / 2 AS half FROM item", "SELECT id, n / 2.0 AS half FROM item", "integer division"),
        (
            "SELECT title FROM item WHERE id <> 3 ORDER BY title COLLATE NOCASE",
            "SELECT title FROM item WHERE id <> 3 ORDER BY title",
            "order without case",
        ),
        (
            "SELECT i.id, o.name FROM item i LEFT JOIN owner o ON o.id = i.owner",
            "SELECT i.id, o.name FROM item i JOIN owner o ON o.id = i.owner",
            "inner join",
        ),
        ("SELECT id FROM item", "SELECT id FROM item ORDER BY id DESC", "no ORDER BY"),
        ("SELECT title FROM item WHERE id = 1", "SELECT upper(title) FROM item WHERE id = 1", "letter case"),
        ("SELECT price FROM item WHERE id = 1", "SELECT price::text FROM item WHERE id = 1", "number as text"),
    ],
)
async def test_a_habit_of_sqlite_is_found_and_named(pair: Pair, sql: str, target_sql: str | None, cause: str) -> None:
    order = {"order": "list"} if cause == "no ORDER BY" else {}
    assert await verdict(pair, sql, target_sql, **order) == (Verdict.DIFFERENT, {cause})


async def test_rows_that_differ_are_told_apart_from_rows_that_are_missing(pair: Pair) -> None:
    await execute(pair.dsn, "DELETE FROM item WHERE id = 3")
    assert await verdict(pair, "SELECT id FROM item") == (Verdict.DIFFERENT, {"missing row"})
    await execute(pair.dsn, "INSERT INTO item (id, title) VALUES (3, 'berry'), (7, 'new')")
    assert await verdict(pair, "SELECT id FROM item") == (Verdict.DIFFERENT, {"extra row"})
    await execute(pair.dsn, "UPDATE item SET at = at + interval '1 hour' WHERE id = 1")
    assert await verdict(pair, "SELECT at FROM item WHERE id = 1") == (Verdict.DIFFERENT, {"time zone"})
    await execute(pair.dsn, "UPDATE item SET price = 0.10000000000000002 WHERE id = 2")
    assert await verdict(pair, "SELECT price FROM item WHERE id = 2") == (Verdict.DIFFERENT, {"float text"})


async def test_ties_that_a_limit_cuts_apart_are_unstable(pair: Pair) -> None:
    theirs = "SELECT id FROM item ORDER BY n, id DESC LIMIT 2"
    assert await verdict(pair, "SELECT id FROM item ORDER BY n LIMIT 2", theirs) == (Verdict.UNSTABLE, {"ties"})


async def test_an_answer_that_differs_from_itself_is_noise(pair: Pair) -> None:
    assert (await verdict(pair, "SELECT random() AS r", "SELECT random() AS r"))[0] is Verdict.NOISE


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT no_such FROM item", "no such column"),
        ("SELECT id FROM item WHERE id = ?", "a parameter has no name"),
        ("SELECT id FROM item WHERE id = :id", "no value is given for the parameter id"),
        ("DELETE FROM item", "it is no SELECT"),
        ('SELECT id FROM item WHERE title = "Apple"', "asking Postgres"),
    ],
)
async def test_what_cannot_be_asked_is_said_and_the_rest_is_asked(pair: Pair, sql: str, words: str) -> None:
    outcomes = await asked(pair, ShadowQuery(name="odd", sql=sql), ShadowQuery(name="fine", sql="SELECT 1 AS one"))
    assert [o.verdict for o in outcomes] == [Verdict.FAILED, Verdict.EQUAL]
    assert words in outcomes[0].reason


async def test_parameters_come_from_the_file_and_from_the_data(pair: Pair) -> None:
    query = ShadowQuery(
        name="one",
        sql="SELECT title FROM item WHERE id = :id AND title <> :other",
        parameters=[{"id": 1, "other": "O'Hara\\"}],
        parameters_from="SELECT id, 'x' AS other FROM item WHERE id > 2",
    )
    outcomes = await asked(pair, query)
    assert [o.verdict for o in outcomes] == [Verdict.EQUAL] * 3
    assert outcomes[0].tables == ("item",)
    assert outcomes[1].request == "one (id = 3, other = 'x')"


async def test_a_rule_ignores_a_column_and_is_named(pair: Pair) -> None:
    query = ShadowQuery(
        name="now", sql="SELECT id, title AS t FROM item", target_sql="SELECT id, upper(title) AS t FROM item"
    )
    rule = ShadowRule(read="ignored", endpoint="now", path="t", reason="shouted on purpose")
    (outcome,) = await asked(pair, query, rules=(rule,))
    assert (outcome.verdict, outcome.rules) == (Verdict.IGNORED, ("shouted on purpose",))
    other = msgspec.structs.replace(rule, endpoint="other")
    assert [o.verdict for o in await asked(pair, query, rules=(other,))] == [Verdict.DIFFERENT]


async def test_a_change_that_postgres_has_not_is_moved_and_not_different(pair: Pair) -> None:
    pair.app.execute("UPDATE item SET title = 'changed'")
    assert (await verdict(pair, "SELECT title FROM item"))[0] is Verdict.MOVED
    await pair.replica.sync()
    assert (await verdict(pair, "SELECT title FROM item"))[0] is Verdict.EQUAL


async def test_a_query_without_end_is_given_up(pair: Pair) -> None:
    endless = "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n) SELECT count(*) AS c FROM n"
    shadow = msgspec.structs.replace(pair.config.shadow, timeout_seconds=0.1)
    config = msgspec.structs.replace(pair.config, shadow=shadow)
    query = ShadowQuery(name="endless", sql=endless, target_sql="SELECT 1 AS c")
    (outcome,) = await shadow_sql(config, [query], Ledger("sql", 3), Silent())
    assert outcome.verdict is Verdict.FAILED
    assert "it took longer than 0.1 s" in outcome.reason


async def test_nothing_is_written_on_either_side(pair: Pair) -> None:
    before = pair.app.execute("SELECT total_changes(), (SELECT max(seq) FROM _cdc_changelog)").fetchall()
    counts = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE schemaname = 'public'"
    rows = await pair.rows(counts)
    writing = "WITH gone AS (DELETE FROM item RETURNING id) SELECT id FROM gone"
    outcomes = await asked(
        pair,
        ShadowQuery(name="all", sql="SELECT * FROM item"),
        ShadowQuery(name="odd", sql="SELECT id FROM item", target_sql=writing),
    )
    assert [o.verdict for o in outcomes] == [Verdict.EQUAL, Verdict.FAILED]
    assert await pair.rows(counts) == rows
    assert pair.app.execute("SELECT total_changes(), (SELECT max(seq) FROM _cdc_changelog)").fetchall() == before
    assert await pair.differences() == []


async def test_made_up_queries_meet_the_habits_that_a_generated_target_leaves(pair: Pair) -> None:
    """Texts sort alike there, and the translation sees to NULL; what is found beside that is made small."""
    outcomes = await explore(pair.config, 150, 11, Ledger("sql", 3), Silent())
    odd = [o for o in outcomes if o.verdict not in {Verdict.EQUAL, Verdict.NOISE}]
    by_cause = {d.cause: o for o in odd for d in o.differences}
    assert {(cause, o.verdict) for cause, o in by_cause.items()} == {
        ("LIKE and letter case", Verdict.DIFFERENT),
        ("boolean", Verdict.FAILED),  # boolean = integer is refused
        ("refused", Verdict.FAILED),  # min(jsonb)
    }
    assert [o.request for o in odd if "ORDER BY" in o.request] == []
    assert {o.tables for o in outcomes} >= {("item",), ("owner",)}


async def test_the_application_writes_while_postgres_takes_its_time(tmp_path: Path, database: str) -> None:
    """Where there is no -wal file a reader keeps it from committing, so none may be left while Postgres is asked."""
    async with replicated(tmp_path, database, ITEM, ROWS, wal=False) as pair:
        slow = ShadowQuery(name="slow", sql="SELECT 1 AS one", target_sql="SELECT 2 AS one FROM pg_sleep(3)")
        asking = asyncio.create_task(asked(pair, slow))
        sleeps = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        await wait_for(lambda: value(database, sleeps), "Postgres to be asked")
        pair.app.set_busy_timeout(0)
        pair.app.execute("UPDATE item SET n = n + 1").fetchall()
        assert await value(database, sleeps) == 1  # so it was while Postgres still worked
        (outcome,) = await asking
        assert outcome.verdict is Verdict.DIFFERENT
