"""Flags that cannot be set as they are written, or not now: nothing is changed, or it is said what is."""

import fcntl
from pathlib import Path

import pytest
from error_assertions import refused, said
from installation import Installation

from cdc.config import load_config
from cdc.cutover.flag.flags import Flags
from cdc.cutover.flag.web import headers_in
from cdc.errors import CdcError, ExitCode

ENV = '[[cutover.flags]]\nkind = "env"\npath = "app.env"\nswitch = "reads"\nsqlite = {{ {0} }}\npostgres = {{ {1} }}'
FILE = '[[cutover.flags]]\nkind = "file"\npath = "flag.json"'
COMMAND = '[[cutover.flags]]\nkind = "command"\nswitch = "reads"\nsqlite = {}\npostgres = {}'
READS = ["flag", "reads", "postgres"]
CHANGES = (".cdc/flags.", "flag.json")


def words_of(error: CdcError) -> str:
    return f"error: {error.message}\nremedy: {error.remedy}\n"


# --- as they are written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", 'kind = "files"', "kind = 3"])
def test_a_flag_of_no_kind(cut_off: Installation, kind: str) -> None:
    cut_off.configure(f"[[cutover.flags]]\n{kind}")
    refused(cut_off, ["flag"], "{file}: [{place}] does not say which kind it is of", ExitCode.CONFIG)


def test_a_command_for_one_side_only(cut_off: Installation) -> None:
    cut_off.configure(COMMAND.format('["true"]', "[]"))
    template = "{file}: [cutover.flags {number}] names no program for one of the sides"
    assert "[cutover.flags 1]" in refused(cut_off, ["flag"], template, ExitCode.CONFIG)


@pytest.mark.parametrize(("sqlite", "postgres"), [("", ""), ('A = "1"', 'B = "2"'), ('A = "1"', 'A = "1"')])
def test_variables_that_do_not_tell_the_sides_apart(cut_off: Installation, sqlite: str, postgres: str) -> None:
    cut_off.configure(ENV.format(sqlite, postgres))
    template = "{file}: `sqlite` and `postgres` in [{place}] do not give the same variables other values"
    refused(cut_off, ["flag"], template, ExitCode.CONFIG)


@pytest.mark.parametrize("name", ["1A", "A-B", "A=B", ""])
def test_a_variable_that_has_no_name_of_one(cut_off: Installation, name: str) -> None:
    cut_off.configure(ENV.format(f'"{name}" = "1"', f'"{name}" = "2"'))
    refused(cut_off, ["flag"], "{file}: `{name}` in [{place}] is no name of a variable", ExitCode.CONFIG)


@pytest.mark.parametrize("value", ['"it\'s"', '"a\\nb"', '"a$b"', "'a\\b'", "'a`b'"])
def test_a_value_that_programs_read_differently(cut_off: Installation, value: str) -> None:
    cut_off.configure(ENV.format('A = "1"', f"A = {value}"))
    template = "{file}: a value of `{name}` in [{place}] would not be read alike by every program"
    refused(cut_off, ["flag"], template, ExitCode.CONFIG)


def test_a_file_of_headers_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CdcError) as caught:
        headers_in(tmp_path / "none", None)
    said(words_of(caught.value), "the file of headers {file} cannot be read: {reason}", ExitCode.CONFIG)


# --- calls ------------------------------------------------------------------------------------------------------------


def test_reads_or_writes_without_a_side(cut_off: Installation) -> None:
    for switch in ("reads", "writes"):
        template = "`cdc flag {switch}` does not say where they shall go"
        assert f"`cdc flag {switch}`" in refused(cut_off, ["flag", switch], template, ExitCode.USAGE)


@pytest.mark.parametrize("side", ["sqlite", "postgres"])
def test_writes_by_hand(cut_off: Installation, side: str) -> None:
    template = "writes are not moved by hand: rows that one database has and the other lacks would be left behind"
    cut_off.configure(FILE)
    refused(cut_off, ["flag", "writes", side], template, ExitCode.USAGE)


def test_no_flag_at_all(cut_off: Installation) -> None:
    template = "no flag is configured, so the application cannot be told where to read and write"
    refused(cut_off, READS, template, ExitCode.CONFIG, changes=CHANGES)


def test_reads_of_which_no_flag_tells(cut_off: Installation) -> None:
    cut_off.configure(ENV.replace("reads", "both").format('A = "1"', 'A = "2"'))
    (cut_off.folder / "app.env").write_text("A=1\n")
    refused(cut_off, READS, "no flag tells the application where its {untold} go", ExitCode.CONFIG, changes=CHANGES)


def test_reads_that_would_go_back_before_writes(cut_off: Installation) -> None:
    cut_off.configure(FILE)
    (cut_off.folder / "flag.json").write_text('{"reads": "postgres", "writes": "postgres"}')
    template = "reads cannot go to SQLite while writes go to Postgres: nobody would see what was written"
    refused(cut_off, ["flag", "reads", "sqlite"], template, ExitCode.USAGE, changes=CHANGES)


def test_flags_that_do_not_agree_where_writes_go(cut_off: Installation) -> None:
    cut_off.configure(FILE, ENV.replace("reads", "writes").format('A = "1"', 'A = "2"'))
    (cut_off.folder / "app.env").write_text("A=2\n")
    template = "the flags do not agree where writes go, so reads cannot be moved beside them"
    refused(cut_off, READS, template, ExitCode.CRITICAL, changes=CHANGES)


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_flag_that_cannot_be_set(cut_off: Installation) -> None:
    cut_off.configure(FILE, COMMAND.format('["true"]', '["false"]'))
    template = "the flag {label} could not be set ({state}): {reason}; all are as before ({before})"
    refused(cut_off, READS, template, ExitCode.CRITICAL, changes=CHANGES)
    assert '"reads": "sqlite"' in (cut_off.folder / "flag.json").read_text()


def test_flags_that_cannot_be_set_back_either(cut_off: Installation) -> None:
    cut_off.configure(COMMAND.format('["false"]', '["false"]'))
    template = "the flag {label} could not be set ({state}): {reason}; not all are as before: {left}"
    refused(cut_off, READS, template, ExitCode.CRITICAL, changes=CHANGES)


def test_somebody_else_who_changes_them(cut_off: Installation) -> None:
    cut_off.configure(FILE)
    (cut_off.folder / ".cdc").mkdir()
    with (cut_off.folder / ".cdc" / "flags.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(cut_off, READS, "somebody else is changing the flags", ExitCode.UNAVAILABLE, changes=CHANGES)


@pytest.mark.parametrize("file", ["flags.lock", "flags.json"])
def test_a_state_folder_that_cannot_keep_what_they_were_told(cut_off: Installation, file: str) -> None:
    cut_off.configure(FILE)
    (cut_off.folder / ".cdc" / file).mkdir(parents=True)
    template = "what the flags were told cannot be kept in {file}: {error}"
    refused(cut_off, READS, template, ExitCode.CONFIG, changes=CHANGES)
    assert not (cut_off.folder / "flag.json").exists()


def test_writes_that_no_proxy_can_hold(cut_off: Installation) -> None:
    cut_off.configure('[[cutover.flags]]\nkind = "proxy"')
    with pytest.raises(CdcError) as caught:
        Flags(load_config(cut_off.config_file)).hold()
    said(words_of(caught.value), "writes cannot be held or let go by the proxy: {error}", ExitCode.CRITICAL)
