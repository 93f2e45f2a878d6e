"""The one retry policy: wait, doubling up to a cap with some chance in it, as long as the error says it helps."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import tenacity
from loguru import logger

from cdc.errors import CdcError, Policy

FIRST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 30.0
SETTLE_ATTEMPTS: Final = 5  # in a row; what does not fit after that fits no better later

T = TypeVar("T")


def is_transient(error: BaseException) -> bool:
    """Whether trying again can help: only errors that say so; an unknown error needs a person."""
    return isinstance(error, CdcError) and error.policy is not Policy.NEEDS_A_PERSON


def _log(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0.0
    logger.bind(error=str(error), attempt=state.attempt_number, wait_seconds=round(wait, 2)).warning("waiting to retry")


def policy(attempts: int | None = None, give_up: asyncio.Event | None = None) -> tenacity.AsyncRetrying:
    """The policy, endless by default; `attempts` bounds it for commands that a person waits for.

    When `give_up` is set, waiting ends and the last error is raised.
    """

    async def sleep(seconds: float) -> None:
        if give_up is None:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(give_up.wait(), seconds)

    unfit = 0  # attempts in a row that ended so

    def enough(state: tenacity.RetryCallState) -> bool:
        nonlocal unfit
        error = state.outcome.exception() if state.outcome else None
        unfit = unfit + 1 if isinstance(error, CdcError) and error.policy is Policy.SETTLE_ANEW else 0
        stopped = bool(give_up and give_up.is_set())
        return stopped or unfit >= SETTLE_ATTEMPTS or bool(attempts and state.attempt_number >= attempts)

    return tenacity.AsyncRetrying(
        sleep=sleep,
        retry=tenacity.retry_if_exception(is_transient),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
        stop=enough,
        before_sleep=_log,
        reraise=True,
    )


async def retrying(
    step: Callable[[], Awaitable[T]], attempts: int | None = None, give_up: asyncio.Event | None = None
) -> T:
    """The result of `step`, tried again while its error is transient; any other error comes through as it is."""
    try:
        # The daemon's loop comes through here all the time, and the machinery costs as much as a read of the changelog.
        return await step()
    except CdcError as error:
        failed = [error]

    async def failed_once() -> T:
        if failed:
            raise failed.pop()
        return await step()

    result: T = await policy(attempts, give_up)(failed_once)
    return result
