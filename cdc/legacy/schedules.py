"""Tables of cron, Procfiles, Dockerfiles and Makefiles: lines that are commands, in a form of their own."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cdc.legacy import shell
from cdc.legacy.commands import in_command, in_setting, in_shell
from cdc.legacy.names import LegacyNames
from cdc.legacy.remains import RemainKind, Trace, as_schedule
from cdc.legacy.shell import Word

_ENTRY: Final = re.compile(r"\s*-?(?:@\w+|\S+(?:\s+\S+){4})\s+(.*)")
_VARIABLE: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*[\"']?(.*?)[\"']?\s*")
_USER: Final = re.compile(r"[a-z_][\w-]*\$?\s+(.*)", re.IGNORECASE)
_PROCESS: Final = re.compile(r"([\w-]+):\s*(.*)")
_IMAGE_COMMANDS: Final = frozenset({"CMD", "ENTRYPOINT"})


def in_crontab(text: str, wanted: LegacyNames, path: Path) -> Iterator[Trace]:
    """Traces in a user's table, or in one of the system, whose entries name a user."""
    of_system = path.parent.name.startswith("cron.") or path.parent.name == "etc"
    where = f"take the line out of {path.name}" if of_system else "take the line out, with `crontab -e`"
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("#"):
            continue
        if setting := _VARIABLE.fullmatch(line):
            yield from in_setting(setting[1], setting[2], wanted, number)
        elif entry := _ENTRY.fullmatch(line):
            with_user = _USER.fullmatch(entry[1]) if of_system else None
            yield from as_schedule(in_shell(with_user[1] if with_user else entry[1], wanted, number), where)


def in_procfile(text: str, wanted: LegacyNames) -> Iterator[Trace]:
    """Traces in a Procfile."""
    for number, line in enumerate(text.split("\n"), 1):
        if process := _PROCESS.fullmatch(line.strip()):
            stop = f"scale `{process[1]}` to zero, then take the line out"
            yield from as_schedule(in_shell(process[2], wanted, number), stop)


def in_dockerfile(text: str, wanted: LegacyNames) -> Iterator[Trace]:
    """Traces in the recipe of an image: what it copies, what it starts, what it needs."""
    for command in shell.commands(text):
        instruction, *words = command.words
        name = instruction.text.upper()
        if name in _IMAGE_COMMANDS:
            parts = [Word(part, w.line) for w in words for part in re.split(r"[\[\],\s]+", w.text) if part]
            yield from as_schedule(in_command(parts, wanted), "stop its containers; take it out and build anew")
        elif name in {"ENV", "ARG", "LABEL"}:
            yield from in_command(words, wanted)
        elif name == "VOLUME":
            yield from (Trace(w.line, RemainKind.MOUNT, found) for w in words if (found := wanted.database_in(w.text)))
        elif name in {"COPY", "ADD"}:
            yield from in_command([Word(name, instruction.line), *words], wanted)
        else:
            yield from in_command(words if name in {"RUN", "HEALTHCHECK"} else command.words, wanted)
        if command.body:
            yield from in_shell(command.body, wanted, command.body_line)


def in_makefile(text: str, wanted: LegacyNames) -> Iterator[Trace]:
    """Traces in recipes, variables and dependencies."""
    recipe: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("\t") or (recipe and recipe[-1].endswith("\\")):
            recipe.append(line.strip().lstrip("@-+") if not recipe or not recipe[-1].endswith("\\") else line.strip())
            continue
        yield from in_shell("\n".join(recipe), wanted, number - len(recipe))
        recipe = []
        if variable := re.fullmatch(r"\s*(?:export\s+)?(\w+)\s*[:?+]?=\s*([^#]*?)\s*(?:#.*)?", line):
            yield from in_setting(variable[1], variable[2], wanted, number)
        else:
            yield from in_shell(line, wanted, number)
    yield from in_shell("\n".join(recipe), wanted, len(text.split("\n")) - len(recipe) + 1)
