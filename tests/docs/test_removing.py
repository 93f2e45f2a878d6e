"""Removing leaves no trace: the page is followed, and both databases are looked at."""

import asyncio

import apsw
import asyncpg
from installation import Installation
from pages import calls, fences_of, typed

from cdc.errors import ExitCode

PAGE = "docs/removing.md"


def schema_of(site: Installation) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(site.database))
    try:
        return list(connection.execute("SELECT rowid, type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid"))
    finally:
        connection.close()


def answers(dsn: str, sql: str) -> list[str]:
    async def ask() -> list[str]:
        connection = await asyncpg.connect(dsn)
        try:
            return [str(row[0]) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_what_the_page_says_takes_everything_away(site: Installation) -> None:
    site.sql(
        "CREATE TABLE u(id INTEGER PRIMARY KEY, t REFERENCES t);"
        "CREATE TRIGGER own AFTER INSERT ON u BEGIN SELECT 1; END"
    )
    before = schema_of(site)
    assert site.process("-q", "up", "--until-idle")[0] == ExitCode.OK
    assert schema_of(site) != before
    for fence in fences_of(PAGE):
        for words in calls(typed(fence)) if fence.language == "sh" else ():
            if "--release" in words:
                continue  # for the tables of another source, of which there is none here
            code, _, err = site.process(*(word for word in words if word not in {"-c", "/etc/cdc/cdc.toml"}))
            assert code == ExitCode.OK, err
    assert schema_of(site) == before

    drop, enable, tables = (fence.text for fence in fences_of(PAGE) if fence.language == "sql")
    assert answers(site.dsn, enable) == []
    for statement in [*answers(site.dsn, tables), drop]:
        answers(site.dsn, statement)
    assert answers(site.dsn, "SELECT nspname FROM pg_namespace WHERE nspname = 'cdc'") == []
    assert answers(site.dsn, "SELECT relname FROM pg_class WHERE relname IN ('t', 'u')") == []


def test_triggers_that_were_disabled_can_be_enabled_again_as_the_page_says(site: Installation) -> None:
    site.target_sql(
        "CREATE TABLE t(id bigint PRIMARY KEY, v text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NEW; END $$; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )
    site.configure(f'[target]\ndsn = "{site.dsn}"\nadopt = true\n[tables.t.columns.v]\ntype = "text"')
    assert site.process("-q", "up", "--until-idle")[0] == ExitCode.OK
    enabled = "SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'g'"
    assert answers(site.dsn, enabled) == ["D"]
    for statement in answers(site.dsn, [f.text for f in fences_of(PAGE) if f.language == "sql"][1]):
        answers(site.dsn, statement)
    assert answers(site.dsn, enabled) == ["O"]
