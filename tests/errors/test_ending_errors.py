"""The end of a move: what is in its way, what is refused after it, and what stands in the way of cleaning up."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from error_assertions import logged, refused
from installation import Installation
from msgspec.structs import replace

from cdc.config import Config, StateSection, load_config
from cdc.ending.finalize import finalize
from cdc.ending.survey import FinalWish
from cdc.errors import CdcError, ExitCode
from cdc.facts.progress import Silent
from cdc.notes import final_note
from cdc.notes.final_note import Dump, FinalNote
from cdc.observe import daemon_file
from cdc.observe.daemon_state import DaemonState
from cdc.postgres.server import dump
from cdc.sqlite.fence.past_fence import opened_past_fence

NO_DUMP = FinalWish(without_dump=True)


def refused_in(step: Coroutine[Any, Any, Any], *templates: str) -> None:
    """Take a step that is refused with the error of the first template; that of the next one is the reason."""
    with pytest.raises(CdcError) as told:
        asyncio.run(step)
    error: BaseException | None = told.value
    for template in templates:
        assert isinstance(error, CdcError), error
        logged({"error": error.message, "remedy": error.remedy}, template)
        error = error.__cause__


def ended(config: Config, wish: FinalWish = NO_DUMP) -> Coroutine[Any, Any, Any]:
    return finalize(config, wish, lambda _: None, Silent())


def noted(config: Config) -> FinalNote:
    note = final_note.read(config)
    assert note is not None
    return note


def broken_programs(folder: Path) -> None:
    """A `pg_dump` that says it is new enough, and can do nothing."""
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        program = folder / name
        program.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "x (PostgreSQL) 18.0" && exit\nexit 3\n')
        program.chmod(0o755)


def test_what_is_in_the_way_of_the_end(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    site.sql("INSERT INTO t VALUES (1, 'one'); CREATE TABLE f(id INTEGER PRIMARY KEY, r REAL)")
    site.configure("[cutover]\nfinalize_after_hours = 0")
    config = site.switched()
    given_up = "the end of the way back was given up at {step}, and it is open as before: {error}"
    template = "nothing has ended yet, so nothing is cleaned up: changes flow between both databases, or are to"
    refused(site, ["cleanup", "--yes"], template, ExitCode.CRITICAL)
    template = "--keep-fence is for a file whose application has moved to Postgres"
    refused(site, ["cleanup", "--keep-fence"], template, ExitCode.USAGE)
    refused(site, ["finalize"], "{what} has to be confirmed, and there is no terminal to ask on", ExitCode.USAGE)
    broken_programs(site.folder / "bin")
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(site.folder / "bin"))
        refused_in(ended(config, FinalWish()), given_up, "{programs} could not dump schema {schema}: {complaint}")
    with opened_past_fence(config) as connection:
        connection.execute("UPDATE t SET v = 'other'")
    refused_in(
        ended(config), given_up, "rows are not alike in SQLite and Postgres, so the way back is not ended: {words}"
    )
    site.target_sql("UPDATE t SET v = v; INSERT INTO f VALUES (5, 'NaN')")
    template = "a row of Postgres cannot be held by SQLite, and so not by the last snapshot: {refused}"
    refused_in(ended(config), given_up, template)
    asyncio.run(ended(config, FinalWish(without_dump=True, leave_behind=True)))
    assert noted(config).rows == 1


def test_what_is_refused_after_the_end(site: Installation) -> None:
    config = site.switched()
    asyncio.run(ended(config))
    note = noted(config)
    ended_template = (
        "the way back was ended on purpose{since}: applications write to Postgres, and nothing follows any more"
    )
    for command in (["run"], ["up"], ["snapshot"], ["verify"], ["load", "--resync"], ["cleanup", "--capture-only"]):
        refused(site, command, ended_template, ExitCode.CRITICAL)
    template = "there is no way back: it was ended on purpose at {since} by {by}"
    refused(site, ["rollback"], template, ExitCode.CRITICAL)
    refused(site, ["rollback", "--emergency", "--yes"], template, ExitCode.CRITICAL)

    cleanup = ["cleanup", "--yes"]
    with daemon_file.shown(config, DaemonState()):
        template = "a daemon is at work on {path}, and nothing is taken from it: process {pid}"
        refused(site, cleanup, template, ExitCode.CRITICAL)
    site.target_sql("CREATE VIEW leaning AS SELECT phase FROM cdc.stream")
    template = "something of others in Postgres leans on the schema cdc: {leaners}"
    refused(site, cleanup, template, ExitCode.CRITICAL)
    site.target_sql("DROP VIEW leaning")
    final_note.amend(config, replace(note, snapshot_sha256="another"))
    template = "snapshot {folder} is not the one that the way back was ended with"
    refused(site, cleanup, template, ExitCode.CRITICAL)
    final_note.amend(config, replace(note, dump=Dump("dumps/gone.dump", 1, "")))
    template = "the dump {file} is gone, or is not the one that was made when the way back was ended"
    refused(site, cleanup, template, ExitCode.CRITICAL)
    final_note.amend(config, replace(note, without_dump=False))
    template = "the way back was ended, and not all that belongs to it is done, so nothing is cleaned up"
    refused(site, cleanup, template, ExitCode.CRITICAL)
    final_note.path(config).unlink()
    refused_in(ended(config), "the note {file} is gone, and with it which snapshot was the last one")
    refused(site, ["run"], ended_template, ExitCode.CRITICAL)  # Postgres knows it as well


def test_a_note_and_a_dump_that_the_disk_does_not_take(site: Installation) -> None:
    config = load_config(site.config_file)

    async def noted_in_a_file() -> None:
        note = FinalNote("app.db", "id", "public", "now", "ana", "s", "", 0)
        final_note.propose(replace(config, state=StateSection(site.database)), note)

    refused_in(noted_in_a_file(), "the note {file} that the way back was ended cannot be written: {error}")
    spoilt = site.folder / "spoilt.dump"
    spoilt.write_bytes(b"PGDMP")

    async def read_back() -> None:
        programs = await dump.find_programs(14)
        assert programs is not None
        await dump.require_readable(programs, spoilt, "public", ["t"])

    refused_in(read_back(), "the dump {file} cannot be read back: {why}")
