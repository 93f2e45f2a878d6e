"""What the daemon knows of itself while it runs: the loop writes it, the watchdog, metrics and health checks read it.

The loop is the only writer, readers are other threads: each attribute is replaced as a whole and never changed in
place, so a reader sees the old or the new value and needs no lock.
"""

import time
from enum import StrEnum

from cdc.model import AppliedBatch


class Doing(StrEnum):
    """What the daemon is doing now; `WAITING` is for a database that cannot be reached, `LOADING` the first copy."""

    STARTING = "starting"
    LOADING = "loading"
    STREAMING = "streaming"
    WAITING = "waiting"
    STOPPING = "stopping"


class Vitals:
    """The signs of life of one daemon."""

    def __init__(self) -> None:
        self.doing = Doing.STARTING
        self.began_at = time.time()  # seconds since 1970
        self.last_beat = time.monotonic()
        self.position: int | None = None  # the changelog entry up to which Postgres has everything
        self.last_batch: AppliedBatch | None = None
        self.last_error: str | None = None  # of the attempt that failed last, None once an attempt succeeded

    def beat(self) -> None:
        """The loop got something done: a look at the file, a round, a statement, a batch."""
        self.last_beat = time.monotonic()

    def applied(self, batch: AppliedBatch) -> None:
        """A batch was committed in Postgres."""
        self.last_batch = batch
        self.position = batch.last_seq
        self.beat()

    @property
    def silent_seconds(self) -> float:
        """How long ago the loop last got something done."""
        return time.monotonic() - self.last_beat
