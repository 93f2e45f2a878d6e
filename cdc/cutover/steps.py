"""Steps one after the other: each noted before and after, and undone in turn when a later one fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from loguru import logger

from cdc.cutover.plan import PlannedStep
from cdc.errors import CdcError
from cdc.faults import crash_point

Work = Callable[[], Awaitable[str]]  # returns what there is to tell of it, in a few words or none
Undoing = Callable[[], Awaitable[None]]


class StepNotes(Protocol):
    """Where steps are noted, so that a switch that was killed can be understood and taken up."""

    async def begins(self, name: str) -> None:
        """A step is about to be done."""

    async def ended(self, outcome: str, detail: str) -> None:
        """The step that began last has ended: `done`, `failed` or `undone`."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that can be done; `undo` puts back what was before, though nothing may be done yet. Both may run again.

    Once a step that `commits` is done, nothing is undone any more: what fails after it is only told.
    """

    planned: PlannedStep
    do: Work
    undo: Undoing | None = None
    commits: bool = False

    @property
    def name(self) -> str:
        """What it is called in the journal."""
        return self.planned.name


class StepsUndone(Exception):
    """A step failed, and every one before it was undone; `unsettled` are those that could not be.

    `committed` says that nothing was undone, because the switch was made before.
    """

    def __init__(
        self, step: str, cause: BaseException, unsettled: Sequence[str] = (), *, committed: bool = False
    ) -> None:
        super().__init__(step)
        self.step = step
        self.cause = cause
        self.unsettled = tuple(unsettled)
        self.committed = committed


async def carry_out(steps: Sequence[Step], notes: StepNotes, show: Callable[[str], None]) -> None:
    """Do the steps in order; on any error undo those that were begun, newest first, and raise `StepsUndone`.

    Cancelling counts as an error.
    """
    begun: list[Step] = []
    committed = False
    for step in steps:
        begun.append(step)
        show(step.name)
        try:
            await notes.begins(step.name)
            crash_point("switch.step_begun")
            detail = await step.do()
            crash_point("switch.step_done")
            committed = committed or step.commits
            await notes.ended("done", detail)
        except BaseException as error:
            if committed:
                await _note(notes.ended("failed", _words(error)))
                raise StepsUndone(step.name, error, committed=True) from error
            unsettled = await _undo(begun, notes, error)
            raise StepsUndone(step.name, error, unsettled) from error


async def _undo(begun: Sequence[Step], notes: StepNotes, why: BaseException) -> list[str]:
    """Whatever fails of it is told, and the rest is undone all the same."""
    unsettled = []
    await _note(notes.ended("failed", _words(why)))
    for step in reversed(begun):
        if step.undo is None:
            continue
        await _note(notes.begins(f"undo: {step.name}"))
        try:
            await step.undo()
        except Exception as error:  # noqa: BLE001 (one step that cannot be undone must not keep the others)
            words = _words(error)
            logger.bind(step=step.name, error=words).error("a step could not be undone")
            unsettled.append(f"{step.name}: {words}")
            await _note(notes.ended("failed", words))
        else:
            await _note(notes.ended("undone", ""))
    return unsettled


async def _note(writing: Awaitable[None]) -> None:
    """A journal that cannot be written keeps nobody from undoing."""
    try:
        await writing
    except CdcError as error:
        logger.bind(error=error.message).warning("a step could not be noted")


def _words(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "interrupted"
    return error.message if isinstance(error, CdcError) else type(error).__name__
