"""What a command line, or a setting, has to do with the old way: one judgement for every kind of file that has some."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

from cdc.legacy import shell
from cdc.legacy.names import SQLITE_ADDRESS, LegacyNames, is_about_sqlite, is_engine
from cdc.legacy.remains import RemainKind, Trace
from cdc.legacy.shell import ShellCommand, Word
from cdc.legacy.vocabulary import (
    BEFORE_PROGRAM,
    COPIES,
    ENGLISH,
    INSTALL_WORDS,
    INSTALLS,
    PACKAGES,
    PYTHON_DRIVERS,
    RUNS_OTHERS,
    SAYS,
    SQLITE_PROGRAMS,
    STARTS_NOTHING,
)

_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$\{?([A-Za-z_]\w*)")
_PYTHON_IMPORT: Final = re.compile(r"(?<![\w.])(?:import|from)[ \t]+([\w.]+)")


def in_shell(text: str, wanted: LegacyNames, line: int = 1, *, certain: bool = True) -> Iterator[Trace]:
    """Traces in a text of shell commands whose first line has this number.

    When it is not `certain` that a text is a command, it has to begin like one.
    """
    if not wanted.may_be_in(text):
        return
    found = shell.commands(text, line)
    certain = certain or (bool(found) and _begins_like_a_command(found[0].words, wanted))
    for command in found:
        yield from _in_shell_command(command, wanted, certain=certain)
    if not certain and (address := re.search(r"\bsqlite[\w+]*://", text)):
        yield Trace(line + text.count("\n", 0, address.start()), RemainKind.ADDRESS, address[0])


def in_command(words: Sequence[Word], wanted: LegacyNames, *, certain: bool = True) -> Iterator[Trace]:
    """Traces in one command that is already split into words."""
    return _in_shell_command(ShellCommand(list(words)), wanted, certain=certain)


def in_setting(key: str, value: str, wanted: LegacyNames, line: int) -> Iterator[Trace]:
    """Traces in a key and its value; an element of a list has an empty key."""
    if key in wanted.flags:
        yield Trace(line, RemainKind.FLAG_SET, key)
    if address := SQLITE_ADDRESS.search(value):
        yield Trace(line, RemainKind.ADDRESS, key or address[0])
    elif value and is_about_sqlite(key):
        yield Trace(line, RemainKind.ADDRESS, key)
    elif is_engine(key, value):
        yield Trace(line, RemainKind.ADDRESS, value)
    elif database := wanted.database_in(value):
        yield Trace(line, RemainKind.DATABASE_NAME, database)
    if script := wanted.script_of_object(value) if ":" in value else "":
        yield Trace(line, RemainKind.CALL, script)
    elif script := wanted.script_in(value):
        if re.search(r"\s", value.strip()):
            yield from in_shell(value, wanted, line, certain=False)
        else:
            yield Trace(line, RemainKind.CALL, script)
    elif flag := wanted.flag_file_in(value):
        yield Trace(line, RemainKind.FLAG, flag)


def package_of(requirement: str) -> str:
    """The package of SQLite that a requirement such as `aiosqlite>=0.19` asks for, empty when it is another one."""
    name = re.match(r"[@\w][\w./@-]*", requirement.strip().strip("\"'"))
    plain = name[0] if name else ""
    return plain if plain in PACKAGES or plain.replace("-", "_").lower() in PYTHON_DRIVERS else ""


def _in_shell_command(command: ShellCommand, wanted: LegacyNames, *, certain: bool) -> Iterator[Trace]:
    program = _program(command.words)
    if program in SAYS and _is_only_said(command):
        return
    if certain:
        yield from _scripts(command.words, program, wanted)
        yield from _databases(command.words, program, wanted)
        yield from _sqlite(command.words, program)
        yield from _variables(command.words, wanted)
    if command.body and (program not in {"cat", "tee"} or command.writes or command.end == "|"):
        yield from in_shell(command.body, wanted, command.body_line)


def _program(words: Sequence[Word]) -> str:
    """The name of the program that is run, behind keywords, variables and programs that only start another."""
    behind = ""
    for word in words:
        text = word.text.lstrip("@-+!") if word is words[0] else word.text
        name = PurePosixPath(text).name
        if name in BEFORE_PROGRAM:
            behind = name
        elif not (_ASSIGNMENT.match(text) or (behind and text.startswith("-"))):
            return name
    return ""


def _is_only_said(command: ShellCommand) -> bool:
    target = command.writes
    return command.end != "|" and (not target or "log" in target or target.startswith("/dev/"))


def _begins_like_a_command(words: Sequence[Word], wanted: LegacyNames) -> bool:
    program = _program(words)
    at = next((n for n, word in enumerate(words) if PurePosixPath(word.text).name == program), 0)
    if re.fullmatch(r"(?:python|pypy)[\d.]*", program) or wanted.script_at(words[at].text):
        return True
    if program in ENGLISH | COPIES | SQLITE_PROGRAMS:
        return len(words) > at + 1 and bool(re.match(r"[-./~$]|\{\}|\S+[./:]\S", words[at + 1].text))
    if program in RUNS_OTHERS:
        return True
    return words[at].text.startswith(("/", "./", "~/", "{}", "$"))


def _scripts(words: Sequence[Word], program: str, wanted: LegacyNames) -> Iterator[Trace]:
    if program in STARTS_NOTHING - SAYS:
        return
    for number, word in enumerate(words):
        after_m = number > 0 and words[number - 1].text == "-m"
        if script := wanted.script_of_module(word.text) if after_m else "":
            yield Trace(word.line, RemainKind.CALL, script)
        elif re.search(r"\s", word.text.strip()):
            yield from in_shell(word.text, wanted, word.line, certain=program in RUNS_OTHERS | SAYS)
        elif script := wanted.script_in(word.text) or _served(word.text, wanted):
            yield Trace(word.line, RemainKind.CALL, script)
        if number and words[number - 1].text == "-c":
            yield from _imports(word.text, word.line, wanted)
        elif number == 1 and words[0].text in {"import", "from"}:  # Python in a here-document
            yield from _imports(f"import {word.text}", word.line, wanted)


def _served(word: str, wanted: LegacyNames) -> str:
    """The script of `module:object`, as servers and workers are given it."""
    return wanted.script_of_object(word) if ":" in word else ""


def _imports(code: str, line: int, wanted: LegacyNames) -> Iterator[Trace]:
    """Imports in a line of Python that stands within something else."""
    for found in _PYTHON_IMPORT.finditer(code):
        if found[1].partition(".")[0] in PYTHON_DRIVERS:
            yield Trace(line, RemainKind.CODE, found[1])
        elif script := wanted.script_of_module(found[1]):
            yield Trace(line, RemainKind.CALL, script)


def _databases(words: Sequence[Word], program: str, wanted: LegacyNames) -> Iterator[Trace]:
    kind = RemainKind.COPY if program in COPIES else RemainKind.DATABASE_NAME
    for word in words:
        if database := wanted.database_in(word.text):
            yield Trace(word.line, kind, database)


def _sqlite(words: Sequence[Word], program: str) -> Iterator[Trace]:
    names = [(PurePosixPath(word.text).name, word.line) for word in words]
    installs = program in INSTALLS and any(name in INSTALL_WORDS for name, _ in names)
    for name, line in names:
        if installs and (package := package_of(name)):
            yield Trace(line, RemainKind.PACKAGE, package)
        elif name in SQLITE_PROGRAMS and not installs and (name == program or program in RUNS_OTHERS):
            yield Trace(line, RemainKind.CODE, name)


def _variables(words: Sequence[Word], wanted: LegacyNames) -> Iterator[Trace]:
    """Variables that are set, or asked for, and addresses."""
    for number, word in enumerate(words):
        assignment = _ASSIGNMENT.fullmatch(word.text)
        if assignment:
            yield from in_setting(assignment[1], assignment[2], wanted, word.line)
        elif address := SQLITE_ADDRESS.search(word.text):
            yield Trace(word.line, RemainKind.ADDRESS, address[0])
        elif word.text in wanted.flags and number and words[number - 1].text in {"export", "-e", "--env"}:
            yield Trace(word.line, RemainKind.FLAG_SET, word.text)
        for variable in _VARIABLE.findall(word.text):
            if variable in wanted.flags:
                yield Trace(word.line, RemainKind.FLAG, variable)
            elif is_about_sqlite(variable):
                yield Trace(word.line, RemainKind.ADDRESS, variable)
