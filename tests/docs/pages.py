"""The pages as tests see them: their code blocks, their links, and the calls of `cdc` that a shell text holds."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(found.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "examples/*/*.md", "benchmarks/*.md")
    for found in ROOT.glob(pattern)
)

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_BETWEEN_COMMANDS = {"&&", "||", "|", "|&", ";", "(", ")", "&"}
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
        for words in _commands(line):
            if found := next((i for i, word in enumerate(words) if word == "cdc" or word.endswith("/bin/cdc")), None):
                if not _reaches(words[:found]):
                    continue
            elif found is None:
                continue
            yield words[found + 1 :]


def _reaches(before: list[str]) -> bool:
    """Whether words before `cdc` run it, as `sudo -u bot` does, and are not a command of which it is an argument."""
    return before[0] in {"sudo", "runuser", "env", "exec", "time"} or all("=" in word for word in before)


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
        elif redirected:
            redirected = False
        else:
            words.append(token)
    yield words
