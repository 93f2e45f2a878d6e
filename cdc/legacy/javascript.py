"""JavaScript, TypeScript and JSON by their tokens: strings are told from comments, and calls from messages."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from cdc.legacy.commands import in_command, in_setting, in_shell, package_of
from cdc.legacy.names import SQLITE_ADDRESS, LegacyNames, is_about_sqlite, is_engine
from cdc.legacy.remains import RemainKind, Trace
from cdc.legacy.shell import Word
from cdc.legacy.vocabulary import (
    BEFORE_PATTERN,
    JAVASCRIPT_DRIVERS,
    JAVASCRIPT_EXECUTES,
    JAVASCRIPT_IMPORTS,
    JAVASCRIPT_SAYS,
)

_TOKEN: Final = re.compile(
    r"""(?P<skip>//[^\n]*|/\*.*?(?:\*/|\Z)|\s+)
      | "(?P<double>(?:\\.|[^"\\\n])*)"? | '(?P<single>(?:\\.|[^'\\\n])*)'?
      | `(?P<template>(?:\\.|[^`\\])*)`?
      | (?P<regex>/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*)
      | (?P<name>[A-Za-z_$][\w$]*) | (?P<number>\d[\w.]*) | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)
_STRINGS: Final = frozenset({"double", "single", "template"})
# Behind these a slash begins a pattern; behind a name, a number or a closing bracket it divides.
_VALUE_ENDS: Final = re.compile(r"[\w$)\]}\"'`]$")


class ScriptToken(NamedTuple):
    """A string without its quotes, a name, or a mark; and its line."""

    kind: str
    text: str
    line: int


def tokens(text: str) -> list[ScriptToken]:
    """The tokens of a source, without comments."""
    found: list[ScriptToken] = []
    at, line = 0, 1
    while at < len(text):
        token = _TOKEN.match(text, at)
        assert token is not None, "the last alternative takes any character"
        kind = token.lastgroup or ""
        if kind == "regex" and found and _divides(found[-1]):
            kind, end = "mark", at + 1
        else:
            end = token.end()
        if kind != "skip":
            found.append(ScriptToken(kind, token[kind] if kind in _STRINGS else text[at:end], line))
        line += text.count("\n", at, end)
        at = end
    return found


def in_javascript(text: str, wanted: LegacyNames) -> Iterator[Trace]:
    """Traces in a source of JavaScript or TypeScript."""
    found = tokens(text)
    for at, token in enumerate(found):
        if token.kind in _STRINGS:
            yield from _in_string(found, at, wanted)
        elif token.kind == "name" and (token.text in wanted.flags or is_about_sqlite(token.text)):
            yield from _asked(found, at, wanted)


def in_json(text: str, wanted: LegacyNames, *, commands: bool = False) -> Iterator[Trace]:
    """Traces in a JSON document; `commands` says that its texts are what npm runs, and its keys packages."""
    found = tokens(text)
    for at, token in enumerate(found):
        if token.kind not in _STRINGS or _mark(found, at + 1) == ":":
            continue
        key = found[at - 2].text if _mark(found, at - 1) == ":" and at > 1 else ""
        if package := package_of(key) if commands else "":
            yield Trace(token.line, RemainKind.PACKAGE, package)
            continue
        yield from in_setting(key, token.text, wanted, token.line)
        if commands and key:
            yield from in_shell(token.text, wanted, token.line)


def _divides(before: ScriptToken) -> bool:
    return before.text not in BEFORE_PATTERN and (before.kind in _STRINGS or bool(_VALUE_ENDS.search(before.text)))


def _in_string(found: Sequence[ScriptToken], at: int, wanted: LegacyNames) -> Iterator[Trace]:
    _, text, line = found[at]
    text = re.sub(r"\$\{[^}]*\}", "{}", text)
    called = _called(found, at)
    if called in JAVASCRIPT_SAYS:
        return
    if called in JAVASCRIPT_IMPORTS and (found_module := _module(text, wanted)):
        yield Trace(line, *found_module)
    elif SQLITE_ADDRESS.match(text.strip()) or is_engine(_key(found, at), text):
        yield Trace(line, RemainKind.ADDRESS, text if len(text) < 20 else text.partition(":")[0] + ":")
    elif text in wanted.flags:
        yield Trace(line, RemainKind.FLAG, text)
    elif flag := wanted.flag_file_in(text):
        yield Trace(line, RemainKind.FLAG, flag)
    elif called in JAVASCRIPT_EXECUTES:
        yield from in_command([Word("exec", line), *_arguments(found, at, text)], wanted)
        yield from in_shell(text, wanted, line)
    elif len(text.split()) > 1:
        yield from in_shell(text, wanted, line, certain=False)
    elif script := wanted.script_in(text):
        yield Trace(line, RemainKind.CALL, script)
    elif database := wanted.database_in(text):
        yield Trace(line, RemainKind.DATABASE_NAME, database)


def _module(text: str, wanted: LegacyNames) -> tuple[RemainKind, str] | None:
    if text in JAVASCRIPT_DRIVERS:
        return RemainKind.CODE, text
    last = text.rpartition("/")[2]
    for script in wanted.scripts:
        if text.startswith(".") and last == script.rpartition(".")[0] and not script.endswith(".py"):
            return RemainKind.CALL, script
    return None


def _asked(found: Sequence[ScriptToken], at: int, wanted: LegacyNames) -> Iterator[Trace]:
    """A variable of the environment: `process.env.X`, or `{ X } = process.env`."""
    name, line = found[at].text, found[at].line
    dotted = _mark(found, at - 1) == "." and found[at - 2].text == "env"
    after = [token.text for token in found[at : at + 40]]
    taken = any(after[n : n + 3] == ["=", "process", "."] for n in range(len(after))) and after.index("=") > 0
    if not dotted and not (taken and "}" in after[: after.index("=")]):
        return
    if name in wanted.flags:
        yield Trace(line, RemainKind.FLAG, name)
    elif is_about_sqlite(name):
        yield Trace(line, RemainKind.ADDRESS, name)


def _called(found: Sequence[ScriptToken], at: int) -> str:
    """The function that a string is an argument of, within a list too; or `from` and `import` before it."""
    for back in range(at - 1, max(at - 24, -1), -1):
        token = found[back]
        if token.kind == "name" and token.text in {"from", "import"} and back == at - 1:
            return token.text
        if token.text == "(" and back > 0:
            return found[back - 1].text
        if token.text in {";", "{", "}", ")", "=", "=>"}:
            return ""
    return ""


def _key(found: Sequence[ScriptToken], at: int) -> str:
    return found[at - 2].text if at > 1 and found[at - 1].text in {":", "="} else ""


def _mark(found: Sequence[ScriptToken], at: int) -> str:
    return found[at].text if 0 <= at < len(found) and found[at].kind == "mark" else ""


def _arguments(found: Sequence[ScriptToken], at: int, text: str) -> list[Word]:
    """A string together with the one before it, so that `"-m", "module"` is seen."""
    before = found[at - 2] if at > 1 and found[at - 1].text == "," and found[at - 2].kind in _STRINGS else None
    words = [Word(before.text, before.line)] if before and before.text == "-m" else []
    return [*words, Word(text, found[at].line)]
