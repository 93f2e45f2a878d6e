"""Steps of a switch: what fails is undone in turn, what cannot be undone is told, and nothing once it is committed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cdc.cutover.plan import PlannedStep
from cdc.cutover.steps import Step, StepsUndone, carry_out
from cdc.errors import SourceBusy, SwitchError


class Journal:
    """What was noted; the note with the number `fails_at` cannot be written."""

    def __init__(self, fails_at: int = 0) -> None:
        self.lines: list[str] = []
        self._fails_at = fails_at

    async def begins(self, name: str) -> None:
        self._note(name)

    async def ended(self, outcome: str, detail: str) -> None:
        self._note(f"  {outcome} {detail}".rstrip())

    def _note(self, line: str) -> None:
        self.lines.append(line)
        if len(self.lines) == self._fails_at:
            raise SourceBusy("locked", remedy="wait")


class Site:
    """Steps named a to d, of which some fail; what was done and undone is told in `events`."""

    def __init__(self, fails: str = "", undoing_fails: str = "", commits: str = "") -> None:
        self.events: list[str] = []
        self._fails, self._undoing_fails = fails, undoing_fails
        self.steps = [
            Step(PlannedStep(name, "x", ""), self._do(name), self._undo(name), commits=name == commits)
            for name in "abcd"
        ]

    def _do(self, name: str) -> Callable[[], Awaitable[str]]:
        async def do() -> str:
            self.events.append(name)
            if name == self._fails:
                raise SwitchError("no", remedy="yes")
            return name.upper()

        return do

    def _undo(self, name: str) -> Callable[[], Awaitable[None]]:
        async def undo() -> None:
            self.events.append(f"-{name}")
            if name in self._undoing_fails:
                raise SwitchError(f"cannot undo {name}", remedy="help")

        return undo


def run(site: Site, journal: Journal) -> StepsUndone | None:
    try:
        asyncio.run(carry_out(site.steps, journal, lambda _: None))
    except StepsUndone as undone:
        return undone
    return None


def test_steps_are_noted_before_and_after() -> None:
    site, journal = Site(), Journal()
    assert run(site, journal) is None
    assert site.events == ["a", "b", "c", "d"]
    assert journal.lines == ["a", "  done A", "b", "  done B", "c", "  done C", "d", "  done D"]


def test_a_step_that_fails_is_undone_with_all_before_it_newest_first() -> None:
    site, journal = Site(fails="c"), Journal()
    undone = run(site, journal)
    assert undone is not None
    assert (undone.step, undone.unsettled, undone.committed) == ("c", (), False)
    assert site.events == ["a", "b", "c", "-c", "-b", "-a"]
    assert journal.lines[4:] == [
        "c",
        "  failed no",
        "undo: c",
        "  undone",
        "undo: b",
        "  undone",
        "undo: a",
        "  undone",
    ]


def test_what_cannot_be_undone_is_told_and_the_rest_is_undone() -> None:
    site = Site(fails="d", undoing_fails="b")
    undone = run(site, Journal())
    assert undone is not None
    assert undone.unsettled == ("b: cannot undo b",)
    assert site.events[-2:] == ["-b", "-a"]


def test_nothing_is_undone_once_a_step_has_committed() -> None:
    site = Site(fails="d", commits="c")
    undone = run(site, Journal())
    assert undone is not None
    assert undone.committed
    assert site.events == ["a", "b", "c", "d"]


def test_a_step_that_commits_and_fails_is_undone() -> None:
    undone = run(site := Site(fails="c", commits="c"), Journal())
    assert undone is not None
    assert not undone.committed
    assert site.events[-3:] == ["-c", "-b", "-a"]


@pytest.mark.parametrize("number", range(1, 9))
def test_a_note_that_cannot_be_written_fails_its_step(number: int) -> None:
    site = Site()
    undone = run(site, Journal(fails_at=number))
    assert undone is not None
    assert site.events[-1] == "-a"
    assert [e for e in site.events if e.startswith("-")] == [f"-{e}" for e in "dcba"[4 - (number + 1) // 2 :]]


def test_whoever_ends_it_finds_it_undone() -> None:
    site = Site()

    begun = asyncio.Event()

    async def endless() -> str:
        begun.set()
        await asyncio.sleep(3600)
        return ""

    site.steps[2] = Step(site.steps[2].planned, endless, site.steps[2].undo)

    async def cancelled() -> None:
        task = asyncio.create_task(carry_out(site.steps, Journal(), lambda _: None))
        await begun.wait()
        task.cancel()
        with pytest.raises(StepsUndone):
            await task

    asyncio.run(cancelled())
    assert site.events == ["a", "b", "-c", "-b", "-a"]
