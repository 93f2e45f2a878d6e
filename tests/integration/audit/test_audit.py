"""The audit trail beside real databases: what is recorded, exactly once, and how a change of it is told."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from batch_accounting import Witnessed, trail_breaks
from harness import (
    Daemon,
    application,
    drain,
    execute,
    fetch,
    live,
    make_config,
    newest_entry,
    recorded,
    up,
    value,
    wait_for,
    wait_until_caught_up,
)
from installation import Installation
from replicated_pair import replicated
from warm_commands import WarmCommand

from cdc.audit import trail
from cdc.audit.actions import ACTIONS, STEP_DETAILS
from cdc.audit.chain import entry
from cdc.cli import main
from cdc.errors import ExitCode
from cdc.postgres.record.record import Record

THINGS: Final = "CREATE TABLE things(id INTEGER PRIMARY KEY, n INTEGER)"
PARTS: Final = "CREATE TABLE parts(id INTEGER PRIMARY KEY, thing INTEGER REFERENCES things(id))"


async def commanded(daemon: Daemon, *arguments: str) -> int:
    """The exit code of a command with the daemon's configuration."""
    return await asyncio.to_thread(main, ["-c", str(daemon.file), "-q", *arguments])


# --- what is recorded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direct", [True, False])
async def test_a_batch_is_recorded_with_its_range_and_its_rows(
    tmp_path: Path, any_database: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdc.postgres.apply.direct.DIRECT_ROWS", 500 if direct else 0)
    rows = "INSERT INTO things VALUES (1, 1), (2, 2), (3, 3)"
    async with replicated(tmp_path, any_database, THINGS, PARTS, rows) as pair:
        before = newest_entry(pair.config.source.path)
        await pair.write(
            "INSERT INTO things VALUES (4, 4)",
            "UPDATE things SET n = n WHERE id = 1",
            "UPDATE things SET n = 20 WHERE id = 2",
            "DELETE FROM things WHERE id = 3",
            "INSERT INTO parts VALUES (10, 4)",
        )
        after = newest_entry(pair.config.source.path)
        (batch,) = await recorded(any_database, "batch")
    assert before is not None
    assert after is not None
    told: Any = batch.details
    assert (told["after_seq"], told["last_seq"], told["changes"]) == (before[1], after[1], after[1] - before[1])
    things = {"deleted": 1, "upserted": 2}
    assert {name: {k: n for k, n in t.items() if n} for name, t in told["tables"].items()} == {
        "things": things,
        "parts": {"upserted": 1},
    }
    assert 0 <= told["lag_seconds"] < 60
    assert 0 < told["seconds"] < 60


async def test_a_table_may_have_any_name(tmp_path: Path, database: str) -> None:
    name = """a %s "quoted" %% 'ключ' {0} \\ table"""
    quoted = name.replace('"', '""')
    async with replicated(tmp_path, database, f'CREATE TABLE "{quoted}"(id INTEGER PRIMARY KEY, n INTEGER)') as pair:
        await pair.write(f'INSERT INTO "{quoted}" VALUES (1, 1)')
        await pair.write(f"INSERT INTO \"{quoted}\" VALUES (2, 'bad')")
        first, second = await recorded(database, "batch")
    assert first.details["tables"] == {name: {"deleted": 0, "upserted": 1}}
    assert second.details["tables"] == {name: {"quarantined": 1, "released": 0}}


async def test_rows_that_come_and_go_are_recorded_with_their_keys(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, THINGS) as pair:
        await pair.write("INSERT INTO things VALUES (1, 'a'), (2, 'b'), (3, 3)")
        await pair.write("UPDATE things SET n = 'still' WHERE id = 1")
        await pair.write("UPDATE things SET n = 2 WHERE id = 2", "DELETE FROM things WHERE id = 1")
        told = await recorded(database, "quarantine", "release")
    assert [(e.action, e.details) for e in told] == [
        ("quarantine", {"table": "things", "reason": "value", "rows": 2, "keys": ["1", "2"]}),
        ("release", {"table": "things", "reason": "value", "rows": 2, "keys": ["1", "2"]}),
    ]


async def test_many_keys_are_recorded_in_several_entries_and_long_ones_cut(tmp_path: Path, database: str) -> None:
    table = "CREATE TABLE named(name TEXT PRIMARY KEY, n INTEGER)"
    bad = "INSERT INTO named SELECT value, 'x' FROM json_each(?)"
    names = [f"{number:03}" + "k" * 1_000 for number in range(250)]
    app = application(tmp_path / "app.db")
    app.execute(table)
    app.execute(bad, (json.dumps(names),))
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    app.close()
    told = await recorded(database, "quarantine")
    keys = [key for e in told for key in e.details["keys"]]  # type: ignore[union-attr]
    assert [e.details["rows"] for e in told] == [100, 100, 50]
    assert sorted(key[:4] for key in keys) == [f"'{name[:3]}" for name in names]
    assert max(map(len, keys)) < 250


async def test_a_batch_that_is_rolled_back_is_not_recorded(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, THINGS, "INSERT INTO things VALUES (1, 1)") as pair:
        await execute(database, "ALTER TABLE things RENAME TO hidden")
        with pytest.raises(Exception, match="things"):
            await pair.write("INSERT INTO things VALUES (2, 'bad')")
        await pair.replica.close()
        assert await recorded(database, "batch", "quarantine") == []
        await execute(database, "ALTER TABLE hidden RENAME TO things")
        await pair.replica.sync()
        assert [e.action for e in await recorded(database, "batch", "quarantine")] == ["quarantine", "batch"]


async def test_everything_that_is_recorded_is_in_the_catalogue(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(THINGS + "; INSERT INTO things VALUES (1, 'bad'), (2, 2)")
    config = make_config(tmp_path, tmp_path / "app.db", database, heartbeat_seconds=0.05)
    with Daemon(config, ("up",)) as daemon:
        await wait_until_caught_up(config, database, daemon=daemon)
        app.execute("CREATE TABLE later(id INTEGER PRIMARY KEY); INSERT INTO later VALUES (1)")

        async def followed() -> bool:
            return bool(await value(database, "SELECT to_regclass('later')"))

        await wait_for(followed, "the new table", daemon=daemon)
        await wait_until_caught_up(config, database, daemon=daemon)
        daemon.terminate()
    for command in (["verify"], ["quarantine", "acknowledge"], ["quarantine", "retry"], ["load", "--resync"]):
        assert await commanded(daemon, *command) in (ExitCode.OK, ExitCode.DIFFERENCE)
    await drain(config)
    app.close()
    entries = trail.read(config.state.dir)
    told = {e.action for e in entries}
    assert {"up", "verify", "resync", "batch", "quarantine", "acknowledge", "follow a change of the file"} <= told
    for e in entries:
        known = ACTIONS[e.action].details
        assert e.details.keys() <= known.keys() | STEP_DETAILS.keys(), e
    assert await trail_breaks(config, database) == []


# --- several writers --------------------------------------------------------------------------------------------------


async def test_a_batch_that_waits_for_another_writer_is_recorded_with_its_numbers(
    tmp_path: Path, any_database: str
) -> None:
    async with replicated(tmp_path, any_database, THINGS) as pair:
        found = newest_entry(pair.config.source.path)
        assert found is not None
        connection = await asyncpg.connect(any_database)
        other = await asyncpg.connect(any_database)
        witnessed = Witnessed(connection, "public", found[0])
        await witnessed.look()
        transaction = other.transaction()
        await transaction.start()
        await Record(other, found[0]).audit.append([entry("verify", "done")])
        pair.app.execute("INSERT INTO things VALUES (1, 1), (2, 2)")
        moving = asyncio.create_task(pair.replica.sync())

        async def waits() -> bool:
            sql = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            return bool(await connection.fetchval(sql))

        await wait_for(waits, "the batch to wait for the other writer")
        await transaction.commit()
        await moving
        assert await witnessed.differences() == []
        (batch,) = await recorded(any_database, "batch")
        assert batch.details["tables"] == {"things": {"deleted": 0, "upserted": 2}}
        await connection.close()
        await other.close()


async def test_processes_that_write_at_once_leave_both_places_whole(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(THINGS)
    config = make_config(tmp_path, tmp_path / "app.db", database, heartbeat_seconds=0.05)
    await up(config)
    with Daemon(config) as daemon:
        commands = [
            ["-c", str(daemon.file), "-q", *words]
            for words in (["quarantine", "acknowledge"], ["verify"], ["quarantine", "acknowledge"])
        ]
        for turn in range(6):
            app.execute(f"INSERT INTO things VALUES ({turn}, 'bad'), ({turn + 100}, {turn})")
            await wait_until_caught_up(config, database, daemon=daemon)
            with daemon.log.open("ab") as log:
                running = [WarmCommand(command, log) for command in commands]
            while any(process.poll() is None for process in running):
                app.execute(f"UPDATE things SET n = n + 1 WHERE id = {turn + 100}")
                await asyncio.sleep(0.002)
            assert {process.returncode for process in running} <= {ExitCode.OK, ExitCode.DIFFERENCE}
        await wait_until_caught_up(config, database, daemon=daemon)
        assert daemon.terminate() == 0
    app.close()
    assert await trail_breaks(config, database) == []
    told = await recorded(database, "acknowledge")
    assert [key for e in told for key in e.details["keys"]] == [str(turn) for turn in range(6)]  # type: ignore[union-attr]


# --- both places ------------------------------------------------------------------------------------------------------


async def test_a_running_daemon_keeps_both_places_alike(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(THINGS)
    config = make_config(tmp_path, tmp_path / "app.db", database, heartbeat_seconds=0.05)
    await up(config)
    with Daemon(config) as daemon:
        for number in range(5):
            app.execute(f"INSERT INTO things VALUES ({number}, {number})")
            await wait_until_caught_up(config, database, daemon=daemon)
        trail.record(config.state.dir, "verify", "done")

        async def alike() -> bool:
            here = sum(e.action == "batch" for e in trail.read(config.state.dir))
            return here == len(await recorded(database, "batch")) and len(await recorded(database, "verify")) == 1

        await wait_for(alike, "batches in the file and the step in Postgres", daemon=daemon)
        daemon.kill()
    await drain(config)
    app.close()
    assert await trail_breaks(config, database) == []


async def test_steps_that_were_recorded_while_postgres_was_away_arrive_once(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(THINGS)
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    for number in range(3):
        trail.record(config.state.dir, "verify", "failed", {"reason": f"away {number}"})
    for _ in range(2):
        await drain(config)
    app.close()
    told = [e.details.get("reason") for e in await recorded(database, "verify")]
    assert told == ["away 0", "away 1", "away 2"]
    assert await trail_breaks(config, database) == []


async def test_a_daemon_goes_on_when_the_audit_file_cannot_be_written(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    app.execute(THINGS)
    config = make_config(tmp_path, tmp_path / "app.db", database)
    await up(config)
    trail.record(config.state.dir, "verify", "done")
    file = config.state.dir / trail.FILE
    async with live(config) as replica:
        kept = file.rename(file.with_name("kept"))
        file.mkdir()  # even root cannot append to a folder
        app.execute("INSERT INTO things VALUES (1, 1)")
        await replica.sync()
        assert await value(database, "SELECT count(*) FROM things") == 1
    file.rmdir()
    kept.rename(file)
    await drain(config)
    app.close()
    assert await trail_breaks(config, database) == []


# --- bounding ---------------------------------------------------------------------------------------------------------


async def test_the_trail_in_postgres_is_bounded_and_stays_whole(tmp_path: Path, database: str) -> None:
    config = make_config(tmp_path, tmp_path / "app.db", database, heartbeat_seconds=0.02, audit_rows=40)
    app = application(tmp_path / "app.db")
    app.execute(THINGS)
    await up(config)
    with Daemon(config) as daemon:
        for number in range(150):
            app.execute(f"INSERT INTO things VALUES ({number}, {number})")
            await wait_until_caught_up(config, database, daemon=daemon)

        async def bounded() -> bool:
            oldest, count = (await fetch(database, "SELECT min(n), count(*) FROM cdc.audit"))[0]
            return bool(oldest > 20 and count < 60)

        await wait_for(bounded, "old entries to be dropped", daemon=daemon)
        daemon.terminate()
    app.close()
    assert await commanded(daemon, "audit", "--postgres") == ExitCode.OK
    assert await commanded(daemon, "audit") == ExitCode.OK
    again = [e.details.get("again") for e in await recorded(database, "up", "run")]
    assert any(again), "steps outlive what surrounds them"
    assert len(set(again)) == len(again)


# --- tampering --------------------------------------------------------------------------------------------------------


@pytest.fixture
def trailed(site: Installation) -> Installation:
    """A site with several steps and batches in both places."""
    site.sql("INSERT INTO t VALUES (-1, -1)")  # so that what comes decides no type any more
    site.followed()
    for number in range(4):
        site.sql(f"INSERT INTO t VALUES ({number}, {number})")
        assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert site.run("audit")[0] == ExitCode.OK
    assert site.run("audit", "--postgres")[0] == ExitCode.OK
    return site


def lines_of(site: Installation) -> list[str]:
    return (site.folder / ".cdc" / trail.FILE).read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda found: [*found[:4], *found[5:]], "! line 5 is missing"),
        (lambda found: [line.replace('"upserted": 1', '"upserted": 2') for line in found], "one was changed"),
        (lambda found: [*found[:2], found[3], found[2], *found[4:]], "! line 3 stands after line 4"),
        (lambda found: [*found[:2], found[1], *found[2:]], "! line 2 stands there twice"),
        (lambda found: found[:-3], "are missing at the end"),
        (lambda found: [], "are missing at the end"),
    ],
)
def test_what_is_done_to_the_file_is_told_by_the_command(
    trailed: Installation, tamper: Callable[[list[str]], list[str]], words: str
) -> None:
    (trailed.folder / ".cdc" / trail.FILE).write_text("".join(tamper(lines_of(trailed))))
    code, out, _ = trailed.run("audit")
    assert code == ExitCode.CRITICAL
    assert words in out
    code, out, _ = trailed.run("audit", "--json", "--action", "verify")
    verdict = json.loads(out)["verdict"]
    assert (code, verdict["whole"]) == (ExitCode.CRITICAL, False)
    assert trailed.run("-q", "run", "--until-idle")[0] == ExitCode.OK  # replication does not depend on it
    assert trailed.run("audit")[0] == ExitCode.CRITICAL  # and does not heal it


def test_a_file_that_was_cut_with_its_noted_end_is_told_by_postgres(trailed: Installation) -> None:
    folder = trailed.folder / ".cdc"
    (folder / trail.FILE).write_text("".join(lines_of(trailed)[:-4]))
    (folder / trail.END_FILE).unlink()
    code, out, _ = trailed.run("audit")
    assert code == ExitCode.CRITICAL
    assert "Postgres remembers" in out


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM cdc.audit WHERE n = 3", "! entry 3 is missing"),
        ("DELETE FROM cdc.audit WHERE n < 3", "! entries 1 to 2 are missing"),
        ("DELETE FROM cdc.audit WHERE n > 4", "are missing at the end"),
        ("DELETE FROM cdc.audit WHERE n > 4; UPDATE cdc.stream SET audit_n = 4", "are missing at the end"),
        ("DELETE FROM cdc.audit", "are missing at the end"),
        ("UPDATE cdc.audit SET entry = replace(entry::text, '@', '@@')::json WHERE n = 3", "one was changed"),
        ("UPDATE cdc.audit SET entry = json_build_object('n', 3) WHERE n = 3", "is no sealed entry"),
        ("UPDATE cdc.audit SET hash = 'x' WHERE n = 3", "one was changed"),
        ("UPDATE cdc.audit SET n = -n WHERE n IN (3, 4); UPDATE cdc.audit SET n = 7 + n WHERE n < 0", "stands after"),
        (
            "INSERT INTO cdc.audit SELECT source_id, 100, entry, hash FROM cdc.audit WHERE n = 3",
            "it was moved or inserted",
        ),
        ("INSERT INTO cdc.audit SELECT source_id, NULL, entry, NULL FROM cdc.audit WHERE n = 3", "no sealed entry"),
    ],
)
def test_what_is_done_in_postgres_is_told_by_the_command(trailed: Installation, sql: str, words: str) -> None:
    trailed.target_sql(sql)
    code, out, _ = trailed.run("audit", "--postgres")
    assert code == ExitCode.CRITICAL, out
    assert words in out
    assert trailed.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert trailed.run("audit", "--postgres")[0] == ExitCode.CRITICAL


def test_a_break_that_was_accepted_does_not_hide_the_next_one(trailed: Installation) -> None:
    file = trailed.folder / ".cdc" / trail.FILE
    file.write_text("".join(line for line in lines_of(trailed) if '"n": 3,' not in line))
    assert trailed.run("audit")[0] == ExitCode.CRITICAL
    assert trailed.run("audit", "--accept")[0] == ExitCode.OK
    code, out, _ = trailed.run("audit")
    assert code == ExitCode.OK
    assert "known: line 3 is missing" in out
    assert "accept" in out
    file.write_text("".join(line for line in lines_of(trailed) if '"n": 6,' not in line))
    code, out, _ = trailed.run("audit")
    assert code == ExitCode.CRITICAL
    assert "! line 6 is missing" in out


def test_a_break_in_postgres_can_be_accepted_too(trailed: Installation) -> None:
    trailed.target_sql("DELETE FROM cdc.audit WHERE n > 4; UPDATE cdc.stream SET audit_n = 4")
    assert trailed.run("audit", "--postgres")[0] == ExitCode.CRITICAL
    assert trailed.run("audit", "--postgres", "--accept")[0] == ExitCode.OK
    assert trailed.run("audit", "--postgres")[0] == ExitCode.OK


def test_a_state_folder_that_was_lost_is_told_until_somebody_knows(trailed: Installation) -> None:
    for path in (trailed.folder / ".cdc").glob("audit*"):
        path.unlink()
    assert trailed.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    code, out, _ = trailed.run("audit")
    assert code == ExitCode.CRITICAL
    assert "missing" in out
    assert trailed.run("audit", "--accept")[0] == ExitCode.OK
    trailed.sql("INSERT INTO t VALUES (10, 10)")
    assert trailed.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    assert trailed.run("audit")[0] == ExitCode.OK
    assert trailed.run("audit", "--postgres")[0] == ExitCode.OK


def test_the_end_of_postgres_that_was_taken_back_is_noticed_by_the_daemon(trailed: Installation) -> None:
    trailed.target_sql("DELETE FROM cdc.audit WHERE n > 4; UPDATE cdc.stream SET audit_n = 4, audit_hash = 'x'")
    assert trailed.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    code, out, _ = trailed.run("audit")
    assert code == ExitCode.CRITICAL
    assert "in Postgres is gone, or is not the one that was copied" in out


# --- what is shown ----------------------------------------------------------------------------------------------------


def shown(site: Installation, *arguments: str) -> list[dict[str, Any]]:
    code, out, _ = site.run("audit", "--json", *arguments)
    assert code == ExitCode.OK
    entries: list[dict[str, Any]] = json.loads(out)["entries"]
    return entries


def test_the_filters_choose_what_is_shown(trailed: Installation) -> None:
    assert {e["action"] for e in shown(trailed)} == {"up", "snapshot", "schema", "load", "position", "run"}
    assert {e["action"] for e in shown(trailed, "--batches")} == {
        "up",
        "snapshot",
        "schema",
        "load",
        "position",
        "run",
        "batch",
    }
    assert {e["action"] for e in shown(trailed, "--action", "batch", "--action", "up")} == {"batch", "up"}
    assert len(shown(trailed, "--batches", "--table", "t")) == 4
    assert shown(trailed, "--batches", "--table", "u") == []
    assert shown(trailed, "--since", "1h") == shown(trailed)
    assert shown(trailed, "--since", "2999-01-01") == []
    everything = shown(trailed, "--batches")
    assert shown(trailed, "--batches", "--limit", "3") == everything[-3:]
    assert len(shown(trailed, "--batches", "--postgres")) == len(everything) - 1  # the end of the last run is to come


@pytest.mark.parametrize("value", ["yesterday", "12", "2026-13-01", "-1h"])
def test_a_moment_that_is_none_is_refused(cut_off: Installation, value: str) -> None:
    code, _, err = cut_off.run("audit", f"--since={value}")
    assert code == ExitCode.USAGE
    assert "90m" in err


def test_without_postgres_the_file_is_checked_by_itself_and_that_is_said(cut_off: Installation) -> None:
    trail.record(cut_off.folder / ".cdc", "verify", "done")
    code, out, _ = cut_off.run("audit")
    assert code == ExitCode.OK
    assert "could not be compared with what Postgres remembers" in out


# --- earlier versions -------------------------------------------------------------------------------------------------

OLD_AUDIT: Final = """
ALTER TABLE cdc.stream DROP COLUMN audit_n, DROP COLUMN audit_hash, DROP COLUMN audit_copied,
    DROP COLUMN audit_file_n, DROP COLUMN audit_file_hash;
DROP TABLE cdc.audit, cdc.pending;
CREATE TABLE cdc.audit (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT now(),
    source_id text,
    actor     text NOT NULL,
    action    text NOT NULL,
    result    text NOT NULL,
    details   jsonb NOT NULL DEFAULT '{}'
);
INSERT INTO cdc.audit (source_id, actor, action, result, details)
SELECT source_id, 'a@b', 'load', 'done', '{"rows": 5}' FROM cdc.stream;
INSERT INTO cdc.audit (actor, action, result) VALUES ('a@b', 'up', 'done')
"""
OLD_LINE: Final = (
    '{"at": "2026-01-01T00:00:00.000+00:00", "actor": "a@b", "action": "load", "result": "done", "details": {}}\n'
)


@pytest.mark.parametrize("first", [["-q", "run", "--until-idle"], ["verify"], ["quarantine", "acknowledge"]])
def test_what_an_earlier_version_left_is_brought_up_to_date(site: Installation, first: list[str]) -> None:
    site.followed()
    site.target_sql(OLD_AUDIT)
    for path in (site.folder / ".cdc").glob("audit*"):
        path.unlink()
    (site.folder / ".cdc" / trail.FILE).write_text(OLD_LINE)
    assert site.run(*first)[0] == ExitCode.OK
    site.sql("INSERT INTO t VALUES (1, 1)")
    assert site.run("-q", "run", "--until-idle")[0] == ExitCode.OK
    code, out, _ = site.run("audit", "--postgres", "--json", "--batches")
    told = json.loads(out)
    assert code == ExitCode.OK
    assert told["verdict"]["not_chained"] == 2
    assert [e["action"] for e in told["entries"]][:2] == ["load", "up"]
    assert "batch" in {e["action"] for e in told["entries"]}
    code, out, _ = site.run("audit")
    assert code == ExitCode.OK
    assert "1 entry of an earlier version cannot be checked" in out
