"""One configured source and target, and what an operator does there: commands, SQL on either side, a look at it all."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
import asyncpg
import pytest
from harness import DEADLINE_SECONDS
from warm_commands import run_warm

from cdc.cli import main
from cdc.config import Config, load_config
from cdc.cutover import run as switch
from cdc.errors import ExitCode
from cdc.facts.changes import Position
from cdc.facts.phase import Phase
from cdc.postgres.connection.open import Connection, connect
from cdc.postgres.record import own_schema
from cdc.postgres.record.record import Record
from cdc.sqlite.changelog import source_file as sqlite

ROOT: Final = Path(__file__).parents[1]
CLOSED_PORT: Final = "postgresql://nobody@127.0.0.1:1/app"

Outcome = tuple[int, str, str]
Picture = dict[str, str]

# Root passes over permissions; without these two powers it is bound by them as the owner of its files is.
_BOUND_BY_PERMISSIONS: Final = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")


class Installation:
    """One configured source and target, and what an operator does there."""

    def __init__(self, folder: Path, dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.dsn = dsn
        self._capsys = capsys
        self.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
        assert main(["init", str(self.database), "--target", dsn, "--bare"]) == ExitCode.OK
        capsys.readouterr()

    @property
    def database(self) -> Path:
        """The application's file."""
        return self.folder / "app.db"

    @property
    def config_file(self) -> Path:
        """The configuration, as `cdc init` wrote it."""
        return self.folder / "cdc.toml"

    def configure(self, *sections: str) -> None:
        """Add to the configuration; a section that stands there already is replaced by the one given."""
        given = "\n".join(sections)
        headings = [line for line in given.splitlines() if line.startswith("[")]
        kept, keeps = [], True
        for line in self.config_file.read_text(encoding="utf-8").splitlines():
            keeps = line not in headings if line.startswith("[") else keeps
            kept += [line] if keeps else []
        self.config_file.write_text("\n".join([*kept, given]) + "\n", encoding="utf-8")

    # --- commands -----------------------------------------------------------------------------------------------------

    def run(self, *arguments: str) -> Outcome:
        """A command in this process: exit code, stdout, stderr."""
        code = main(arguments)
        shown = self._capsys.readouterr()
        return code, shown.out, shown.err

    def process(
        self, *arguments: str, before: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> Outcome:
        """The same in a process of its own, for at most a minute; `before` is put before the command, as `env` is."""
        if not before:
            return run_warm(arguments, environment=environment, folder=self.folder, seconds=DEADLINE_SECONDS)
        done = subprocess.run(
            [*before, sys.executable, "-m", "cdc", *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def bound(self, *arguments: str) -> Outcome:
        """The same by a user whom permissions bind, also when the tests are run by root."""
        return self.process(*arguments, before=_BOUND_BY_PERMISSIONS if os.geteuid() == 0 else ())

    def status(self, *arguments: str) -> dict[str, Any]:
        """What `cdc status --json` tells."""
        code, out, _ = self.run("status", "--json", *arguments)
        told: dict[str, Any] = json.loads(out)
        assert told["exit_code"] == code
        return told

    # --- both databases -----------------------------------------------------------------------------------------------

    def sql(self, text: str) -> None:
        """Run SQL in the application's file."""
        connection = apsw.Connection(str(self.database))
        connection.set_busy_timeout(5000)  # in rollback-journal mode a reader makes a writer wait
        connection.execute(text)
        connection.close()

    def postgres(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        """Do some work in Postgres over a connection of this project."""

        async def connected() -> None:
            connection = await connect(self.dsn, purpose="test")
            try:
                await work(connection)
            finally:
                await connection.close()

        asyncio.run(connected())

    def target_sql(self, text: str) -> None:
        """Run SQL in Postgres."""

        async def work(connection: Connection) -> None:
            await connection.execute(text)

        self.postgres(work)

    def capture(self) -> str:
        """Install capture; returns the source's id."""
        found = sqlite.install(load_config(self.config_file)).capture
        assert found is not None
        return found.source_id

    def replicating(self, seq: int = 1) -> str:
        """As the databases are while the daemon follows, without a daemon and without tables; returns the id."""
        source_id = self.capture()

        async def work(connection: Connection) -> None:
            await own_schema.create(connection)
            record = Record(connection, source_id)
            await record.stream.register(str(self.database), "public")
            await record.begin_at(Position(seq, "x"), "snapshot")
            await record.stream.enter(Phase.REPLICATE)

        self.postgres(work)
        return source_id

    def followed(self) -> None:
        """Loaded and replicated up to now, by the commands themselves."""
        code, out, err = self.run("-q", "up", "--until-idle")
        assert (code, out) == (ExitCode.OK, ""), err

    def prepared(self) -> Config:
        """The same, and ready for a cutover; returns the configuration."""
        self.followed()
        code, _, err = self.run("-q", "cutover", "--prepare")
        assert code == ExitCode.OK, err
        return load_config(self.config_file)

    def switched(self) -> Config:
        """Applications write to Postgres, and no daemon runs; returns the configuration."""
        config = self.prepared()
        asyncio.run(switch.cutover(config, lambda _: None))
        return config

    # --- pictures -----------------------------------------------------------------------------------------------------

    def picture(self) -> Picture:
        """All that a refused command must leave as it is, by name: both databases and the files of the folder."""
        return {**_picture_of_files(self.folder), **asyncio.run(_picture_of_postgres(self.dsn))}


def _picture_of_files(folder: Path) -> Picture:
    """Files by their content, databases by what they hold; not the log of failed steps, locks and shared memory."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "copy"
        # By another process: whoever closes a file loses the locks that SQLite holds on it in the same process.
        subprocess.run(["cp", "-a", str(folder), str(copy)], capture_output=True, check=False, timeout=DEADLINE_SECONDS)
        found = {}
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_symlink():
                found[name] = f"link to {path.readlink()}"
            elif path.is_file() and path.name not in _OURS and not path.name.endswith(("-wal", "-shm")):
                found[name] = f"mode {path.stat().st_mode:o}"
                found |= _picture_of_file(name, copy / name)
        return found


_OURS: Final = ("audit.jsonl", "audit.end", "lock", "daemon.log")


def _picture_of_file(name: str, file: Path) -> Picture:
    try:
        content = file.read_bytes()
    except OSError:
        return {}  # not even its owner may read it
    if content.startswith(b"SQLite format 3\0"):
        try:
            return _picture_of_database(name, file)
        except (apsw.Error, UnicodeEncodeError):
            pass  # a damaged one, or one whose name SQLite cannot be given: its bytes then
    return {f"{name}: bytes": hashlib.sha256(content).hexdigest()}


def _picture_of_database(name: str, file: Path) -> Picture:
    connection = apsw.Connection(str(file))
    try:
        found = {f"{name}: mode": str(connection.pragma("journal_mode"))}
        entries = connection.execute("SELECT rowid, type, name, sql FROM sqlite_schema").fetchall()
        for place, kind, own, sql in entries:
            found[f"{name}: {kind} {own}"] = f"{place} {sql}"
            if kind == "table" and not str(sql).upper().startswith("CREATE VIRTUAL"):
                found[f"{name}: rows of {own}"] = _rows_of(connection, str(own))
        return found
    finally:
        connection.close()


def _rows_of(connection: apsw.Connection, table: str) -> str:
    columns = [row[0] for row in connection.execute("SELECT name FROM pragma_table_xinfo(?)", (table,))]
    quoted = [apsw.format_sql_value(str(c)).replace("'", '"') for c in columns]
    wanted = ", ".join(f"typeof({c}), hex({c})" for c in quoted)
    digest = hashlib.sha256()
    for row in connection.execute(f'SELECT {wanted} FROM "{table}"'):
        digest.update(repr(row).encode())
    return digest.hexdigest()


async def _picture_of_postgres(dsn: str) -> Picture:
    """Every schema, table, column, constraint, index, trigger and function, and what the tables hold."""
    try:
        connection = await asyncpg.connect(dsn)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError):
        return {"postgres": "cannot be reached"}
    try:
        found = {row[0]: row[1] for row in await connection.fetch(_OBJECTS)}
        for row in await connection.fetch(_TABLES):
            name = row[0]
            rows = f"SELECT (to_jsonb(t) - $1::text[])::text AS row FROM {name} AS t"
            digest = f"SELECT md5(string_agg(row, ' ' ORDER BY row)) FROM ({rows}) AS rows"
            if name != "cdc.audit":
                found[f"rows of {name}"] = str(await connection.fetchval(digest, _SIGNS_OF_LIFE))
        return found
    finally:
        await connection.close()


_SIGNS_OF_LIFE: Final = [
    *("heartbeat_at", "owner", "stopped_reason", "stopped_remedy"),
    *("audit_n", "audit_hash", "audit_copied", "audit_file_n", "audit_file_hash"),
]

_TABLES: Final = """
SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'p')
AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
"""

_OBJECTS: Final = """
WITH ours AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
), relations AS (
    SELECT c.*, nspname || '.' || c.relname AS name FROM pg_class c JOIN ours ON ours.oid = c.relnamespace
)
SELECT 'schema ' || nspname, '' FROM ours
UNION ALL SELECT 'relation ' || name, relkind::text || relowner || coalesce(relacl::text, '') FROM relations
UNION ALL SELECT 'column ' || name || '.' || attname,
    format_type(atttypid, atttypmod) || attnotnull || attidentity::text || attgenerated::text || attcollation
    || coalesce(pg_get_expr(adbin, adrelid), '')
    FROM pg_attribute a JOIN relations r ON r.oid = attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT 'constraint ' || name || '.' || conname, pg_get_constraintdef(o.oid)
    FROM pg_constraint o JOIN relations r ON r.oid = conrelid
UNION ALL SELECT 'index ' || name, pg_get_indexdef(oid) FROM relations WHERE relkind = 'i'
UNION ALL SELECT 'trigger ' || name || '.' || tgname, tgenabled::text || pg_get_triggerdef(t.oid)
    FROM pg_trigger t JOIN relations r ON r.oid = tgrelid WHERE NOT tgisinternal
UNION ALL SELECT 'function ' || p.oid::regprocedure::text, md5(prosrc)
    FROM pg_proc p JOIN ours ON ours.oid = pronamespace
"""
