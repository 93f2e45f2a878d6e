"""What can be left of the old way, why each kind matters, and in which order it is to go."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from pathlib import Path
from typing import Final, NamedTuple


class Turn(IntEnum):
    """The order of removal: a schedule would start what an edit has just taken away."""

    SWITCH_OFF = 1
    EDIT = 2
    REMOVE = 3
    PUT_AWAY = 4

    @property
    def words(self) -> str:
        """As the plan has it."""
        return self.name.lower().replace("_", " ")


class _Meaning(NamedTuple):
    word: str
    step: Turn
    why: str
    todo: str


class RemainKind(Enum):
    """Kinds of remains, the most telling of a line first. `{name}` is what was found."""

    SCHEDULE = _Meaning("schedule", Turn.SWITCH_OFF, "starts {name} by itself", "switch it off, then take the line out")
    JOB = _Meaning("job", Turn.EDIT, "has {name} run later or again and again", "take the job out, with its import")
    CALL = _Meaning("call", Turn.EDIT, "starts or uses {name}", "take the call out; replication does its work")
    COPY = _Meaning(
        "copy of the file",
        Turn.EDIT,
        "copies {name} as a whole, which brings deleted rows back",
        "take it out; back Postgres up instead",
    )
    MOUNT = _Meaning("mount", Turn.EDIT, "hands {name} to a container", "take the mount out; give it Postgres' address")
    ADDRESS = _Meaning("address", Turn.EDIT, "sends the application to SQLite: {name}", "write Postgres' address")
    CODE = _Meaning("SQLite in code", Turn.EDIT, "uses SQLite by {name}", "use the Postgres driver, or delete the code")
    PACKAGE = _Meaning("package", Turn.EDIT, "asks for {name}", "take it out once no code uses it")
    FLAG = _Meaning("flag that is read", Turn.EDIT, "still asks {name} which database it is", "keep the Postgres side")
    FLAG_SET = _Meaning(
        "flag that is set", Turn.EDIT, "still sets {name}", "take it out once nothing reads it, and not before"
    )
    DATABASE_NAME = _Meaning("name of the file", Turn.EDIT, "names the database file {name}", "take it out")
    SCRIPT = _Meaning(
        "script", Turn.REMOVE, "copies whole SQLite files over others", "`--apply` removes it, with a backup"
    )
    LINK = _Meaning("link", Turn.REMOVE, "leads to {name}", "remove the link by hand: `--apply` removes files only")
    DATABASE = _Meaning(
        "database file",
        Turn.PUT_AWAY,
        "is a SQLite database",
        "keep a copy of the last state, then move it away",
    )
    COMPANION = _Meaning(
        "companion file",
        Turn.PUT_AWAY,
        "belongs to a SQLite database and may hold its last rows",
        "move it together with its database, once no process has that open",
    )
    MENTION = _Meaning("mention", Turn.EDIT, "tells of {name}, and starts nothing", "correct the text when you like")

    @property
    def word(self) -> str:
        """Its name for people and for `--json`."""
        return self.value.word

    @property
    def step(self) -> Turn:
        """When it is to go."""
        return self.value.step

    def why(self, name: str) -> str:
        """Why it matters that something has to do with this name."""
        return self.value.why.format(name=name)

    @property
    def rank(self) -> int:
        """The smaller, the more it tells of a line."""
        return list(RemainKind).index(self)


STARTS_A_SCRIPT: Final = frozenset({RemainKind.SCHEDULE, RemainKind.JOB, RemainKind.CALL})


@dataclass(frozen=True, slots=True)
class Trace:
    """What a reader found in a line, counted from 1; `todo` where there is better advice than that of its kind."""

    line: int
    kind: RemainKind
    name: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Remain:
    """A trace with its file, as it is shown, and the text of the line; line 0 is the file as a whole."""

    path: Path
    shown: str
    line: int
    kind: RemainKind
    name: str
    text: str
    todo: str

    @property
    def why(self) -> str:
        """Why it matters."""
        return self.kind.why(self.name)


def remain(path: Path, shown: str, trace: Trace, text: str = "") -> Remain:
    """A trace at home in its file."""
    return Remain(path, shown, trace.line, trace.kind, trace.name, text, trace.todo or trace.kind.value.todo)


def as_schedule(traces: Iterable[Trace], todo: str) -> Iterator[Trace]:
    """The same traces in a file that starts things by itself."""
    for trace in traces:
        starts = trace.kind is RemainKind.CALL
        yield replace(trace, kind=RemainKind.SCHEDULE, todo=todo) if starts else trace


def telling(traces: Iterable[Trace]) -> list[Trace]:
    """One trace a line and kind, in order; what only names something is left out beside what says more of the line."""
    first = {(t.line, t.kind): t for t in sorted(traces, key=lambda t: (t.line, t.kind.rank, t.name))}
    more = {line for line, kind in first if kind not in _SAYS_LITTLE}
    named = {line for line, kind in first if kind is RemainKind.DATABASE_NAME}
    return [
        trace
        for (line, kind), trace in first.items()
        if not (kind in _SAYS_LITTLE and line in more) and not (kind is RemainKind.MENTION and line in named)
    ]


_SAYS_LITTLE: Final = frozenset({RemainKind.DATABASE_NAME, RemainKind.MENTION})
