"""What a person reads when something goes wrong: the thing and the reason, then the remedy. A trace only on request."""

import json
import sys
import traceback
from dataclasses import dataclass

import click

from cdc.cli.options import Terminated
from cdc.errors import CdcError, ExitCode
from cdc.log import redact

INTERRUPTED = 130  # 128 and the signal's number, as shells have it
TERMINATED = 143

_BEFORE_COMMAND = ("-c", "--config", "-v", "--verbose", "-q", "--quiet", "--debug", "--log-json")


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in words, and the exit code that stands for it."""

    error: str
    remedy: str
    exit_code: int


def failure_of(error: BaseException) -> Failure:
    """What an error means for the person who gave the command."""
    match error:
        case CdcError():
            return Failure(redact(error.message), redact(error.remedy), int(error.exit_code))
        case click.ClickException():
            return Failure(redact(error.format_message()), _usage_remedy(error), int(ExitCode.USAGE))
        case KeyboardInterrupt() | click.Abort():
            return Failure("interrupted", "run the same command again: it goes on where it ended", INTERRUPTED)
        case Terminated():
            return Failure("terminated", "run the same command again: it goes on where it ended", TERMINATED)
        case BaseExceptionGroup():
            return failure_of(_most_telling(error))
        case _:
            return Failure(
                f"unexpected {type(error).__name__}{_place(error)}",
                "this is a bug; run again with --debug for the trace",
                int(ExitCode.CRITICAL),
            )


def report(error: BaseException, *, as_json: bool, debug: bool) -> int:
    """Print the failure where its reader looks, and return the exit code."""
    failure = failure_of(error)
    if as_json:
        told = {"error": failure.error, "remedy": failure.remedy, "exit_code": failure.exit_code}
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        click.echo(f"error: {failure.error}", err=True)
        if failure.remedy:
            click.echo(f"remedy: {failure.remedy}", err=True)
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    return failure.exit_code


def _usage_remedy(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "cdc"
    if isinstance(error, click.NoSuchOption) and error.option_name in _BEFORE_COMMAND:
        return f"{error.option_name} stands before the command: `cdc {error.option_name} ... COMMAND`"
    return f"see `{command} --help`"


def _most_telling(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of errors that happened together, the one that was raised on purpose, else the first."""
    leaves: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((e for e in leaves if isinstance(e, CdcError)), leaves[0])


def _place(error: BaseException) -> str:
    # Where, and not the message: the message of an error that nobody foresaw may hold row values.
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/cdc/" in f.filename] or list(frames)
    return f" in {ours[-1].filename.rpartition('/')[2]} line {ours[-1].lineno}" if ours else ""
