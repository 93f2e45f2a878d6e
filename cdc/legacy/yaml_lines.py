"""YAML by its lines: which keys a value stands under, enough for services, jobs and steps to be found with a line.

Not the whole language: anchors and merged keys are read as they are written, where they are written.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cdc.legacy.commands import in_command, in_setting, in_shell
from cdc.legacy.names import LegacyNames
from cdc.legacy.plain import without_comment
from cdc.legacy.remains import RemainKind, Trace, as_schedule
from cdc.legacy.shell import Word

_KEY: Final = re.compile(r"(\"[^\"]*\"|'[^']*'|[^\s:#\"'\[{&*!|>-][^:#]*?|-[^\s:]+)\s*:(?:\s+(.*)|)")
_BLOCK: Final = re.compile(r"[|>][+-]?\d?[+-]?")
_ARGUMENTS: Final = frozenset({"command", "entrypoint", "args", "cmd", "exec", "test"})
_SHELL: Final = _ARGUMENTS | {
    "run",
    "script",
    "before_script",
    "after_script",
    "shell",
    "commands",
    "ansible.builtin.shell",
}
_MOUNTS: Final = frozenset({"volumes", "volumeMounts", "hostPath", "mounts", "source", "binds"})
_STARTS_BY_ITSELF: Final = re.compile(
    r"^(?:services|jobs|on|cron|schedule|workflows|pipelines):|^kind: *CronJob", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A value with the keys above it; `item` when it is an element of a list."""

    line: int
    keys: tuple[str, ...]
    value: str
    item: bool = False

    @property
    def key(self) -> str:
        """The nearest key."""
        return self.keys[-1] if self.keys else ""


def entries(text: str) -> Iterator[Entry]:
    """Every value of a document, without comments; a block of text is one value, from its first line on."""
    above: list[tuple[int, str]] = []
    lines = list(enumerate(text.split("\n"), 1))
    at = 0
    while at < len(lines):
        number, raw = lines[at]
        at += 1
        body = raw.lstrip(" ")
        indent = dash = len(raw) - len(body)
        item = False
        while body.startswith("- ") or body.rstrip() == "-":
            item, dash, rest = True, indent, body[1:].lstrip(" ")
            indent, body = indent + len(body) - len(rest), rest
        above = [(i, k) for i, k in above if (i <= dash if item else i < indent)]
        if not body or body[0] in "#%" or body.startswith(("---", "...")):
            continue
        body = without_comment(body).rstrip()
        key = _KEY.fullmatch(body)
        value = (key[2] or "") if key else body
        if key:
            above.append((indent, key[1].strip("\"'")))
        keys = tuple(k for _, k in above)
        if _BLOCK.fullmatch(value):
            outer = indent if key else dash
            end = next((n for n in range(at, len(lines)) if _ends_block(lines[n][1], outer)), len(lines))
            yield Entry(number + 1, keys, "\n".join(line for _, line in lines[at:end]))
            at = end
        elif value:
            yield Entry(number, keys, value, item and not key)


def in_yaml(text: str, wanted: LegacyNames) -> Iterator[Trace]:
    """Traces in a document; what a service, a job or a step runs is a schedule."""
    traces = _in_entries(entries(text), wanted)
    return _as_scheduled(text, traces) if _STARTS_BY_ITSELF.search(text) else traces


def _in_entries(found: Iterable[Entry], wanted: LegacyNames) -> Iterator[Trace]:
    for (keys, item), group in itertools.groupby(found, lambda entry: (entry.keys, entry.item)):
        together = list(group)
        if item and keys and keys[-1] in _ARGUMENTS:
            yield from in_command([Word(_bare(e.value), e.line) for e in together], wanted)
        else:
            for entry in together:
                yield from _in_entry(entry, wanted)


def _in_entry(entry: Entry, wanted: LegacyNames) -> Iterator[Trace]:
    value = _bare(entry.value)
    parts = _flow(value)
    if _MOUNTS.intersection(entry.keys) and (database := wanted.database_in(value) or wanted.database_named(value)):
        yield Trace(entry.line, RemainKind.MOUNT, database)
    elif entry.key in _SHELL and parts:
        yield from in_command([Word(part, entry.line) for part in parts], wanted)
    elif entry.key in _SHELL:
        yield from in_shell(value, wanted, entry.line)
    else:
        for part in parts or [value]:
            name, equals, setting = part.partition("=") if entry.item or parts else (entry.key, "=", part)
            yield from in_setting(name if equals else entry.key, setting if equals else part, wanted, entry.line)


def _as_scheduled(text: str, traces: Iterable[Trace]) -> Iterator[Trace]:
    service_of: dict[int, str] = {}
    service = ""
    for number, line in enumerate(text.split("\n"), 1):
        if found := re.fullmatch(r" {1,4}([\w.-]+):\s*(?:#.*)?", line):
            service = found[1]
        service_of[number] = service
    composed = bool(re.search(r"^services:", text, re.MULTILINE))
    for trace in traces:
        stop = f"`docker compose rm --stop {service_of.get(trace.line, '')}`, then take it out"
        yield from as_schedule([trace], stop if composed else "disable the job, then take it out")


def _ends_block(line: str, indent: int) -> bool:
    return bool(line.strip()) and len(line) - len(line.lstrip(" ")) <= indent


def _bare(value: str) -> str:
    quoted = re.fullmatch(r"\"(.*)\"|'(.*)'", value.strip(), re.DOTALL)
    return (quoted[1] or quoted[2] or "") if quoted else value.strip()


def _flow(value: str) -> list[str]:
    """The elements of `[a, "b"]`, or of `{a: b}` as a=b; empty for other values."""
    if not re.fullmatch(r"\[.*\]|\{.*\}", value, re.DOTALL):
        return []
    parts = re.findall(r"\"[^\"]*\"|'[^']*'|[^\[\]{},\s][^\[\]{},]*", value)
    return [re.sub(r"^([\w.-]+):\s+", r"\1=", _bare(part)) for part in parts]
