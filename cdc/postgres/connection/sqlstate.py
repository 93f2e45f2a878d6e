"""What becomes of an error by its SQLSTATE: one table, after the appendix "PostgreSQL Error Codes" of its manual.

A code of five characters counts before its class, the first two. What the driver reports without a code (a connection
that was reset, no answer in time) is none of this: that is always a lost connection.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Answer(Enum):
    """What to do about an error of the server.

    `RECONNECT`: the connection or the server is going away. `WAIT`: it cannot be done now, and can be later without
    anything being decided. `REFUSED`: somebody has to allow it, and then it goes on. `POOLER`: what answers is no
    session of ours. `ANEW`: a statement does not fit what is there, so what was known of the database is void; if it
    fits no better once that was read again, a person has to look.
    """

    RECONNECT = "reconnect"
    WAIT = "wait"
    REFUSED = "refused"
    POOLER = "pooler"
    ANEW = "anew"


@dataclass(frozen=True, slots=True)
class Treatment:
    """What to do, and how "it is tried again by itself" goes on for a person who could help."""

    answer: Answer
    help: str = ""


_WRITABLE: Final = (
    " once Postgres can be written to: promote the standby or let `dsn` name the primary, and end "
    "`default_transaction_read_only` where it is set"
)
_ROOM: Final = " once Postgres has room: free space on its disk, or let it use more memory and connections"
_DISK: Final = "; the server's log says what its disk or its files refuse"
_LOCK: Final = "; `pg_stat_activity` shows who holds the lock"
_CANCEL: Final = "; if something ends long statements or transactions, except this role from it"
_CORRUPT: Final = "; the server's log says which file is damaged: restore it from a backup, or rebuild the index"

_TREATMENTS: Final[Mapping[str, Treatment]] = {
    "08": Treatment(Answer.RECONNECT),  # connection exception
    "0A": Treatment(Answer.ANEW),  # feature not supported: `cached plan must not change result type` is one
    "25": Treatment(Answer.WAIT),  # invalid transaction state
    "25006": Treatment(Answer.WAIT, _WRITABLE),  # read-only transaction
    "25P03": Treatment(Answer.WAIT, _CANCEL),  # idle in transaction for too long
    "25P04": Treatment(Answer.WAIT, _CANCEL),  # transaction took too long
    "26": Treatment(Answer.POOLER),  # invalid statement name: another session of the server has it
    "28": Treatment(Answer.REFUSED),  # invalid authorization
    "34": Treatment(Answer.POOLER),  # invalid cursor name
    "3D": Treatment(Answer.REFUSED),  # invalid catalogue name
    "40": Treatment(Answer.WAIT),  # transaction rollback: deadlock, serialization failure
    "42P05": Treatment(Answer.POOLER),  # a prepared statement of that name is there already
    "42501": Treatment(Answer.REFUSED),  # insufficient privilege
    "53": Treatment(Answer.WAIT, _ROOM),  # insufficient resources: disk, memory, connections
    "53300": Treatment(Answer.RECONNECT),  # too many connections
    "54001": Treatment(Answer.WAIT, _ROOM),  # statement too complex: the stack of the server is at its limit
    "55": Treatment(Answer.WAIT),  # object not in prerequisite state: in use, or during recovery
    "55000": Treatment(Answer.WAIT, _WRITABLE),  # `recovery is in progress`: no log is written on a standby
    "55P03": Treatment(Answer.WAIT, _LOCK),  # lock not available
    "57": Treatment(
        Answer.RECONNECT
    ),  # operator intervention: shutdown, crash, starting up, idle session, dropped database
    "57014": Treatment(Answer.WAIT, _CANCEL),  # query cancelled
    "58": Treatment(Answer.WAIT, _DISK),  # system error
    "XX001": Treatment(Answer.WAIT, _CORRUPT),  # data corrupted
    "XX002": Treatment(Answer.WAIT, _CORRUPT),  # index corrupted
}
_OTHER: Final = Treatment(Answer.ANEW)


def judge(sqlstate: str | None) -> Treatment:
    """What to do about an error with this code; one that stands nowhere says that a statement does not fit."""
    code = sqlstate or ""
    return _TREATMENTS.get(code) or _TREATMENTS.get(code[:2]) or _OTHER
