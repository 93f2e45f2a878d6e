"""The configuration file: what it may hold, and what its reader is told when it holds something else."""

from pathlib import Path
from typing import get_args, get_origin

import msgspec
import pytest

from cdc.config import (
    KINDS,
    CheckSection,
    Config,
    Expectation,
    ExpectedDifference,
    FlagSection,
    PagedList,
    ProxyRate,
    ReferenceOptions,
    ShadowRule,
    config_path,
    decode_config,
    load_config,
    plain_type,
)
from cdc.errors import ConfigError, ExitCode

SMALLEST = '[source]\npath = "app.db"\n[target]\ndsn = "embedded"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "cdc.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refused(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(written(folder, text))
    assert caught.value.exit_code is ExitCode.CONFIG
    assert caught.value.remedy
    return caught.value


def test_source_and_target_are_enough(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, SMALLEST))
    assert config.source.path == tmp_path / "app.db"
    assert config.target.embedded
    assert config.target.schema == "public"
    assert config.state.dir == tmp_path / ".cdc"


def test_relative_paths_are_relative_to_the_file_and_absolute_ones_stay(tmp_path: Path) -> None:
    text = f'{SMALLEST}password_file = "secret"\n[state]\ndir = "/var/lib/cdc"\n'
    config = load_config(written(tmp_path, text))
    assert config.target.password_file == tmp_path / "secret"
    assert config.state.dir == Path("/var/lib/cdc")


def test_paths_of_flags_and_checks_are_relative_to_the_file_too(tmp_path: Path) -> None:
    env = 'kind = "env"\npath = "app.env"\nswitch = "reads"\nsqlite = { A = "1" }\npostgres = { A = "2" }\n'
    http = 'kind = "http"\nurl = "http://a"\nswitch = "both"\nsqlite = ""\npostgres = ""\nheaders_file = "secret"\n'
    check = '[[cutover.checks]]\nname = "a"\nurl = "http://a"\nheaders_file = "/etc/secret"\n'
    flags = "".join(f"[[cutover.flags]]\n{kind}" for kind in ('kind = "file"\npath = "f.json"\n', env, http))
    section = load_config(written(tmp_path, SMALLEST + flags + check)).cutover
    paths = [getattr(flag, "path", None) or getattr(flag, "headers_file", None) for flag in section.flags]
    assert paths == [tmp_path / "f.json", tmp_path / "app.env", tmp_path / "secret"]
    assert section.checks[0].headers_file == Path("/etc/secret")


def test_a_missing_file_names_the_way_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist") as caught:
        load_config(tmp_path / "cdc.toml")
    assert "cdc init" in caught.value.remedy


def test_a_folder_in_place_of_the_file_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    assert "line 1" in refused(tmp_path, "[source\n").message


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    error = refused(tmp_path, SMALLEST.replace("dsn", 'shcema = "x"\ndsn'))
    assert "`shcema` in [target]" in error.message
    assert error.remedy.startswith("did you mean `schema`? ")


def test_an_unknown_key_without_a_neighbour_lists_what_is_known(tmp_path: Path) -> None:
    error = refused(tmp_path, SMALLEST + "[state]\nxyz = 1\n")
    assert error.remedy == "correct or remove it; what may stand there: dir, audit_megabytes"


def test_an_unknown_key_of_a_column_is_told_from_one_of_a_table(tmp_path: Path) -> None:
    error = refused(tmp_path, SMALLEST + '[tables.t.columns.c]\nexpresion = "1"\n')
    assert "expression" in error.remedy
    assert "[tables.t.columns.c]" in error.message
    assert "skip" in refused(tmp_path, SMALLEST + '[tables.t]\nskp = ["c"]\n').remedy


@pytest.mark.parametrize("section", ["source", "target"])
def test_a_missing_section_is_named(tmp_path: Path, section: str) -> None:
    text = SMALLEST.replace(f"[{section}]", "[replicate]" if section == "source" else "[snapshot]")
    refused(tmp_path, text)
    with pytest.raises(ConfigError, match="`source` is missing"):
        decode_config({})


@pytest.mark.parametrize(
    ("key", "value"),
    [("poll_seconds", "0"), ("round_entries", "-1"), ("round_bytes", "0"), ("heartbeat_seconds", "-0.5")],
)
def test_a_tunable_that_would_stop_the_loop_is_refused(tmp_path: Path, key: str, value: str) -> None:
    assert key in refused(tmp_path, f"{SMALLEST}[replicate]\n{key} = {value}\n").message


@pytest.mark.parametrize("text", ['tables = "*"', "poll_seconds = 'fast'", "round_entries = 1.5"])
def test_a_wrong_type_is_refused_and_its_place_named(tmp_path: Path, text: str) -> None:
    assert text.partition(" ")[0] in refused(tmp_path, f"{SMALLEST}[replicate]\n{text}\n").message


@pytest.mark.parametrize("schema", ["", "cdc", "pg_catalog"])
def test_a_schema_that_is_not_ours_to_fill_is_refused(tmp_path: Path, schema: str) -> None:
    assert f"cannot be `{schema}`" in refused(tmp_path, f'{SMALLEST}schema = "{schema}"\n').message


def test_tables_are_chosen_by_patterns_without_regard_to_case(tmp_path: Path) -> None:
    text = SMALLEST + '[replicate]\ntables = ["Content*", "users"]\nexclude = ["*_TMP"]\n'
    replicate = load_config(written(tmp_path, text)).replicate
    assert replicate.wants("content_tags")
    assert replicate.wants("USERS")
    assert not replicate.wants("content_tmp")
    assert not replicate.wants("other")


def test_options_of_a_table_are_found_without_regard_to_case(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, SMALLEST + '[tables.Content]\ntarget = "c"\n'))
    assert config.options("CONTENT").target == "c"
    assert config.options("other").target is None


LISTED = (
    list[CheckSection],
    list[Expectation],
    list[ExpectedDifference],
    list[PagedList],
    list[ReferenceOptions],
    list[ProxyRate],
    list[ShadowRule],
)  # sections that may stand there several times


def test_every_type_of_a_key_can_be_told_in_words() -> None:
    waiting: list[type[msgspec.Struct]] = [Config]
    for struct in waiting:
        for field in msgspec.structs.fields(struct):
            kind = plain_type(field.type)
            inner = get_args(kind)[-1] if (get_origin(kind) is dict and kind not in KINDS) or kind in LISTED else kind
            if kind == list[FlagSection]:
                waiting += get_args(FlagSection)
            elif isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                waiting.append(inner)
            else:
                assert inner in KINDS, f"{struct.__name__}.{field.name}"


def test_the_file_is_the_given_one_then_the_variable_then_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_path(None) == Path("cdc.toml")
    monkeypatch.setenv("CDC_CONFIG", "/etc/cdc/cdc.toml")
    assert config_path(None) == Path("/etc/cdc/cdc.toml")
    assert config_path(Path("own.toml")) == Path("own.toml")


def test_the_configuration_cannot_be_changed_by_those_who_read_it(tmp_path: Path) -> None:
    config: Config = load_config(written(tmp_path, SMALLEST))
    with pytest.raises(AttributeError):
        config.target.schema = "other"  # type: ignore[misc]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Editors on Windows begin a file with one."""
    file = tmp_path / "cdc.toml"
    file.write_text(SMALLEST, encoding="utf-8-sig")
    assert load_config(file).target.embedded
