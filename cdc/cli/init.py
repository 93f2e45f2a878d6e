"""`cdc init`: a first configuration whose every key is explained. Touches neither database."""

import json
import os
import tomllib
from pathlib import Path
from typing import Final

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, pass_session
from cdc.cli.output import say
from cdc.config import DEFAULT_FILE, EMBEDDED, decode_config
from cdc.errors import ConfigError, UsageError
from cdc.postgres.connection.dsn import holds_password, parts_of

_TEMPLATE: Final = """\
# What `cdc` replicates, and where to. Every key is described in docs/configuration.md.
# Relative paths are relative to this file.

[source]
# The application's SQLite file, on a disk of this machine (locks do not work over a network file system).
path = {path}

[target]
# "embedded" is a Postgres server that cdc brings and keeps in the state folder. For a server of your own:
# dsn = "postgresql://USER@HOST:5432/DATABASE"
# Keep its password out of this file: PGPASSWORD, PGPASSFILE, or
# password_file = "/etc/cdc/password"
dsn = {dsn}
# The schema of the replicated tables; it is created when it is missing.
schema = {schema}

[state]
# Snapshots, the embedded server and the audit file. Needs room for a copy of the SQLite file.
dir = ".cdc"

[replicate]
# Which tables, as shell patterns: all but the excluded ones.
tables = ["*"]
exclude = []

# What one table needs different. Nothing is needed for most; `cdc plan` shows what would be created.
# [tables.videos]
# target = "video"                # another name in Postgres
# skip = ["cache"]                # columns that stay behind
# [tables.videos.columns.tags]
# type = "jsonb"                  # another type than the declared one leads to
# [tables.videos.columns.short_id]
# expression = "substr(id, 4)"    # a column that only Postgres has, computed in SQLite's SQL
"""


@click.command(
    cls=Command,
    examples=(
        ("cdc init app.db", "Into the Postgres that cdc brings."),
        ("cdc init app.db --target postgresql://cdc@db.lan/app --schema bot", "Into a server of your own."),
        (
            "cdc -c /etc/cdc/bot.toml init /srv/bot/bot.db",
            "For a service: the configuration of one application of several.",
        ),
    ),
)
@click.argument("sqlite", type=click.Path(path_type=Path))
@click.option(
    "--target",
    metavar="DSN|embedded",
    default=EMBEDDED,
    show_default=True,
    help="A Postgres server as postgresql://USER@HOST/DATABASE, or the one that cdc brings.",
)
@click.option("--schema", metavar="NAME", default="public", show_default=True, help="The schema of the tables.")
@click.option("--force", is_flag=True, help="Replace an existing configuration.")
@pass_session
def init(session: Options, sqlite: Path, target: str, schema: str, force: bool) -> None:
    """Write a configuration for the application's file SQLITE.

    The file is written to cdc.toml, or to the one given with -c. Neither database is touched.
    """
    from cdc.sqlite.connection.open import require_database

    file = session.config_path
    if file.exists() and not force:
        raise UsageError(
            f"configuration file {file} exists already",
            remedy="edit it, name another (`cdc -c OTHER.toml init`), or replace it with --force",
        )
    require_database(sqlite)
    secret = _check_target(target)
    text = _TEMPLATE.format(path=_toml(_beside(sqlite, file)), dsn=_toml(target), schema=_toml(schema))
    decode_config(tomllib.loads(text), str(file))
    _write(file, text, mode=0o600 if secret else 0o644)
    say(f"wrote {file}")
    if secret:
        say("warning: it holds a password, so only you can read it;")
        say("better keep the password in PGPASSWORD, PGPASSFILE or `password_file`")
    option = "" if file == Path(DEFAULT_FILE) or "CDC_CONFIG" in os.environ else f"-c {file} "
    say(f"next: `cdc {option}plan` shows what will happen, `cdc {option}up` does it")


def _check_target(dsn: str) -> bool:
    """Whether the DSN holds a password; raises `UsageError` when it is no DSN."""
    if dsn == EMBEDDED:
        return False
    try:
        parts_of(dsn)
    except ValueError:
        raise UsageError(
            "--target is neither `embedded` nor the address of a Postgres database",
            remedy="write it as postgresql://USER@HOST:5432/DATABASE, special characters percent-encoded",
        ) from None
    return holds_password(dsn)


def _beside(sqlite: Path, file: Path) -> str:
    """The database's path as the configuration names it: relative where it lies below the configuration's folder.

    Links stay as they were given: the application may have its file under a link because what it leads to changes.
    """
    given = sqlite.parent.resolve() / sqlite.name if ".." in sqlite.parts else Path.cwd() / sqlite
    for folder in (Path.cwd() / file.parent, file.resolve().parent):
        # Only where the configuration is found again from that folder.
        if given.is_relative_to(folder) and folder.resolve() == file.resolve().parent:
            return str(given.relative_to(folder))
    return str(given)


def _toml(text: str) -> str:
    # JSON's strings are TOML's basic strings, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write(file: Path, text: str, mode: int) -> None:
    try:
        data = text.encode("utf-8")
        file.parent.mkdir(parents=True, exist_ok=True)
        # Made under another name and with its mode, so that a password is never readable, not even for a moment.
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        partial.replace(file)
    except UnicodeEncodeError:
        raise UsageError(
            "the path of the SQLite file is not valid UTF-8",
            remedy="rename the file, or the folder whose name is not: the configuration is a UTF-8 text",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"configuration file {file} cannot be written: {error.strerror}",
            remedy="name a file in a folder where this user may write: `cdc -c FILE init`",
        ) from None
