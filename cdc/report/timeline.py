"""The audit trail as a story that can be read: what is alike and follows on itself becomes one line. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.audit.actions import is_step
from cdc.audit.chain import AuditEntry, Detail
from cdc.audit.details_text import details_text
from cdc.facts.counted import counted

FIRST_LINES: Final = 100  # of a story that is too long: how it began,
LAST_LINES: Final = 300  # and what came last
LONGEST_WORDS: Final = 240  # characters of one line
FOLLOWING: Final = "follow"
_HASH: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_UNTOLD: Final = frozenset({"again", "run"})  # numbers and names that refer to something that is not here
_RUNS: Final = frozenset({"run", "up"})
_QUIET: Final = frozenset({"started", "done", "interrupted"})


@dataclass(slots=True)
class TimelineLine:
    """One line: entries that say the same one after the other, `times` of them, from `at` until `until`."""

    key: tuple[str, ...]
    at: str
    until: str
    actor: str
    action: str
    result: str
    times: int = 1
    words: str = ""
    rows: int = 0
    starts: int = 0
    batches: int = 0
    changes: int = 0
    held: int = 0

    def join(self, other: "TimelineLine") -> None:
        """Add what says the same."""
        self.until, self.words = other.until, other.words
        self.times += other.times
        self.rows += other.rows
        self.starts += other.starts
        self.batches += other.batches
        self.changes += other.changes
        self.held += other.held

    @property
    def text(self) -> str:
        """The details in words; of several entries their sum, and those of the last."""
        if self.action == FOLLOWING:
            began = [f"started {self.starts:,} times" if self.starts > 1 else "started"] if self.starts else []
            changes, batches = counted(self.changes, "change"), counted(self.batches, "batch", "batches")
            applied = f"{changes} applied in {batches}" if self.batches else "no change"
            held = [f"{counted(self.held, 'entry', 'entries')} about rows that are held"] if self.held else []
            return "; ".join([*began, applied, *held])
        if self.times == 1:
            return self.words
        rows = f", {counted(self.rows, 'row')} in all" if self.rows else ""
        return _cut(f"{self.times:,} times{rows}; the last: {self.words}")

    def to_json(self) -> dict[str, Any]:
        """As the document has it."""
        return {
            "at": self.at,
            "until": self.until if self.until != self.at else None,
            "actor": self.actor,
            "action": self.action,
            "result": self.result,
            "entries": self.times,
            "details": self.text,
        }


@dataclass(frozen=True, slots=True)
class Timeline:
    """The lines that are told, and how many in the middle are not; `entries` is how many all of them stand for."""

    first: tuple[TimelineLine, ...]
    left_out: int
    last: tuple[TimelineLine, ...]
    entries: int

    def to_json(self) -> dict[str, Any]:
        """As the document has it."""
        return {
            "entries": self.entries,
            "first": [line.to_json() for line in self.first],
            "lines_left_out": self.left_out,
            "last": [line.to_json() for line in self.last],
        }


def make_timeline(entries: Sequence[AuditEntry], batches: Sequence[tuple[str, int]]) -> Timeline:
    """The story of entries and batches, each in the order of time. A long one tells of steps alone what they were."""
    folded = _folded(entries, batches, steps_alone=False)
    if len(folded) > FIRST_LINES + LAST_LINES:
        folded = _folded(entries, batches, steps_alone=True)
    count = len(entries) + len(batches)
    if len(folded) <= FIRST_LINES + LAST_LINES:
        return Timeline(tuple(folded), 0, (), count)
    left_out = len(folded) - FIRST_LINES - LAST_LINES
    return Timeline(tuple(folded[:FIRST_LINES]), left_out, tuple(folded[-LAST_LINES:]), count)


def _folded(
    entries: Sequence[AuditEntry], batches: Sequence[tuple[str, int]], *, steps_alone: bool
) -> list[TimelineLine]:
    folded: list[TimelineLine] = []
    for line in _in_order(entries, batches):
        if steps_alone and not is_step(line.action):
            line.key, line.action, line.held = (FOLLOWING,), FOLLOWING, line.times
        if folded and folded[-1].key == line.key:
            folded[-1].join(line)
        else:
            folded.append(line)
    return folded


def _in_order(entries: Sequence[AuditEntry], batches: Sequence[tuple[str, int]]) -> Iterator[TimelineLine]:
    place, ended = 0, {_step(entry) for entry in entries if entry.result != "started"}
    for entry in entries:
        if entry.result == "started" and _step(entry) in ended and "run" in entry.details:
            continue  # how it ended is told
        while place < len(batches) and batches[place][0] < entry.at:
            yield _of_batch(*batches[place])
            place += 1
        yield _of_entry(entry)
    for at, changes in batches[place:]:
        yield _of_batch(at, changes)


def _step(entry: AuditEntry) -> tuple[str, str]:
    return entry.action, str(entry.details.get("run"))


def _of_batch(at: str, changes: int) -> TimelineLine:
    return TimelineLine((FOLLOWING,), at, at, "", FOLLOWING, "done", batches=1, changes=changes)


def _of_entry(entry: AuditEntry) -> TimelineLine:
    if entry.action in _RUNS and entry.result in _QUIET:
        starts = int(entry.result == "started")
        return TimelineLine((FOLLOWING,), entry.at, entry.at, "", FOLLOWING, "done", starts=starts)
    rows = entry.details.get("rows")
    return TimelineLine(
        (entry.action, entry.result, entry.actor, str(entry.details.get("table", ""))),
        entry.at,
        entry.at,
        entry.actor,
        entry.action,
        entry.result,
        words=_cut(_HASH.sub(r"\1...", details_text(_told(entry.details)))),
        rows=rows if isinstance(rows, int) else 0,
    )


def _told(details: Mapping[str, Detail]) -> dict[str, Detail]:
    return {name.replace("_", " "): value for name, value in details.items() if name not in _UNTOLD}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_WORDS else f"{text[: LONGEST_WORDS - 3]}..."
