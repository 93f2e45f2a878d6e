"""Files of keys and values: ini, TOML, properties, environments, systemd units, supervisor; and lists of packages."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from cdc.legacy.commands import in_setting, in_shell, package_of
from cdc.legacy.names import LegacyNames
from cdc.legacy.plain import without_comment
from cdc.legacy.remains import RemainKind, Trace, as_schedule

_KEY: Final = re.compile(r"(?:export\s+)?([\w.\-@/\"']+)\s*[=:]\s*(.*)", re.DOTALL)
_STRING: Final = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_UNIT_COMMAND: Final = re.compile(r"Exec\w+")
_PROGRAM_KEY: Final = re.compile(r"command|cmd|exec\w*|run|script|shell|cron|program|daemonize2", re.IGNORECASE)


_ABOUT_ITSELF: Final = frozenset({"name", "keywords", "classifiers", "description"})


class Setting(NamedTuple):
    """A key and its value, with the section that they stand in; a line without a key has an empty one."""

    line: int
    section: str
    key: str
    value: str


def settings(text: str) -> Iterator[Setting]:
    """The settings of a file, without comments; a line that ends with a backslash goes on in the next one."""
    section, begun, held = "", 0, ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = held + raw.strip()
        begun = begun if held else number
        held = f"{line[:-1]} " if line.endswith("\\") else ""
        if held or not line or line[0] in "#;!":
            continue
        line = without_comment(line).strip()
        if re.fullmatch(r"\[{1,2}[^\[\]=,\"']+(?:\"[^\"]*\")?\]{1,2}", line):
            section = line.strip("[] ")
        elif found := _KEY.fullmatch(line):
            yield Setting(begun, section, found[1].strip("\"'"), _unquoted(found[2]))
        else:
            yield Setting(begun, section, "", line)


def in_settings(text: str, wanted: LegacyNames) -> Iterator[Trace]:
    """Traces in any file of settings; what is a program's command line is read as one."""
    for line, section, key, value in settings(text):
        if section.startswith("program:") and key == "command":
            name = section.partition(":")[2]
            yield from as_schedule(in_shell(value, wanted, line), f"`supervisorctl stop {name}`, then take it out")
        elif _PROGRAM_KEY.fullmatch(key) and not value.startswith(("[", "{")):
            yield from in_shell(value, wanted, line)
        else:
            for part in _parts(value):
                yield from in_setting(key, part, wanted, line)


def in_packages(text: str, wanted: LegacyNames) -> Iterator[Trace]:
    """Traces in a file that also lists packages, in TOML, ini or one a line."""
    yield from in_settings(text, wanted)
    for line, _, key, value in settings(text):
        if key in _ABOUT_ITSELF:
            continue
        named = [package_of(key), *map(package_of, _parts(value))]
        if package := next(filter(None, named), ""):
            yield Trace(line, RemainKind.PACKAGE, package)


def in_unit(text: str, wanted: LegacyNames, name: str) -> Iterator[Trace]:
    """Traces in a unit of systemd, or in a drop-in for it."""
    for line, _, key, value in settings(text):
        if _UNIT_COMMAND.fullmatch(key):
            yield from as_schedule(in_shell(value.lstrip("-@+!: "), wanted, line), f"`systemctl disable --now {name}`")
        elif key == "Environment":
            yield from in_shell(value, wanted, line)
        else:
            yield from in_setting(key, value, wanted, line)


def started_by(text: str, name: str) -> tuple[int, str]:
    """The unit that a timer or the like starts, and the line that says when, or the first one."""
    unit, when = f"{name.rpartition('.')[0]}.service", 1
    for line, _, key, value in settings(text):
        if key == "Unit":
            unit = value
        elif re.match(r"On[A-Z]|Path[A-Z]|Directory", key):
            when = line
    return when, unit


def _unquoted(value: str) -> str:
    inner = _STRING.fullmatch(value.strip())
    return (inner[1] or inner[2] or "") if inner else value.strip()


def _parts(value: str) -> list[str]:
    """The strings of a list or an inline table, else the value itself."""
    strings = [a or b for a, b in _STRING.findall(value)]
    return strings if strings and value[0] in "[{\"'" else [value]
