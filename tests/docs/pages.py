"""The pages as tests see them: their code blocks, their links, and the calls of `cdc` that a shell text holds."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from cdc.cli import main
from cdc.cli.main import cli

Parse = Callable[[list[str]], int]  # what the exit code of a call would be if it did nothing

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(found.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "docs/recipes/*.md", "examples/*/*.md", "benchmarks/*.md")
    for found in ROOT.glob(pattern)
)

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_BETWEEN_COMMANDS = {"&&", "||", "|", "|&", ";", "(", ")", "&"}
_WRAPPERS = {"sudo", "runuser", "env", "exec", "time", "while", "do", "if", "then"}
_REDIRECTIONS = {">", ">>", "<", ">&"}


class Fence(NamedTuple):
    """A code block: its language, its text, and where it begins."""

    page: str
    line: int
    language: str
    text: str


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def fences(*languages: str) -> list[Fence]:
    """Every code block of these languages, on every page."""
    return [fence for name in PAGES for fence in fences_of(name) if fence.language in languages]


def fences_of(name: str) -> Iterator[Fence]:
    text = page(name)
    for found in _FENCE.finditer(text):
        inner = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        yield Fence(name, text.count("\n", 0, found.start()) + 1, found["language"], inner)


def typed(fence: Fence) -> str:
    """What a reader types: of a terminal excerpt the lines behind a prompt, otherwise everything."""
    if fence.language != "console":
        return fence.text
    return "\n".join(line[2:] for line in fence.text.splitlines() if line[:2] in {"$ ", "# "})


def calls(shell: str) -> Iterator[list[str]]:
    """The arguments of every call of `cdc` in a text for a shell, however it is reached."""
    text = shell.replace("\\\n", " ")
    for inner in re.findall(r"\$\(([^()]*)\)", text):
        yield from calls(inner)
    for line in re.sub(r"<<'?(\w+)'?\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL).splitlines():
        for words in map(_without_wrappers, _commands(line)):
            if words and (words[0] == "cdc" or words[0].endswith("/bin/cdc")):
                yield words[1:]


def _without_wrappers(words: list[str]) -> list[str]:
    """A command without what only says who runs it and with which environment, such as `sudo -u bot`."""
    while words and (words[0] in _WRAPPERS or re.match(r"\w+=", words[0])):
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[2:] if words[0] in {"-u", "-g"} else words[1:]
    return words


def _commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    redirected = False
    for token in lexer:
        if token in _BETWEEN_COMMANDS:
            yield words
            words = []
        elif token in _REDIRECTIONS:
            redirected = True
            if words and words[-1] in {"1", "2"}:
                words.pop()  # which stream it is, as in 2>&1
        elif redirected:
            redirected = False
        else:
            words.append(token)
    yield words


def commands(group: click.Group = cli, path: str = "cdc") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        own = f"{path} {name}"
        yield from commands(command, own) if isinstance(command, click.Group) else [(own, command)]
    yield path, group


def only_parsing(monkeypatch: pytest.MonkeyPatch) -> Parse:
    """The command line, whose commands do nothing: only whether it understands is asked."""
    for _, command in commands():
        if not isinstance(command, click.Group) or command.invoke_without_command:
            monkeypatch.setattr(command, "callback", lambda **_: None)
    return main
