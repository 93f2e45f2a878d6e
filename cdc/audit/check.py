"""Whether the chain of the audit trail is whole.

An entry that was removed, changed, inserted or moved is named, and so is a missing end.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cdc.audit.actions import is_step
from cdc.audit.chain import AuditEntry, Head, Sealed, decode, entry, seal

TRIM: Final = "trim"
ACCEPT: Final = "accept"
BROKEN: Final = "broken"
MOST_STEPS: Final = 1_000  # that are written again when they would be dropped
MOST_BREAKS: Final = 1_000  # that are told in words; they are counted all


@dataclass(frozen=True, slots=True)
class Witness:
    """Somebody who remembers how a chain ended at some time; `who` is for people."""

    who: str
    head: Head


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain is not whole. The same break is found in the same words again; `hint` says how it is known."""

    words: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.words}{self.hint}"


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """What a check found. `unchained` entries were written by a version that knew no hashes: nothing is said of them.

    `first` is the number of the oldest entry, 0 when there is none. `accepted` breaks are those that somebody knows
    about, by an entry in the chain.
    """

    noun: str
    entries: int
    unchained: int
    first: int
    last: Head
    breaks: tuple[Break, ...]
    accepted: tuple[Break, ...]
    more_breaks: int

    @property
    def whole(self) -> bool:
        """Whether there is no break but those that somebody accepted."""
        return not self.breaks and not self.more_breaks

    def to_json(self) -> dict[str, Any]:
        """The verdict as `cdc audit --json` tells it."""
        return {
            "whole": self.whole,
            "entries": self.entries,
            "not_chained": self.unchained,
            "first": self.first,
            "last": self.last.n,
            "hash": self.last.hash,
            "breaks": [str(break_) for break_ in self.breaks],
            "more_breaks": self.more_breaks,
            "accepted": [str(break_) for break_ in self.accepted],
        }


@dataclass
class ChainCheck:
    """Sees every entry of a chain in the order it is stored; `noun` is what an entry is called there.

    The oldest entries may have been dropped on purpose: an entry `trim` of the chain says so, and with which number and
    hash the last of them ended. `unwitnessed` says why a witness that every chain has cannot be heard.
    """

    noun: str
    witnesses: Sequence[Witness] = ()
    unwitnessed: str = ""
    _entries: int = 0
    _unchained: int = 0
    _first: Head | None = None
    _first_text: str = ""
    _last: Head = field(default_factory=Head)
    _trims: dict[int, str] = field(default_factory=dict)
    _breaks: list[Break] = field(default_factory=list)
    _more: int = 0
    _accepted: set[str] = field(default_factory=set)

    def see(self, stored: Sealed) -> AuditEntry | None:
        """Check the next entry; returns it, or None when it cannot be read."""
        self._entries += 1
        decoded = decode(stored.text)
        if stored.hash is None and decoded is not None and decoded.n is None and self._first is None:
            self._unchained += 1
        elif stored.hash is None or decoded is None or decoded.n is None or decoded.n < 1:
            after = f"after {self.noun} {self._last.n}" if self._last.n else "at the beginning"
            self._break(f"what stands {after} is no sealed {self.noun}", stored.text)
        else:
            self._follow(stored.text, Head(decoded.n, stored.hash))
            self._heed(decoded)
        return decoded

    def verdict(self) -> ChainVerdict:
        """What was found, after the last entry."""
        self._judge_beginning()
        if self.unwitnessed and self._first:
            self._break(self.unwitnessed)
        # Whoever remembers most; others would miss a part of the same end.
        for witness in sorted(self.witnesses, key=lambda w: -w.head.n)[:1]:
            self._gap(self._last.n, witness.head.n + 1, f" at the end: {witness.who} remembers them")
        return ChainVerdict(
            self.noun,
            self._entries,
            self._unchained,
            self._first.n if self._first else 0,
            self._last,
            tuple(break_ for break_ in self._breaks if break_.words not in self._accepted),
            tuple(break_ for break_ in self._breaks if break_.words in self._accepted),
            self._more,
        )

    def _follow(self, text: str, here: Head) -> None:
        """Check that an entry goes on from the one before it, and is the one that witnesses remember."""
        before = self._last
        if self._first is None:
            self._first, self._first_text = here, text
        elif here.n <= before.n:
            how = "stands there twice" if here.n == before.n else f"stands after {self.noun} {before.n}"
            self._break(f"{self.noun} {here.n} {how}: it was moved or inserted", text)
        elif here.n > before.n + 1:
            self._gap(before.n, here.n)
        elif seal(before.hash, text) != here.hash:
            self._break(f"{self.noun} {here.n} does not follow from {self.noun} {before.n}: one was changed", text)
        for witness in self.witnesses:
            if witness.head.n == here.n and witness.head.hash not in ("", here.hash):
                self._break(f"{self.noun} {here.n} is not the one that {witness.who} remembers", text)
        self._last = here

    def _heed(self, statement: AuditEntry) -> None:
        """What entries say about the chain itself."""
        if statement.action == TRIM and statement.copy_of is None:
            through = statement.details.get("through")
            self._trims[through if isinstance(through, int) else -1] = str(statement.details.get("hash"))
        elif statement.action == ACCEPT and isinstance(breaks := statement.details.get("breaks"), list):
            self._accepted |= set(map(str, breaks))
        elif statement.action == BROKEN and "again" not in statement.details:
            self._break(f"the daemon found at {statement.at}: {statement.details.get('words')}")

    def _judge_beginning(self) -> None:
        """The first entry follows from nothing, or from the last one that was dropped on purpose."""
        if self._first is None:
            return
        previous = "" if self._first.n == 1 else self._trims.get(self._first.n - 1)
        if previous is None:
            self._gap(0, self._first.n)
        elif seal(previous, self._first_text) != self._first.hash:
            self._break(f"{self.noun} {self._first.n}, the first one, was changed", self._first_text)

    def _gap(self, before: int, after: int, hint: str = "") -> None:
        if after - before == 2:
            self._break(f"{self.noun} {before + 1} is missing", hint=hint)
        elif after - before > 2:
            several = f"{self.noun}s" if self.noun == "line" else "entries"
            self._break(f"{several} {before + 1} to {after - 1} are missing", hint=hint)

    def _break(self, words: str, text: str = "", hint: str = "") -> None:
        # With a mark of what stands there, so that whoever knows this break does not know the next one in its place.
        mark = f" ({seal('', text)[:12]})" if text else ""
        if len(self._breaks) < MOST_BREAKS:
            self._breaks.append(Break(f"{words}{mark}", hint))
        else:
            self._more += 1


def last_words(dropped: Iterable[Sealed]) -> list[AuditEntry]:
    """What is written before entries are dropped: the steps among them once more, and how the last of them ended."""
    steps: deque[AuditEntry] = deque(maxlen=MOST_STEPS)
    count, newest, hash_ = 0, None, None
    for sealed in dropped:
        count += 1
        decoded = decode(sealed.text)
        if decoded is None:
            continue
        if sealed.hash is not None:
            newest, hash_ = decoded, sealed.hash
        if is_step(decoded.action):
            steps.append(replace(decoded, details={"again": decoded.n, **decoded.details}))
    if newest is None:
        return []
    trimmed = {"through": newest.n, "hash": hash_, "at": newest.at, "entries": count}
    return [*steps, entry(TRIM, "done", trimmed)]
