"""What pages tell the reader to type, write and click is there: commands, configurations, SQL, links."""

import re
import subprocess
import tomllib
from urllib.parse import unquote

import click
import pytest
from pages import PAGES, ROOT, Fence, Parse, calls, fences, fences_of, only_parsing, page, typed

from cdc.cli.main import cli
from cdc.config import decode_config

SHELL = fences("sh", "console", "bash")
TOML = fences("toml")
# A configuration needs both; an excerpt on a page may leave one out.
REQUIRED = {"source": {"path": "app.db"}, "target": {"dsn": "embedded"}}


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Parse:
    return only_parsing(monkeypatch)


def place(fence: Fence) -> str:
    return f"{fence.page}:{fence.line}"


def test_there_is_something_to_check() -> None:
    assert len(SHELL) > 20
    assert len(TOML) > 1
    assert {"README.md", "CONTRIBUTING.md", "docs/README.md", "docs/installation.md", "docs/runbook.md"} <= set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_every_code_block_says_what_it_is_in(name: str) -> None:
    assert len(re.findall(r"^ *```", page(name), re.MULTILINE)) == 2 * len(list(fences_of(name)))
    for line in re.sub(r"^```.*?^```$", "", page(name), flags=re.MULTILINE | re.DOTALL).splitlines():
        assert not re.match(r" {4,}(\$|cdc|sudo|make|pip|systemctl) ", line), f"{name}: {line} stands in no block"


@pytest.mark.parametrize("fence", SHELL, ids=place)
def test_a_shell_understands_what_is_typed(fence: Fence) -> None:
    done = subprocess.run(["bash", "-n"], input=typed(fence), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), typed(fence)


@pytest.mark.parametrize("fence", SHELL, ids=place)
def test_the_command_line_understands_what_is_typed(fence: Fence, parse: Parse) -> None:
    for words in calls(typed(fence)):
        assert parse(words) == 0, f"cdc {' '.join(words)}"


@pytest.mark.parametrize("name", PAGES)
def test_commands_and_options_in_running_text_exist(name: str) -> None:
    text = re.sub(r"^ *```.*?^ *```$", "", page(name), flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`\n]+)`", text):
        for words in calls(code) if re.match(r"(\S+ && |sudo -u \S+ )?cdc( |$)", code) else ():
            assert not (wrong := unknown(words)), f"{name}: `{code}`: {wrong}"


def unknown(words: list[str]) -> str | None:
    """The first word that the command line does not have; words in capitals stand for something of the reader's."""
    command: click.Command = cli
    options = own_options(cli)
    for word in words:
        if word.startswith("-"):
            if word.partition("=")[0] not in options:
                return word
        elif isinstance(command, click.Group) and not word.isupper() and "/" not in word and "." not in word:
            found = command.get_command(click.Context(command), word)
            if found is None:
                return word
            command, options = found, own_options(found)
    return None


def own_options(command: click.Command) -> set[str]:
    found = command.get_params(click.Context(command, help_option_names=["-h", "--help"]))
    return {name for option in found for name in (*option.opts, *option.secondary_opts)}


def test_an_unknown_command_or_option_would_be_noticed() -> None:
    told = [unknown(next(iter(calls(f"cdc {text}")))) for text in ("statsu", "status --sideways", "quarantine lst")]
    assert told == ["statsu", "--sideways", "lst"]
    assert unknown(["-c", "FILE", "quarantine", "list", "--table", "NAME", "--json"]) is None


@pytest.mark.parametrize("fence", TOML, ids=place)
def test_a_configuration_can_be_loaded(fence: Fence) -> None:
    written = tomllib.loads(fence.text)
    decode_config({name: {**REQUIRED.get(name, {}), **written.get(name, {})} for name in {*REQUIRED, *written}})


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings_that_exist(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page(name)):
        if "://" in target:
            continue
        file, _, anchor = unquote(target).partition("#")
        found = (ROOT / name).parent / file if file else ROOT / name
        assert found.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors(found.read_text(encoding="utf-8")), f"{name} links to {target}"


def anchors(text: str) -> set[str]:
    """Where a link into a page can lead: each heading, spelt as the usual viewers of Markdown spell it."""
    plain = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_first() -> None:
    seen: set[str] = set()
    waiting = ["README.md"]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for target in re.findall(r"\]\(([^)\s#]+\.md)(?:#[^)]*)?\)", page(name)):
            if "://" not in target:
                found = str(((ROOT / name).parent / target).resolve().relative_to(ROOT))
                waiting += [found] if found not in seen else []
    assert set(PAGES) <= seen


def test_a_call_is_found_however_it_is_written() -> None:
    text = "sudo -u bot cdc -c x.toml status | grep lag\ncd /x && /opt/cdc/.venv/bin/cdc run > log 2>&1; ls cdc\n"
    assert list(calls(text)) == [["-c", "x.toml", "status"], ["run"]]
    assert list(calls('eval "$(cdc completion bash)"')) == [["completion", "bash"]]
