"""Wrong calls and a wrong configuration are refused with the place, the reason and what to write instead."""

import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode

# --- calls ------------------------------------------------------------------------------------------------------------


def test_options_that_contradict_each_other(cut_off: Installation) -> None:
    refused(cut_off, ["-v", "status"], "--verbose and --quiet contradict each other", ExitCode.USAGE)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_configuration_that_is_not_there(cut_off: Installation) -> None:
    refused(cut_off, ["-c", "no.toml", "status"], "configuration file {path} does not exist", ExitCode.CONFIG)


def test_a_folder_in_place_of_the_configuration(cut_off: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_CONFIG", str(cut_off.folder))
    refused(cut_off, ["status"], "configuration file {path} cannot be read: {error}", ExitCode.CONFIG)


def test_a_configuration_that_this_user_may_not_read(cut_off: Installation) -> None:
    cut_off.config_file.chmod(0o000)
    told = refused(
        cut_off,
        ["status"],
        "configuration file {path} cannot be read: {error}",
        ExitCode.CONFIG,
        run=cut_off.bound,
    )
    assert "Permission denied" in told


def test_a_configuration_in_another_encoding(cut_off: Installation) -> None:
    cut_off.config_file.write_bytes("# grün\n".encode("latin-1"))
    told = refused(
        cut_off,
        ["status"],
        "configuration file {path} is not UTF-8 text: byte {error} is not",
        ExitCode.CONFIG,
    )
    assert "byte 5 " in told


def test_broken_toml_is_told_with_its_line(cut_off: Installation) -> None:
    cut_off.config_file.write_text("[source]\npath = app.db\n")
    told = refused(cut_off, ["status"], "configuration file {path} is not valid TOML: {error}", ExitCode.CONFIG)
    assert "line 2" in told


# --- keys and values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "meant"),
    [
        ("[sorce]", "`sorce` at the top level", "source"),
        ('[target]\ndsn = "embedded"\nshcema = "x"', "`shcema` in [target]", "schema"),
        ("[tables.t]\nskp = []", "`skp` in [tables.t]", "skip"),
        ('[tables.t.columns.v]\ntyp = "text"', "`typ` in [tables.t.columns.v]", "type"),
    ],
)
def test_an_unknown_key_is_told_with_its_place_and_the_nearest_known_one(
    cut_off: Installation, text: str, place: str, meant: str
) -> None:
    cut_off.configure(text)
    assert place in refused(cut_off, ["status"], "{file}: unknown key `{key}` {where}", ExitCode.CONFIG)
    assert f"did you mean `{meant}`?" in cut_off.run("status")[2]


def test_a_missing_section_and_a_missing_key(cut_off: Installation) -> None:
    cut_off.config_file.write_text("[source]\npath = 'app.db'\n")
    told = refused(cut_off, ["status"], "{file}: `{key}` is missing {where}", ExitCode.CONFIG)
    assert told.endswith("`target` is missing at the top level")
    cut_off.config_file.write_text("[source]\n[target]\ndsn = 'embedded'\n")
    told = refused(cut_off, ["status"], "{file}: `{key}` is missing {where}", ExitCode.CONFIG)
    assert told.endswith("`path` is missing in [source]")


@pytest.mark.parametrize("text", ["tables = 5", "[tables]\nt = 5", "[tables.t.columns]\nv = 'text'"])
def test_a_value_in_place_of_a_section(cut_off: Installation, text: str) -> None:
    cut_off.config_file.write_text(f"{text}\n{cut_off.config_file.read_text()}")
    refused(cut_off, ["status"], "{file}: `{place}` must be a section", ExitCode.CONFIG)


@pytest.mark.parametrize(
    "value",
    [
        *["poll_seconds = 'fast'", "poll_seconds = 0", "poll_seconds = nan", "poll_seconds = inf"],
        *["round_entries = 1.5", "round_entries = true", "round_entries = 99999999999999999999", "prune_seconds = -1"],
        *["tables = 'a'", "tables = [1]"],
    ],
)
def test_a_value_of_a_wrong_kind_or_without_sense(cut_off: Installation, value: str) -> None:
    cut_off.configure(f"[replicate]\n{value}")
    told = refused(cut_off, ["status"], "{file}: `{key}` in [{section}] must be {words}", ExitCode.CONFIG)
    assert f"`{value.split(maxsplit=1)[0]}` in [replicate]" in told


@pytest.mark.parametrize(
    ("section", "wrong"),
    [("replicate", "poll_seconds = 0"), ("replicate", "tables = 1"), ("state", "dir = 1"), ("tables.t", "key = 'x'")],
)
def test_what_the_remedy_says_for_a_wrong_value_can_be_written(cut_off: Installation, section: str, wrong: str) -> None:
    cut_off.configure(f"[{section}]\n{wrong}")
    code, _, err = cut_off.run("plan")
    assert code == ExitCode.CONFIG
    cut_off.configure(f"[{section}]\n{err.split('`')[-2]}")
    assert cut_off.run("plan")[2].count("cdc.toml") == 0


@pytest.mark.parametrize("schema", ["", "cdc", "pg_catalog"])
def test_a_schema_that_is_not_ours_to_fill(cut_off: Installation, schema: str) -> None:
    cut_off.configure(f"[target]\ndsn = 'embedded'\nschema = '{schema}'")
    refused(cut_off, ["status"], "{file}: `schema` in [target] cannot be `{schema}`", ExitCode.CONFIG)


def test_a_path_that_is_empty(cut_off: Installation) -> None:
    cut_off.configure("[source]\npath = ''")
    refused(cut_off, ["status"], "{file}: `{key}` in [{section}] must be {words}", ExitCode.CONFIG)
