"""What a batch wrote is checked as it commits: rows that something in Postgres swallowed or bent are told at once."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from harness import Daemon, execute, value, wait_for, wait_until_follows
from installation import Installation
from replicated_pair import Pair, replicated

from cdc.config import load_config
from cdc.errors import ExitCode
from cdc.stream.session import Session

TABLES = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, code TEXT UNIQUE);
CREATE TABLE other(id INTEGER PRIMARY KEY, v TEXT);
INSERT INTO item VALUES (1, 'one', 'a'), (2, 'two', 'b'), (3, 'three', 'c');
INSERT INTO other VALUES (1, 'x');
"""
SWALLOWS = """
CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER swallows BEFORE {} ON item FOR EACH ROW EXECUTE FUNCTION react();
ALTER TABLE item ENABLE ALWAYS TRIGGER swallows;
"""
BENDS = """
CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER bends BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION react();
ALTER TABLE item ENABLE ALWAYS TRIGGER bends;
"""
MANY = "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 1209) "
INSERTS = {
    "direct": ("INSERT INTO item VALUES (10, 'ten', 'z')", 1),
    "staged": (f"{MANY}INSERT INTO item SELECT i, 'n', 'c' || i FROM n", 1200),
}


async def unmoved(pair: Pair, monkeypatch: pytest.MonkeyPatch, *statements: str) -> list[dict[str, int]]:
    """What the batches of these statements, one transaction, were found to lack."""
    seen: list[dict[str, int]] = []
    original = Session._drain_into

    async def drain_into(session: Session, target: object) -> bool:
        moved = await original(session, target)  # type: ignore[arg-type]
        batch = session._daemon_state.last_batch
        if moved and batch:
            seen.append(dict(batch.unmoved))
        return moved

    with monkeypatch.context() as patched:
        patched.setattr(Session, "_drain_into", drain_into)
        await pair.write(*statements)
    return seen


@pytest.mark.parametrize("way", INSERTS)
@pytest.mark.parametrize("reaction", [SWALLOWS.format("INSERT"), BENDS], ids=["swallows", "bends"])
async def test_rows_that_a_trigger_swallows_or_bends(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, way: str, reaction: str
) -> None:
    async with replicated(tmp_path, database, TABLES) as pair:
        await pair.write("UPDATE other SET v = 'y'")  # what stands when a session begins is disabled there
        await execute(pair.dsn, reaction)
        sql, rows = INSERTS[way]
        assert await unmoved(pair, monkeypatch, sql) == [{"item": rows}]
        # One row is as it should be, whoever bends it.
        assert await unmoved(pair, monkeypatch, "UPDATE other SET v = 'z'") == [{}]


KEEPS_ALL = SWALLOWS.format("DELETE")
KEEPS = {
    "trigger, direct": (KEEPS_ALL, "id = 2", 1),
    "trigger, staged": (KEEPS_ALL, "id > 9", 1200),
    "rule, staged": ("CREATE RULE keeps AS ON DELETE TO item DO INSTEAD NOTHING", "id > 9", 1200),
}


@pytest.mark.parametrize("what", KEEPS)
async def test_keys_that_something_keeps(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    async with replicated(tmp_path, database, TABLES) as pair:
        await pair.write(INSERTS["staged"][0])
        reaction, which, rows = KEEPS[what]
        await execute(pair.dsn, reaction)
        assert await unmoved(pair, monkeypatch, f"DELETE FROM item WHERE {which}") == [{"item": rows}]


FINE: dict[str, Sequence[str]] = {
    "a row as it was": ["UPDATE item SET name = name"],
    "a row that came and went": ["INSERT INTO item VALUES (5000, 'x', 'x')", "DELETE FROM item WHERE id = 5000"],
    "values that change owners": [
        "UPDATE item SET code = 'tmp' WHERE id = 1",
        "UPDATE item SET code = 'a' WHERE id = 2",
        "UPDATE item SET code = 'b' WHERE id = 1",
    ],
    "many rows, most as they were": ["UPDATE item SET name = name", "UPDATE item SET name = 'new' WHERE id = 700"],
    "rows that come and rows that go": [
        "DELETE FROM item WHERE id > 600",
        "UPDATE item SET name = 'new' WHERE id < 100",
        "INSERT INTO item VALUES (5000, 'x', 'y')",
    ],
    "a row that Postgres cannot hold": ["INSERT INTO item VALUES (6000, CAST(x'ff' AS TEXT), 'q')"],
}


@pytest.mark.parametrize("what", FINE)
@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
async def test_what_is_as_it_should_be_raises_nothing(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, what: str, many: bool
) -> None:
    async with replicated(tmp_path, database, TABLES) as pair:
        if many:
            await pair.write(INSERTS["staged"][0])
        for found in await unmoved(pair, monkeypatch, *FINE[what]):
            assert found == {}
        assert await pair.differences() == []


CASCADES = """
CREATE TABLE parent(id INTEGER PRIMARY KEY, v TEXT);
CREATE TABLE child(id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent(id) ON DELETE SET NULL, q TEXT);
INSERT INTO parent VALUES (1, 'a'), (2, 'b');
INSERT INTO child VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 2, 'z');
"""


async def test_what_goes_with_its_parent_raises_nothing(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicated(tmp_path, database, CASCADES) as pair:
        pair.app.pragma("foreign_keys", True)
        found = await unmoved(pair, monkeypatch, "DELETE FROM parent WHERE id = 2", "UPDATE child SET q = 'w'")
        assert all(batch == {} for batch in found)
        assert await pair.differences() == []


def test_the_daemon_tells_it_at_once_and_goes_on(site: Installation) -> None:
    site.sql(TABLES)
    alarms = site.folder / "alarms.txt"
    tell = json.dumps(["sh", "-c", f'echo "$CDC_ALERT_TEXT" >> {alarms}'])
    site.configure("[verify]\nrolling_share = 1.0\nrolling_hours = 1.0", f"[alerts]\ncommand = {tell}")
    site.followed()
    config = load_config(site.config_file)
    wanted = "1 rows of item are not in Postgres as they were written there; triggers and rules on it: trigger swallows"

    async def story(daemon: Daemon) -> None:
        async def said() -> bool:
            return "rows of a batch are not in Postgres as they were written there" in daemon.words()

        async def alarmed() -> bool:
            return await asyncio.to_thread(alarms.exists) and wanted in await asyncio.to_thread(alarms.read_text)

        await wait_until_follows(config, daemon)
        await execute(site.dsn, SWALLOWS.format("INSERT"))
        site.sql("INSERT INTO item VALUES (10, 'ten', 'z')")
        await wait_for(said, "the daemon to say so", daemon=daemon)
        assert 'reason="trigger swallows (always)"' in daemon.words()
        await wait_for(alarmed, "the alarm", daemon=daemon)
        site.sql("INSERT INTO item VALUES (11, 'eleven', 'y'); UPDATE other SET v = 'goes on'")
        moved = "SELECT count(*) FROM other WHERE v = 'goes on'"
        await wait_for(lambda: _is(site.dsn, moved, 1), "what comes after it", daemon=daemon)
        # Compared long before the hour is over, which names the row; and the trigger swallows no more.
        found = "SELECT count(*) FROM cdc.verification WHERE missing = 1"
        await wait_for(lambda: _is(site.dsn, found, 1), "a comparison of that table", daemon=daemon)
        assert "disable triggers" in daemon.words()
        assert daemon.words().count("rows of a batch") == 1
        assert await value(site.dsn, "SELECT count(*) FROM item WHERE id = 11") == 1

    with Daemon(config) as daemon:
        asyncio.run(story(daemon))
        told = site.status()
        assert (told["exit_code"], told["verification"]["differing"]) == (ExitCode.DIFFERENCE, ["item"])
    entries = json.loads(site.run("audit", "--json")[1])["entries"]
    details = [e["details"] for e in entries if e["action"] == "check a batch"]
    assert details == [{"table": "item", "rows": 1, "reactions": "trigger swallows (always)"}]
    assert site.run("-q", "verify", "--repair")[0] == ExitCode.DIFFERENCE
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert site.run("-q", "verify")[0] == ExitCode.OK


async def _is(dsn: str, sql: str, wanted: object) -> bool:
    return bool(await value(dsn, sql) == wanted)


HIDES = """
ALTER TABLE item ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY hides ON item USING (id <> 2)
"""


async def test_a_table_whose_rows_are_hidden_from_us_waits_alone_until_they_are_not(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"replicator_{tmp_path.name[:40]}"
    name = await value(database, "SELECT current_database()")
    await execute(
        database,
        f'CREATE ROLE "{role}" LOGIN; GRANT CREATE ON DATABASE "{name}" TO "{role}"; '
        f'GRANT ALL ON SCHEMA public TO "{role}"',
    )
    waits = "SELECT reason FROM cdc.target_table WHERE reason IS NOT NULL"
    try:
        bound = database.replace("postgres@", f"{role}@", 1)
        async with replicated(tmp_path, bound, TABLES) as pair:
            await pair.write("UPDATE other SET v = 'y'")
            await execute(database, HIDES)
            # It says nothing: to us the row is gone already.
            await pair.write("DELETE FROM item WHERE id = 2")
            assert await value(database, "SELECT count(*) FROM item WHERE id = 2") == 1
            await pair.write("UPDATE other SET v = 'goes on'")
            assert await value(database, "SELECT v FROM other") == "goes on"
            assert "has row level security, which filters" in await value(database, waits)
            await execute(database, "ALTER TABLE item NO FORCE ROW LEVEL SECURITY")
            await pair.replica.close()
            await pair.write("UPDATE other SET v = 'on'")
            assert await value(database, waits) is None
            assert await pair.rows("SELECT id FROM item ORDER BY id") == [(1,), (3,)]
    finally:
        await execute(database, f'DROP OWNED BY "{role}" CASCADE; DROP ROLE "{role}"')
