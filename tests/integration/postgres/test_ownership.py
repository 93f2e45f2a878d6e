"""A table in Postgres is fed from one file: another one is refused in words, and each way out of it works."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from harness import Daemon, value, wait_for
from installation import Installation

from cdc.config import load_config
from cdc.errors import ExitCode, TargetTaken
from cdc.facts.changes import Position
from cdc.facts.table_map import TableMap
from cdc.mapping.map_tables import map_schema
from cdc.postgres.connection.open import connect
from cdc.postgres.record import own_schema
from cdc.postgres.record.record import Record
from cdc.sqlite.changelog import source_file as sqlite

MakeSite = Callable[[str], Installation]


@pytest.fixture
def sites(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> MakeSite:
    """Sources of their own, each in a folder of its own, into the same schema of the same database."""

    def made(name: str) -> Installation:
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        site = Installation(tmp_path / name, database, capsys)
        site.sql(f"INSERT INTO t VALUES (1, '{name}'), (2, '{name}')")
        return site

    return made


def cdc(site: Installation, *arguments: str) -> tuple[int, str]:
    """A command with this site's configuration: exit code, and all that it said."""
    code, out, err = site.run("-q", "-c", str(site.config_file), *arguments)
    return code, out + err


def held(site: Installation) -> list[tuple[int, str]]:
    rows = asyncio.run(_fetch(site.dsn, "SELECT id, v FROM t ORDER BY id"))
    return [(row[0], row[1]) for row in rows]


async def _fetch(dsn: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


def test_another_source_is_refused_by_every_command_and_changes_nothing(sites: MakeSite) -> None:
    one, other = sites("one"), sites("other")
    assert cdc(one, "up", "--until-idle")[0] == ExitCode.OK
    before = other.picture()
    for command in (["up", "--until-idle"], ["load", "--resync"], ["load", "--resync", "--yes"], ["run"]):
        code, said = cdc(other, *command)
        assert code == ExitCode.CRITICAL, said
        assert f"another file feeds these tables in Postgres: {one.database}" in said
        assert "public.t" in said
    assert other.picture() == before
    assert cdc(other, "snapshot")[0] == ExitCode.OK
    for command in (["schema"], ["load"]):
        code, said = cdc(other, *command)
        assert code == ExitCode.CRITICAL
        assert str(one.database) in said
    assert held(one) == [(1, "one"), (2, "one")]


def test_another_source_is_refused_where_it_adopts_the_tables(sites: MakeSite) -> None:
    one, other = sites("one"), sites("other")
    assert cdc(one, "up", "--until-idle")[0] == ExitCode.OK
    other.configure("[target]", f'dsn = "{other.dsn}"', "adopt = true", 'existing_rows = "replace"')
    code, said = cdc(other, "up", "--until-idle")
    assert (code, str(one.database) in said) == (ExitCode.CRITICAL, True)
    assert held(one) == [(1, "one"), (2, "one")]


def test_sources_with_other_tables_or_schemas_go_side_by_side(sites: MakeSite) -> None:
    one, other, third = sites("one"), sites("other"), sites("third")
    other.sql("ALTER TABLE t RENAME TO u")
    third.configure("[target]", f'dsn = "{third.dsn}"', 'schema = "third"')
    for _ in range(2):
        for site in (one, other, third):
            code, said = cdc(site, "up", "--until-idle")
            assert code == ExitCode.OK, said
    assert held(one) == [(1, "one"), (2, "one")]
    assert asyncio.run(value(one.dsn, "SELECT max(v) FROM u")) == "other"
    assert asyncio.run(value(one.dsn, "SELECT max(v) FROM third.t")) == "third"


def test_tables_that_are_released_go_to_the_one_that_asked(sites: MakeSite) -> None:
    """The remedies as they are printed, each to its end; what the first one held is saved before it goes."""
    one, other = sites("one"), sites("other")
    assert cdc(one, "up", "--until-idle")[0] == ExitCode.OK
    remedy = f"cleanup --release {one.database}"
    assert remedy in cdc(other, "up", "--until-idle")[1]
    assert cdc(other, *remedy.split())[0] == ExitCode.OK
    code, said = cdc(other, "up", "--until-idle")
    assert code == ExitCode.CRITICAL
    assert 'existing_rows = "replace"' in said
    other.configure("[target]", f'dsn = "{other.dsn}"', 'existing_rows = "replace"')
    code, said = cdc(other, "up", "--until-idle")
    assert code == ExitCode.OK, said
    assert held(other) == [(1, "other"), (2, "other")]
    (saved,) = (other.folder / ".cdc/replaced").iterdir()
    assert saved.read_text() == "id,v\n1,one\n2,one\n"
    code, said = cdc(one, "run")
    assert (code, "ended on purpose" in said) == (ExitCode.CRITICAL, True)
    code, said = cdc(one, "up", "--until-idle")
    assert (code, f"feeds these tables in Postgres: {other.database}" in said) == (ExitCode.CRITICAL, True)
    assert held(other) == [(1, "other"), (2, "other")]


def test_a_table_that_was_dropped_is_anybodys(sites: MakeSite) -> None:
    one, other = sites("one"), sites("other")
    assert cdc(one, "up", "--until-idle")[0] == ExitCode.OK
    one.target_sql("DROP TABLE t")
    assert cdc(other, "up", "--until-idle")[0] == ExitCode.OK
    code, said = cdc(one, "run")
    assert (code, str(other.database) in said) == (ExitCode.CRITICAL, True)
    assert held(other) == [(1, "other"), (2, "other")]


def test_an_installation_of_an_earlier_version_owns_what_it_made(sites: MakeSite) -> None:
    one, other = sites("one"), sites("other")
    assert cdc(one, "up", "--until-idle")[0] == ExitCode.OK
    one.target_sql("DROP TABLE cdc.owned_table; ALTER TABLE cdc.stream DROP COLUMN ended_at, DROP COLUMN saving")
    assert cdc(other, "snapshot")[0] == ExitCode.OK
    code, said = cdc(other, "schema")
    assert (code, str(one.database) in said) == (ExitCode.CRITICAL, True)
    assert cdc(one, "run", "--until-idle")[0] == ExitCode.OK


async def test_of_an_earlier_version_a_source_owns_what_it_alone_can_have_made(database: str) -> None:
    """By the mark that a made table carries, else by its name; what two may have made goes to the first that claims."""
    known = {"one": ["t", "adopted", "shared", "other"], "two": ["shared"], "never loaded": ["waiting"]}
    connection = await connect(database, purpose="test")
    try:
        await own_schema.create(connection)
        for source_id, tables in known.items():
            record = Record(connection, source_id)
            await record.stream.register(f"/{source_id}.db", "public")
            columns = json.dumps({table: {} for table in tables})
            await connection.execute("INSERT INTO cdc.mapping VALUES ($1, $2)", source_id, columns)
            if source_id != "never loaded":
                await record.begin_at(Position(1, "x"), "snapshot")
        for table in ("renamed", "adopted", "shared", "other", "waiting", "of_nobody"):
            await connection.execute(f"CREATE TABLE {table}(id bigint)")
        await connection.execute("COMMENT ON TABLE renamed IS 'cdc: replica of t'")
        await connection.execute("COMMENT ON TABLE other IS 'cdc: replica of another'")
        await connection.execute("DROP TABLE cdc.owned_table")
        await own_schema.create(connection)
        owned = await connection.fetch("SELECT target_table, source_id FROM cdc.owned_table ORDER BY 1")
        assert [tuple(row) for row in owned] == [("adopted", "one"), ("renamed", "one")]
    finally:
        await connection.close()


async def test_of_two_that_claim_at_once_the_second_is_refused(database: str, sites: MakeSite) -> None:
    """Also while the first one's row in `cdc.stream` cannot be seen yet."""
    one = sites("one")
    maps = await asyncio.to_thread(_maps, one)
    config = load_config(one.config_file)
    first, second = await connect(database, purpose="test"), await connect(database, purpose="test")
    await own_schema.create(first)
    await Record(second, "second").stream.register("/second.db", "public")
    try:
        begun = first.transaction()
        await begun.start()
        await first.execute("CREATE TABLE t(id bigint)")
        await Record(first, "first").stream.register("/first.db", "public")
        await Record(first, "first").ownership.claim(config, maps)
        late = asyncio.create_task(Record(second, "second").ownership.claim(config, maps))
        waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        await wait_for(lambda: value(database, waits), "the second one to wait")
        await begun.commit()
        with pytest.raises(TargetTaken, match=r"/first\.db"):
            await late
    finally:
        await first.close()
        await second.close()


def _maps(site: Installation) -> tuple[TableMap, ...]:
    config = load_config(site.config_file)
    return map_schema(sqlite.look(config).schema, config)


# --- one file at another place ----------------------------------------------------------------------------------------


def test_a_copy_of_the_file_is_refused_beside_the_original(sites: MakeSite) -> None:
    one, copy = sites("one"), sites("copy")
    assert cdc(one, "up", "--until-idle")[0] == ExitCode.OK
    shutil.copyfile(one.database, copy.database)
    copy.sql("UPDATE t SET v = 'copy'")
    for command in (["run", "--until-idle"], ["up", "--until-idle"], ["load", "--resync", "--yes"]):
        code, said = cdc(copy, *command)
        assert (code, f"is a copy of {one.database}" in said) == (ExitCode.CRITICAL, True), said
    assert held(one) == [(1, "one"), (2, "one")]
    # The remedy: an id of its own, in a schema of its own; the original goes on.
    assert cdc(copy, "cleanup", "--capture-only")[0] == ExitCode.OK
    copy.configure("[target]", f'dsn = "{copy.dsn}"', 'schema = "copies"')
    code, said = cdc(copy, "up", "--until-idle")
    assert code == ExitCode.OK, said
    one.sql("INSERT INTO t VALUES (3, 'later')")
    assert cdc(one, "run", "--until-idle")[0] == ExitCode.OK
    assert held(one) == [(1, "one"), (2, "one"), (3, "later")]
    assert asyncio.run(value(one.dsn, "SELECT max(v) FROM copies.t")) == "copy"


def test_a_file_may_be_a_copy_while_the_one_at_the_known_place_cannot_be_read(sites: MakeSite) -> None:
    one, copy = sites("one"), sites("copy")
    assert cdc(one, "up", "--until-idle")[0] == ExitCode.OK
    shutil.copyfile(one.database, copy.database)
    one.database.write_bytes(b"no database")
    code, said = cdc(copy, "run", "--until-idle")
    assert (code, f"is a copy of {one.database}" in said) == (ExitCode.CRITICAL, True), said
    one.database.unlink()
    assert cdc(copy, "run", "--until-idle")[0] == ExitCode.OK


def test_the_same_file_by_another_name_has_not_moved(sites: MakeSite) -> None:
    one, linked = sites("one"), sites("linked")
    assert cdc(one, "up", "--until-idle")[0] == ExitCode.OK
    linked.database.unlink()
    linked.database.symlink_to(one.database)
    assert cdc(linked, "run", "--until-idle")[0] == ExitCode.OK
    assert asyncio.run(value(one.dsn, "SELECT source_path FROM cdc.stream")) == str(linked.database)
    assert '"move"' not in cdc(linked, "audit", "--json")[1]


def test_a_file_that_moved_is_followed_and_found_at_its_new_place(sites: MakeSite) -> None:
    one, moved = sites("one"), sites("moved")
    assert cdc(one, "up", "--until-idle")[0] == ExitCode.OK
    one.database.rename(moved.database)
    moved.sql("INSERT INTO t VALUES (3, 'later')")
    code, said = cdc(moved, "run", "--until-idle")
    assert code == ExitCode.OK, said
    assert held(moved)[-1] == (3, "later")
    assert asyncio.run(value(one.dsn, "SELECT source_path FROM cdc.stream")) == str(moved.database)
    told = cdc(moved, "audit", "--json")[1]
    assert '"move"' in told
    assert str(one.database) in told


def test_a_release_waits_for_the_daemon_of_that_source_to_end(sites: MakeSite) -> None:
    one, other = sites("one"), sites("other")
    assert cdc(one, "up", "--until-idle")[0] == ExitCode.OK
    with Daemon(load_config(one.config_file)) as daemon:

        async def locked() -> object:
            return await value(one.dsn, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')")

        asyncio.run(wait_for(locked, "the daemon to hold its lock", daemon=daemon))
        code, said = cdc(other, "cleanup", "--release", str(one.database))
        assert (code, "another daemon replicates this source" in said) == (ExitCode.CRITICAL, True)
        assert daemon.terminate() == 0
    code, said = cdc(other, "cleanup", "--release", "/nowhere/app.db")
    assert (code, "nothing was ever replicated from /nowhere/app.db" in said) == (ExitCode.USAGE, True)
