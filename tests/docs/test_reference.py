"""The reference pages are made from the program, and are current; what they name exists."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import click
import pytest

from cdc.cli.entry import cli

ROOT = Path(__file__).parents[2]
GUIDES = ("docs/concepts.md", "docs/runbook.md", "examples/ytv2/README.md")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_page_of_the_command_line_is_current(generate: ModuleType) -> None:
    assert page("docs/cli.md") == generate.cli_page(), "run `make docs`"


def test_the_page_of_the_configuration_is_current(generate: ModuleType) -> None:
    assert page("docs/configuration.md") == generate.configuration_page(), "run `make docs`"


def test_every_command_and_option_is_on_its_page(generate: ModuleType) -> None:
    text = page("docs/cli.md")
    for path, command in generate.walk(cli):
        assert f"## `{path}`" in text
        for option in command.params:
            assert not isinstance(option, click.Option) or option.opts[-1] in text


def test_every_option_says_what_it_means(generate: ModuleType) -> None:
    for path, command in generate.walk(cli):
        assert command.help, path
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, f"{path} {option.name}"


def test_every_key_of_the_configuration_is_explained_and_no_other(generate: ModuleType) -> None:
    keys = {
        f"{heading.strip('[]')}.{name}"
        for heading, struct in generate.SECTIONS
        for name in struct.__struct_fields__
        if f"{heading.strip('[]')}.{name}" != "tables.NAME.columns"
    }
    assert keys == set(generate.KEYS)


@pytest.mark.parametrize("name", ["README.md", "docs/cli.md", "docs/configuration.md", "systemd/cdc.service", *GUIDES])
def test_every_command_that_a_page_names_exists(generate: ModuleType, name: str) -> None:
    known = {path for path, _ in generate.walk(cli)} | {"cdc quarantine", "cdc COMMAND"}
    words = {w for path in known for w in [path.split()[1]]}
    for found in re.finditer(r"`(?:[^`]*&& )?cdc (?:-c \S+ )?([a-zA-Z]+)", page(name)):
        assert found[1] in words, f"{name} names `cdc {found[1]}`"


def test_every_target_of_make_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE))
    for found in re.finditer(r"`make ([a-z]+)`", page("README.md") + page(".ci/run")):
        assert found[1] in targets


def test_pages_link_only_to_files_that_exist() -> None:
    for name in ("README.md", "docs/cli.md", "docs/configuration.md", *GUIDES):
        for target in re.findall(r"\]\(([^)#:]+)\)", page(name)):
            assert ((ROOT / name).parent / target).exists(), f"{name} links to {target}"
