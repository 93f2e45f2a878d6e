"""The error tree: what each kind of failure means for the daemon and for the person who reads it.

Every error names the thing, the reason and the remedy. Driver errors (apsw, asyncpg, OSError) are translated
into this tree where the driver is used; nothing above those layers knows the drivers' classes.
"""

import difflib
from collections.abc import Iterable
from enum import Enum, IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line, a contract; 64, 69 and 78 follow BSD's sysexits."""

    OK = 0
    DIFFERENCE = 1
    CRITICAL = 2
    USAGE = 64
    UNAVAILABLE = 69
    CONFIG = 78


class Policy(Enum):
    """What the daemon does about an error: `RETRY` on a timer, or stop because it `NEEDS_A_PERSON`.

    `SETTLE_ANEW` is retried too, with everything read again, but a few times only: then it needs a person.
    """

    RETRY = "retry"
    SETTLE_ANEW = "settle anew"
    NEEDS_A_PERSON = "needs a person"


class CdcError(Exception):
    """Base of every error this project raises on purpose.

    `message` names the thing and the reason, `remedy` says what to do, both in words for an operator.
    """

    policy = Policy.NEEDS_A_PERSON
    exit_code = ExitCode.CRITICAL
    default_remedy = ""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy or self.default_remedy


class UsageError(CdcError):
    """The command line asks for something that makes no sense."""

    exit_code = ExitCode.USAGE


class ConfigError(CdcError):
    """The configuration file is missing, unreadable or wrong."""

    exit_code = ExitCode.CONFIG


class SourceError(CdcError):
    """Something about the SQLite file stops us."""


class SourceUnavailable(SourceError):
    """The SQLite file is not there, cannot be opened, or is no SQLite database."""

    exit_code = ExitCode.UNAVAILABLE


class SourceBusy(SourceError):
    """The SQLite file is locked by another connection for longer than we wait."""

    policy = Policy.RETRY
    exit_code = ExitCode.UNAVAILABLE


class SourceFull(SourceError):
    """The disk on which SQLite has to write is full: what was begun was undone, and can be tried again."""

    policy = Policy.RETRY
    exit_code = ExitCode.UNAVAILABLE


class SourceChanged(SourceError):
    """The file is not the one the position belongs to: swapped, restored, overwritten, or its changelog was emptied."""


class FileReplaced(SourceChanged):
    """Another file is in the place of the one that was followed: an older state of it, a copy, or one of its own."""


class CaptureLost(SourceError):
    """Capture was not complete for some tables: triggers missing, altered, or shadowed by newer ones."""


class FenceDown(SourceError):
    """The fence in the SQLite file does not stand everywhere, or did not all the time: writes may have been taken."""


class SchemaDrift(SourceError):
    """The application changed its schema in a way that cannot be followed without a decision."""


class SnapshotError(SourceError):
    """A snapshot could not be taken, or did not pass its checks."""


class SwitchError(CdcError):
    """A cutover or a rollback cannot be done, or was given up."""


class PostgresActive(SwitchError):
    """Applications write to Postgres since the cutover: what only makes sense before it is refused."""


class Finalized(SwitchError):
    """The way back was ended on purpose: Postgres is the application's only truth, and SQLite follows no more."""


class SwitchTooSlow(SwitchError):
    """Writes would be refused for longer than they may; another try may be quicker."""

    policy = Policy.RETRY


class SwitchUnequal(SwitchError):
    """Both sides are not alike at the moment of the switch."""


class TargetError(CdcError):
    """Something about Postgres stops us."""


class TargetUnavailable(TargetError):
    """Postgres cannot be reached, or the connection was lost: try again."""

    policy = Policy.RETRY
    exit_code = ExitCode.UNAVAILABLE


class TargetRefused(TargetError):
    """Postgres answered and said no: wrong password, unknown database or role, missing privilege.

    A daemon that runs waits for it to be allowed: a password is changed in two places, a grant comes later.
    """

    policy = Policy.RETRY
    exit_code = ExitCode.UNAVAILABLE


class TargetHindered(TargetError):
    """Postgres cannot do it now: it may only be read, has no room, or somebody ended the statement."""

    policy = Policy.RETRY
    exit_code = ExitCode.UNAVAILABLE


class TargetSurprise(TargetError):
    """Postgres refuses a statement that fitted what was there when both databases were looked at."""

    policy = Policy.SETTLE_ANEW


class TargetStateLost(TargetError):
    """Something of the schema `cdc` that is needed is not there any more: it is made again before anything goes on."""

    policy = Policy.RETRY


class TargetNotEmpty(TargetError):
    """Tables that this stream would create exist already and are not its own."""


class TargetMismatch(TargetError):
    """A table in Postgres cannot take the rows of its source table as mapped."""


class TargetTaken(TargetError):
    """A table in Postgres is fed by another source."""


class AlreadyRunning(TargetError):
    """Another daemon holds this source's lock."""


class Paused(CdcError):
    """Replication is held by `cdc pause`, and this cannot be done meanwhile."""


class ReplicationEnded(CdcError):
    """Replication of the file was ended on purpose, so nothing goes on by itself."""


class NotAgreed(CdcError):
    """So much in Postgres would be replaced that somebody has to say yes."""


class FlagNotSet(CdcError):
    """The application could not be told, by all of its flags, where to read and write."""


class RemovalRefused(CdcError):
    """Files of the time before the move cannot be removed, or put back, as things stand."""


class StillWorking(CdcError):
    """What was asked for has begun and is not done yet: wait."""

    policy = Policy.RETRY
    exit_code = ExitCode.UNAVAILABLE


class MappingError(CdcError):
    """A table or column cannot be mapped as configured."""

    exit_code = ExitCode.CONFIG


def did_you_mean(given: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """The beginning of a remedy for a name that is not known: the nearest known one as a question, or nothing.

    Names of a `likeness` of 0.8 and more differ by a letter or two.
    """
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(given.lower(), by_lower, n=1, cutoff=likeness)
    return f"did you mean `{by_lower[near[0]]}`? " if near else ""
