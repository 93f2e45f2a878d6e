"""Whether a chain is whole: an entry that was removed, changed, inserted or moved is named, and so is a missing end."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cdc.actions import is_step
from cdc.chain import AuditEntry, Head, Sealed, decode, entry, seal

TRIM: Final = "trim"
MOST_STEPS: Final = 1_000  # that are written again when they would be dropped
MOST_BREAKS: Final = 100  # that are told in words; they are counted all


@dataclass(frozen=True, slots=True)
class Witness:
    """Somebody who remembers how a chain ended at some time; `who` is for people."""

    who: str
    head: Head


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. `unchained` entries were written by a version that knew no hashes: nothing is said of them.

    `first` and `last` are the numbers of the oldest and the newest entry, 0 when there is none.
    """

    noun: str
    entries: int
    unchained: int
    first: int
    last: int
    breaks: tuple[str, ...] = ()
    more_breaks: int = 0

    @property
    def whole(self) -> bool:
        """Whether the chain is as it was written."""
        return not self.breaks

    def to_json(self) -> dict[str, Any]:
        """The verdict as `cdc audit --json` tells it."""
        return {
            "whole": self.whole,
            "entries": self.entries,
            "not_chained": self.unchained,
            "first": self.first,
            "last": self.last,
            "breaks": list(self.breaks),
            "more_breaks": self.more_breaks,
        }


@dataclass
class Check:
    """Sees every entry of a chain in the order it is stored; `noun` is what an entry is called there.

    The oldest entries may have been dropped on purpose: an entry `trim` of the chain says so, and with which number and
    hash the last of them ended.
    """

    noun: str
    witnesses: Iterable[Witness] = ()
    _entries: int = 0
    _unchained: int = 0
    _first: Head | None = None
    _first_text: str = ""
    _last: Head = field(default_factory=Head)
    _trims: dict[int, str] = field(default_factory=dict)
    _breaks: list[str] = field(default_factory=list)
    _broken: int = 0

    def see(self, stored: Sealed) -> AuditEntry | None:
        """Check the next entry; returns it, or None when it cannot be read."""
        self._entries += 1
        found = decode(stored.text)
        if stored.hash is None and found is not None and found.n is None and self._first is None:
            self._unchained += 1
        elif stored.hash is None or found is None or found.n is None or found.n < 1:
            self._break(f"what stands after {self._place} is no sealed {self.noun}: it was changed or inserted")
        else:
            self._see(found, stored.text, Head(found.n, stored.hash))
        return found

    def verdict(self) -> Verdict:
        """What was found, after the last entry."""
        self._judge_beginning()
        for witness in self.witnesses:
            if witness.head.n > self._last.n:
                gap = self._range(self._last.n + 1, witness.head.n)
                self._break(f"{gap} missing at the end: {witness.who} remembers {self.noun} {witness.head.n}")
        return Verdict(
            self.noun,
            self._entries,
            self._unchained,
            self._first.n if self._first else 0,
            self._last.n,
            tuple(self._breaks),
            self._broken - len(self._breaks),
        )

    def _see(self, found: AuditEntry, text: str, here: Head) -> None:
        before = self._last
        if self._first is None:
            self._first, self._first_text = here, text
        elif here.n == before.n:
            self._break(f"{self.noun} {here.n} stands there twice")
        elif here.n < before.n:
            self._break(f"{self.noun} {here.n} stands after {self.noun} {before.n}: it was moved or inserted")
        elif here.n > before.n + 1:
            self._break(f"{self._range(before.n + 1, here.n - 1)} missing before {self.noun} {here.n}")
        elif seal(before.hash, text) != here.hash:
            self._break(f"{self.noun} {here.n} does not follow from {self.noun} {before.n}: one of them was changed")
        for witness in self.witnesses:
            if witness.head.n == here.n and witness.head.hash != here.hash:
                self._break(f"{self.noun} {here.n} is not the one that {witness.who} remembers")
        if found.action == TRIM and found.copy_of is None:
            self._trims[_number(found.details.get("through"))] = str(found.details.get("hash"))
        self._last = here

    def _judge_beginning(self) -> None:
        """The first entry follows from nothing, or from the last one that was dropped on purpose."""
        if self._first is None:
            return
        previous = "" if self._first.n == 1 else self._trims.get(self._first.n - 1)
        if previous is None:
            self._break(f"{self._range(1, self._first.n - 1)} missing at the beginning", first=True)
        elif seal(previous, self._first_text) != self._first.hash:
            self._break(f"{self.noun} {self._first.n}, the first one, was changed", first=True)

    @property
    def _place(self) -> str:
        return f"{self.noun} {self._last.n}" if self._last.n else "the beginning"

    def _range(self, first: int, last: int) -> str:
        return f"{self.noun} {first} is" if first == last else f"{self.noun}s {first} to {last} are"

    def _break(self, words: str, *, first: bool = False) -> None:
        self._broken += 1
        if first:
            self._breaks.insert(0, words)
        elif len(self._breaks) < MOST_BREAKS:
            self._breaks.append(words)


def _number(value: object) -> int:
    return value if isinstance(value, int) else -1


def last_words(dropped: Iterable[Sealed]) -> list[AuditEntry]:
    """What is written before entries are dropped: the steps among them once more, and how the last of them ended."""
    steps: deque[AuditEntry] = deque(maxlen=MOST_STEPS)
    count, newest, hash_ = 0, None, None
    for sealed in dropped:
        count += 1
        found = decode(sealed.text)
        if found is None:
            continue
        if sealed.hash is not None:
            newest, hash_ = found, sealed.hash
        if is_step(found.action):
            steps.append(replace(found, details={"again": found.n, **found.details}))
    if newest is None:
        return []
    told = {"through": newest.n, "hash": hash_, "at": newest.at, "entries": count}
    return [*steps, entry(TRIM, "done", told)]
