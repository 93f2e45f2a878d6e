"""Whatever somebody alters of a target is found, named, and put right by what is said to put it right."""

from pathlib import Path

import msgspec
import pytest
from harness import Daemon, application, drain, execute, make_config, up, value, wait_for, wait_until_caught_up
from installation import Installation

from cdc.config import Config
from cdc.errors import ExitCode
from cdc.facts.progress import Silent
from cdc.facts.schema_finding import SchemaFinding
from cdc.first_copy import create_schema
from cdc.verify import VerifyReport, verify

TABLES = """
CREATE TABLE author(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, mail TEXT UNIQUE, age INTEGER DEFAULT 7
    CHECK (age >= 0));
CREATE TABLE book(id INTEGER PRIMARY KEY, author INTEGER NOT NULL REFERENCES author(id) ON DELETE CASCADE,
    title TEXT NOT NULL, year INTEGER, UNIQUE(author, title));
CREATE INDEX book_year ON book(year DESC) WHERE year IS NOT NULL;
CREATE TABLE word(w TEXT PRIMARY KEY COLLATE NOCASE, n INTEGER);
CREATE VIEW titles AS SELECT id, title FROM book;
INSERT INTO author(name, mail) VALUES ('a', 'a@x'), ('b', NULL), ('c', 'c@x');
INSERT INTO book VALUES (1, 1, 'one', 1999), (5, 2, 'two', NULL);
INSERT INTO word VALUES ('x', 1);
"""


@pytest.fixture
async def config(tmp_path: Path, database: str) -> Config:
    app = application(tmp_path / "app.db")
    app.execute(TABLES).fetchall()
    app.close()
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    return config


async def compared(config: Config, *tables: str) -> VerifyReport:
    return await verify(config, tables or None, False, Silent())


async def test_an_untouched_target_has_no_findings(config: Config) -> None:
    report = await compared(config)
    assert report.schema == ()
    assert report.notes == ()
    assert report.exit_code is ExitCode.OK


DAMAGES: dict[str, tuple[str, tuple[str, str, str]]] = {
    "a table": ("DROP TABLE word", ("word", "table", "")),
    "a column": ("ALTER TABLE book DROP COLUMN title CASCADE", ("book", "column", "title")),
    "a type": ("ALTER TABLE book ALTER year TYPE numeric", ("book", "column", "year")),
    "a collation": ('ALTER TABLE author ALTER name TYPE text COLLATE "default"', ("author", "column", "name")),
    "NOT NULL lost": ("ALTER TABLE author ALTER name DROP NOT NULL", ("author", "not null", "name")),
    "NOT NULL added": ("ALTER TABLE word ALTER n SET NOT NULL", ("word", "not null", "n")),
    "NOT NULL of a column that nothing feeds": (
        "ALTER TABLE word ADD own integer NOT NULL DEFAULT 1; ALTER TABLE word ALTER own DROP DEFAULT",
        ("word", "not null", "own"),
    ),
    "a default": ("ALTER TABLE author ALTER age SET DEFAULT 8", ("author", "default", "age")),
    "a default lost": ("ALTER TABLE author ALTER age DROP DEFAULT", ("author", "default", "age")),
    "an identity": ("ALTER TABLE author ALTER id DROP IDENTITY", ("author", "identity", "id")),
    "an identity of another kind": ("ALTER TABLE author ALTER id SET GENERATED ALWAYS", ("author", "identity", "id")),
    "a primary key": ("ALTER TABLE book DROP CONSTRAINT book_pkey", ("book", "primary key", "book_pkey")),
    "a unique constraint": (
        "ALTER TABLE author DROP CONSTRAINT author_mail_key",
        ("author", "unique", "author_mail_key"),
    ),
    "a unique constraint that is another": (
        "ALTER TABLE author DROP CONSTRAINT author_mail_key, ADD CONSTRAINT author_mail_key UNIQUE (mail, name)",
        ("author", "unique", "author_mail_key"),
    ),
    "a check": ("ALTER TABLE author DROP CONSTRAINT author_age_check", ("author", "check", "author_age_check")),
    "a check that is another": (
        "ALTER TABLE author DROP CONSTRAINT author_age_check, ADD CONSTRAINT author_age_check CHECK (age > 1)",
        ("author", "check", "author_age_check"),
    ),
    "a check that is not validated": (
        (
            "ALTER TABLE author DROP CONSTRAINT author_age_check, "
            "ADD CONSTRAINT author_age_check CHECK (age >= 0) NOT VALID"
        ),
        ("author", "check", "author_age_check"),
    ),
    "a foreign key": ("ALTER TABLE book DROP CONSTRAINT book_author_fkey", ("book", "foreign key", "book_author_fkey")),
    "a foreign key with another action": (
        (
            "ALTER TABLE book DROP CONSTRAINT book_author_fkey, ADD CONSTRAINT book_author_fkey FOREIGN KEY (author) "
            "REFERENCES author (id) ON DELETE SET NULL DEFERRABLE"
        ),
        ("book", "foreign key", "book_author_fkey"),
    ),
    "a foreign key that is not validated": (
        (
            "ALTER TABLE book DROP CONSTRAINT book_author_fkey, ADD CONSTRAINT book_author_fkey FOREIGN KEY (author) "
            "REFERENCES author (id) ON DELETE CASCADE DEFERRABLE NOT VALID"
        ),
        ("book", "foreign key", "book_author_fkey"),
    ),
    "an index": ("DROP INDEX book_year", ("book", "index", "book_year")),
    "an index that is another": (
        "DROP INDEX book_year; CREATE INDEX book_year ON book (year)",
        ("book", "index", "book_year"),
    ),
    "an index that is not valid": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'book_year'::regclass",
        ("book", "index", "book_year"),
    ),
    "a view": ("DROP VIEW titles", ("book", "view", "titles")),
    "a view that fails": (
        "CREATE OR REPLACE VIEW titles AS SELECT id / 0 AS id, title FROM book WHERE 1 / 0 = 1",
        ("book", "view", "titles"),
    ),
    "a trigger": (
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
            "CREATE TRIGGER mine BEFORE INSERT ON word FOR EACH ROW EXECUTE FUNCTION f()"
        ),
        ("word", "trigger", "mine"),
    ),
    "a rule": ("CREATE RULE mine AS ON INSERT TO word DO INSTEAD NOTHING", ("word", "rule", "mine")),
}


# What goes with a column.
WITH_IT = {
    "a column": [("book", "unique", "book_author_title_key"), ("book", "view", "titles")],
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_somebody_altered_is_found_alone_and_its_remedy_mends_it(config: Config, damage: str) -> None:
    sql, place = DAMAGES[damage]
    await execute(config.target.dsn, sql)
    found = (await compared(config)).schema
    assert [(f.table, f.kind, f.name) for f in found] == [place, *WITH_IT.get(damage, [])]
    for _ in range(4):
        if not found:
            break
        for finding in found:
            await follow(config, finding)
        await drain(config)
        found = (await compared(config)).schema
    report = await compared(config)
    assert (report.schema, report.exit_code) == ((), ExitCode.OK)


async def follow(config: Config, finding: SchemaFinding) -> None:
    """Do what a remedy says: the SQL in it, then `cdc schema`. The daemon is started by the caller."""
    for part in finding.remedy.split("; "):
        if part.split()[0].isupper():
            await execute(config.target.dsn, part)
        if "`cdc schema`" in part:
            await create_schema.create_schema(config)
        if "`cdc verify --repair`" in part:
            await verify(config, None, True, Silent())


def test_what_is_found_is_printed_and_told_by_the_status(site: Installation) -> None:
    site.sql(TABLES)
    site.run("up", "--until-idle")
    site.target_sql("DROP INDEX book_year")
    site.target_sql("ALTER TABLE word ADD CONSTRAINT mine UNIQUE (n)")
    code, verified, _ = site.run("verify")
    assert code == ExitCode.DIFFERENCE
    words = (
        "book: index book_year: expected USING btree (year DESC NULLS LAST) WHERE (NOT (year IS NULL)), found nothing"
    )
    assert f"! {words}; `cdc schema` makes it" in verified
    assert "constraints that somebody added, which may keep rows out: mine of word" in verified
    assert "the rows are the same in both, but 1 part of the schema" in verified
    code, status, _ = site.run("status")
    assert code == ExitCode.DIFFERENCE
    assert "the schema in Postgres is not as it should be: book: " in status
    site.run("schema")
    assert site.run("verify")[0] == ExitCode.OK
    assert "the schema in Postgres" not in site.run("status")[1]


async def test_only_the_tables_that_were_asked_for_are_judged(config: Config) -> None:
    await execute(config.target.dsn, "DROP INDEX book_year")
    assert (await compared(config, "author")).schema == ()
    assert [f.name for f in (await compared(config, "book")).schema] == ["book_year"]


async def test_a_sequence_that_waits_for_the_daemon_is_noted_and_one_that_it_moved_is_found(config: Config) -> None:
    back = "SELECT setval('author_id_seq', 2)"
    await execute(config.target.dsn, back)
    report = await compared(config)
    assert (report.schema, report.exit_code) == ((), ExitCode.OK)
    assert [note.rpartition(": ")[2] for note in report.notes] == ["public.author_id_seq"]
    await drain(config)
    assert (await compared(config)).notes == ()
    await execute(config.target.dsn, back)

    async def is_moved() -> bool:
        return bool(await value(config.target.dsn, "SELECT last_value = 3 FROM author_id_seq"))

    with Daemon(config) as daemon:
        await wait_for(is_moved, "the daemon to move it", daemon=daemon)
        await execute(config.target.dsn, back)
        (finding,) = (await compared(config)).schema
        assert (finding.table, finding.kind, finding.name) == ("author", "sequence", "public.author_id_seq")
        await follow(config, finding)
        assert (await compared(config)).exit_code is ExitCode.OK


async def test_a_sequence_is_not_judged_before_the_daemon_had_a_pause(config: Config) -> None:
    app = application(config.source.path)
    with Daemon(config) as daemon:
        app.execute("INSERT INTO author(id, name) VALUES (500, 'z')").fetchall()
        await wait_until_caught_up(config, config.target.dsn, daemon=daemon)
        await execute(config.target.dsn, "SELECT setval('author_id_seq', 3); UPDATE cdc.stream SET applied_at = now()")
        assert (await compared(config)).schema == ()
    app.close()


async def test_what_gave_way_to_a_row_is_no_finding_until_it_is_made_again(config: Config) -> None:
    app = application(config.source.path)
    app.execute("CREATE INDEX by_name ON author(name)")
    await drain(config)
    assert (await compared(config)).schema == ()
    app.execute("INSERT INTO author(id, name) VALUES (9, ?)", ("".join(map(chr, range(200, 9200))),)).fetchall()
    await drain(config)
    assert await value(config.target.dsn, "SELECT to_regclass('by_name')") is None
    assert (await compared(config)).exit_code is ExitCode.OK
    app.execute("UPDATE author SET name = 'short' WHERE id = 9").fetchall()
    await drain(config)
    await create_schema.create_schema(config)
    assert await value(config.target.dsn, "SELECT to_regclass('by_name')") is not None
    await execute(config.target.dsn, "DROP INDEX by_name")
    assert [f.name for f in (await compared(config)).schema] == ["by_name"]
    app.close()


ADOPTED: dict[str, tuple[str, str, tuple[str, str, str]]] = {
    "a column": (
        "ALTER TABLE word DROP COLUMN n",
        "ALTER TABLE word ADD n bigint",
        ("word", "column", "n"),
    ),
    "a type": (
        "ALTER TABLE word DROP CONSTRAINT word_n_key; ALTER TABLE word ALTER n TYPE point USING NULL",
        "ALTER TABLE word ALTER n TYPE bigint USING NULL",
        ("word", "column", "n"),
    ),
    "the key": (
        "ALTER TABLE word DROP CONSTRAINT word_pkey",
        "ALTER TABLE word ADD PRIMARY KEY (w)",
        ("word", "table", ""),
    ),
    "a column that nothing feeds": (
        "ALTER TABLE word ADD own integer NOT NULL DEFAULT 1; ALTER TABLE word ALTER own DROP DEFAULT",
        "ALTER TABLE word ALTER own SET DEFAULT 1",
        ("word", "column", "own"),
    ),
}


@pytest.mark.parametrize("damage", ADOPTED)
async def test_tables_of_others_are_held_to_what_the_mapping_needs(tmp_path: Path, database: str, damage: str) -> None:
    sql, mended, place = ADOPTED[damage]
    app = application(tmp_path / "app.db")
    app.execute("CREATE TABLE word(w TEXT PRIMARY KEY, n INTEGER)")
    app.close()
    await execute(database, "CREATE TABLE word(w text PRIMARY KEY, n bigint UNIQUE, own_too integer DEFAULT 3)")
    made = make_config(tmp_path, tmp_path / "app.db", database)
    config = msgspec.structs.replace(made, target=msgspec.structs.replace(made.target, adopt=True))
    await up(config)
    assert (await compared(config)).schema == ()
    await execute(database, sql)
    (finding,) = (await compared(config)).schema
    assert (finding.table, finding.kind, finding.name) == place
    await execute(database, mended)
    assert (await compared(config)).schema == ()


def test_triggers_of_the_application_are_to_fire_once_it_writes_to_postgres(site: Installation) -> None:
    site.configure("[target]", f'dsn = "{site.dsn}"', "adopt = true")
    site.target_sql("""
        CREATE TABLE t(id bigint PRIMARY KEY, v text);
        CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER keep BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION kept();
    """)
    site.followed()
    _, following, _ = site.run("verify")
    assert "triggers that do not fire while rows are replicated: keep of t" in following
    site.switched()
    code, told, err = site.run("verify")
    assert (code, "keep" in told) == (ExitCode.OK, False), f"{told}{err}"
