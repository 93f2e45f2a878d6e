"""The reference pages are made from the program, and are current; what they name exists."""

import re
from pathlib import Path

import click
import generate
import pytest

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


def test_the_page_of_the_command_line_is_current() -> None:
    assert page("docs/cli.md") == generate.cli_page(), "run `make docs`"


def test_the_page_of_the_configuration_is_current() -> None:
    assert page("docs/configuration.md") == generate.configuration_page(), "run `make docs`"


def test_the_page_of_errors_is_current() -> None:
    assert page("docs/errors.md") == generate.errors_page(), "run `make docs`"


def test_the_actions_on_the_page_of_the_audit_trail_are_current() -> None:
    assert page("docs/audit.md") == generate.audit_page(), "run `make docs`"


def test_the_list_of_metrics_is_current() -> None:
    assert page("docs/metrics.md") == generate.metrics_page(), "run `make docs`"


def test_the_promises_on_the_page_of_types_are_current() -> None:
    assert page("docs/types.md") == generate.types_page(), "run `make docs`"


def test_the_alerts_ask_only_for_metrics_that_there_are() -> None:
    alerts = page("docs/metrics.md").partition("```yaml")[2]
    asked = set(re.findall(r"\bcdc_[a-z_]+", alerts))
    assert asked <= {metric.name for metric in CATALOGUE}
    assert len(asked) > 5


def test_every_command_and_option_is_on_its_page() -> None:
    text = page("docs/cli.md")
    for path, command in generate.walk(cli):
        assert f"## `{path}`" in text
        for option in command.params:
            assert not isinstance(option, click.Option) or option.opts[-1] in text


def test_every_option_says_what_it_means() -> None:
    for path, command in generate.walk(cli):
        assert command.help, path
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, f"{path} {option.name}"


def test_every_key_of_the_configuration_is_explained_and_no_other() -> None:
    keys = {
        f"{generate.key_prefix(heading)}.{name}"
        for heading, struct in generate.SECTIONS
        for name in struct.__struct_fields__
        if f"{generate.key_prefix(heading)}.{name}" not in generate.OWN_SECTIONS
    }
    assert keys == set(generate.KEYS)


@pytest.mark.parametrize("name", [*PAGES, "systemd/cdc.service"])
def test_every_command_that_a_page_names_exists(name: str) -> None:
    known = {path for path, _ in generate.walk(cli)} | {"cdc quarantine", "cdc COMMAND"}
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
