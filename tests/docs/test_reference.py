"""The reference pages are made from the program, and are current; what they name exists."""

import re
from pathlib import Path

import click
import generate
import pytest
from cli_reference import walk
from configuration_reference import keys_of

from cdc.cli.main import cli
from cdc.observe.metric_catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
REFERENCES = ("docs/cli.md", "docs/configuration.md", "docs/errors.md")
PAGES = (
    "README.md",
    *REFERENCES,
    "docs/audit.md",
    "docs/concepts.md",
    "docs/runbook.md",
    "docs/service.md",
    "examples/ytv2/README.md",
)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", generate.PAGES)
def test_what_is_written_from_the_program_is_current(name: str) -> None:
    assert page(f"docs/{name}") == generate.PAGES[name](), "run `make docs`"


def test_the_alerts_ask_only_for_metrics_that_there_are() -> None:
    alerts = page("docs/metrics.md").partition("```yaml")[2]
    asked = set(re.findall(r"\bcdc_[a-z_]+", alerts))
    assert asked <= {metric.name for metric in CATALOGUE}
    assert len(asked) > 5


def test_every_command_and_option_is_on_its_page() -> None:
    text = page("docs/cli.md")
    for path, command in walk(cli):
        assert f"## `{path}`" in text
        for option in command.params:
            assert not isinstance(option, click.Option) or option.opts[-1] in text


def test_every_option_says_what_it_means() -> None:
    for path, command in walk(cli):
        assert command.help, path
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, f"{path} {option.name}"


def test_every_key_of_the_configuration_is_explained_and_no_other() -> None:
    keys = {key for section in generate.SECTIONS for key in keys_of(section, generate.SECTIONS)}
    assert keys == set(generate.KEYS)


@pytest.mark.parametrize("name", [*PAGES, "systemd/cdc.service"])
def test_every_command_that_a_page_names_exists(name: str) -> None:
    known = {path for path, _ in walk(cli)} | {"cdc quarantine", "cdc COMMAND"}
    words = {w for path in known for w in [path.split()[1]]}
    for found in re.finditer(r"`(?:[^`]*&& )?cdc (?:-c \S+ )?([a-zA-Z]+)", page(name)):
        assert found[1] in words, f"{name} names `cdc {found[1]}`"


def test_every_target_of_make_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
    for found in re.finditer(r"`make ([a-z-]+)", page("README.md") + page(".ci/run") + page("docs/benchmarks.md")):
        assert found[1] in targets


def test_pages_link_only_to_files_that_exist() -> None:
    for name in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page(name)):
            assert ((ROOT / name).parent / target).exists(), f"{name} links to {target}"
