"""The first process of a container steps back: it starts another one to do the work, and waits for its end.

The kernel lets nothing inside a container kill the first process there, also not the deadlines of locks on the SQLite
file. So a container that is suspended at the wrong moment would keep the application from writing.
"""

import os
import signal
from contextlib import suppress
from typing import Final

ALL: Final = frozenset(signal.valid_signals())


def step_back() -> None:
    """Returns in a process of its own when this is the first one, which ends as that one does; else at once."""
    if os.getpid() != 1:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ALL)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while True:
        told = signal.sigwaitinfo(ALL)
        if told.si_signo == signal.SIGCHLD:
            _reap(child)
        elif told.si_code <= 0:  # sent by a process; what a terminal sends, the other one got as well
            with suppress(ProcessLookupError):
                os.kill(child, told.si_signo)


def _reap(child: int) -> None:
    """Let go of every process that ended; ends with the one that does the work."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                code = os.waitstatus_to_exitcode(ended[1])
                os._exit(code if code >= 0 else 128 - code)
