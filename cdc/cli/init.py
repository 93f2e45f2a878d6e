"""`cdc init`: a first configuration whose every key is explained, with all that can be proven. Changes no database."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, pass_session, run_async
from cdc.cli.output import indented, say, show
from cdc.config import DEFAULT_FILE, EMBEDDED, decode_config
from cdc.errors import CdcError, ConfigError, UsageError
from cdc.facts.counted import counted
from cdc.postgres.connection.dsn import holds_password, parts_of

if TYPE_CHECKING:
    from cdc.proposals.block import Found

_MOST_WARNINGS: Final = 3
_LONGEST_LIST: Final = 120


@click.command(
    cls=Command,
    examples=(
        ("cdc init app.db", "Into the Postgres that cdc brings."),
        ("cdc init app.db --target postgresql://cdc@db.lan/app --schema bot", "Into a server of your own."),
        (
            "cdc init app.db --target postgresql://cdc@db.lan/app --adopt",
            "Into tables that the application's own migrations made there.",
        ),
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
@click.option("--adopt", is_flag=True, help="Use the tables that are there; both databases are looked at.")
@click.option("--bare", is_flag=True, help="Look at neither database: write what is required, and examples.")
@click.option("--force", is_flag=True, help="Replace an existing configuration.")
@pass_session
def init(session: Options, sqlite: Path, target: str, schema: str, adopt: bool, bare: bool, force: bool) -> None:
    """Write a configuration for the application's file SQLITE.

    Every row of a copy of the file is looked at, and with --adopt the tables in Postgres as well. What is proven to
    lose nothing is written so that it takes effect; what is for you to choose stands there as a comment, with counts.

    The configuration is written to cdc.toml, or to the one given with -c. Neither database is changed.
    """
    from cdc.proposals import document
    from cdc.sqlite.connection.open import require_database

    file = session.config_path
    if file.exists() and not force:
        raise UsageError(
            f"configuration file {file} exists already",
            remedy="edit it, name another (`cdc -c OTHER.toml init`), or replace it with --force",
        )
    if adopt and (bare or target == EMBEDDED):
        raise UsageError(
            "--adopt looks at tables that are in Postgres already, and needs to know where",
            remedy="name the server with --target postgresql://USER@HOST/DATABASE, without --bare",
        )
    require_database(sqlite)
    secret = _check_target(target)
    route = document.Route(_beside(sqlite, file), target, schema, adopt)
    text = document.bare(route)
    _require_utf_8(text)
    decode_config(tomllib.loads(text), str(file))
    found = None if bare else _looked_at(session, text, file, adopt=adopt)
    _write(file, document.written(route, found) if found else text, mode=0o600 if secret else 0o644)
    _tell(file, found, secret=secret)


def _looked_at(session: Options, text: str, file: Path, *, adopt: bool) -> "Found | None":
    """What is found; nothing where the file cannot be looked at now, which `cdc plan` will tell as well."""
    from cdc.proposals.draft import Draft
    from cdc.proposals.survey import survey

    session.start_log()
    try:
        return run_async(survey(Draft(text, file)))
    except CdcError as error:
        if adopt:
            raise
        say(f"warning: the file could not be looked at: {error.message}")
        say(f"remedy: {error.remedy}; then `cdc init --force` looks again")
        return None


def _tell(file: Path, found: "Found | None", *, secret: bool) -> None:
    for warning in found.warnings[:_MOST_WARNINGS] if found else ():
        show(indented(f"warning: {warning}", 0))
    if found and len(found.warnings) > _MOST_WARNINGS:
        say(f"warning: {len(found.warnings) - _MOST_WARNINGS} more of the kind stand in {file}")
    say(f"wrote {file}")
    for line in _summary(found, file) if found else ():
        show(indented(line, 0))
    if secret:
        say("warning: it holds a password, so only you can read it;")
        say("better keep the password in PGPASSWORD, PGPASSFILE or `password_file`")
    option = "" if file == Path(DEFAULT_FILE) or "CDC_CONFIG" in os.environ else f"-c {file} "
    say(f"next: `cdc {option}plan` shows what will happen, `cdc {option}up` does it")


def _summary(found: "Found", file: Path) -> Iterator[str]:
    """What was found, decided and left to choose, each in a line."""
    yield f"looked at {counted(found.tables, 'table')} with {counted(found.rows, 'row')}"
    if found.decided:
        names = ", ".join(dict.fromkeys(".".join(block.section[1::2]) or "[formats]" for block in found.decided))
        yield f"decided, for it is proven: {counted(len(found.decided), 'section')}: {_shortened(names)}"
    if found.left_out:
        rows = sum(excluded.rows for excluded in found.left_out)
        names = ", ".join(excluded.table for excluded in found.left_out)
        yield f"left out: {counted(len(found.left_out), 'table')} with {counted(rows, 'row')}: {_shortened(names)}"
    if found.dropped_values:
        yield f"left out too, for Postgres has no column for them: {counted(found.dropped_values, 'value')}, see `skip`"
    if found.choices:
        is_are = "is" if found.choices == 1 else "are"
        yield f"{counted(found.choices, 'choice')} {is_are} commented in {file}"


def _shortened(names: str) -> str:
    return names if len(names) <= _LONGEST_LIST else f"{names[:_LONGEST_LIST].rpartition(', ')[0]}, ..."


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


def _require_utf_8(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(
            "the path of the SQLite file is not valid UTF-8",
            remedy="rename the file, or the folder whose name is not: the configuration is a UTF-8 text",
        ) from None


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
    except OSError as error:
        raise ConfigError(
            f"configuration file {file} cannot be written: {error.strerror}",
            remedy="name a file in a folder where this user may write: `cdc -c FILE init`",
        ) from None
