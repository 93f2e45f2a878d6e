"""What is measured when somebody asks: the lag by one short read of the file, the rest from what the daemon knows."""

import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from cdc import __version__
from cdc.config import Config
from cdc.facts.changes import Reason
from cdc.observe import metric_catalogue as names
from cdc.observe import state_folder
from cdc.observe.daemon_state import Activity, DaemonState
from cdc.observe.metric_catalogue import Metric
from cdc.observe.state_folder import StateFolder
from cdc.sqlite.changelog.lag import SourceFacts, read_source
from cdc.sqlite.connection.open import library_version
from cdc.sqlite.snapshot.manifest import Manifest
from cdc.sqlite.snapshot.snapshot import latest

LAG_SECONDS: Final = 1.0  # how old a reading of the file may be; several who ask at once share one
FOLDER_SECONDS: Final = 60.0  # the same for the state folder, whose every file is asked for its size
RESULTS: Final = ("equal", "different", "critical")

T = TypeVar("T")


class Remembered(Generic[T]):
    """A reading that is taken again once it is too old; whoever asks meanwhile waits for the one under way."""

    def __init__(self, read: Callable[[], T], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._lock = threading.Lock()
        self._known: tuple[float, T] | None = None

    def __call__(self) -> T:
        """The reading, at most so many seconds old."""
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > self._seconds:
                self._known = time.monotonic(), self._read()
            return self._known[1]


class Gauges(Collector):
    """Measures at the moment of a scrape; what is not known is left out."""

    def __init__(self, config: Config, daemon_state: DaemonState) -> None:
        self._daemon_state = daemon_state
        self.source: Remembered[SourceFacts] = Remembered(
            lambda: read_source(config.source, daemon_state.position), LAG_SECONDS
        )
        self._folder: Remembered[StateFolder] = Remembered(lambda: state_folder.measure(config), FOLDER_SECONDS)
        self._snapshot: Remembered[Manifest | None] = Remembered(lambda: _newest(config), FOLDER_SECONDS)

    def collect(self) -> Iterator[Family]:
        """Every gauge of the catalogue whose value is known."""
        yield _labelled(names.BUILD, {(__version__, platform.python_version(), library_version()): 1})
        yield from self._life()
        yield from self._source()
        yield from self._target()
        yield from self._state()

    def _life(self) -> Iterator[Family]:
        daemon_state = self._daemon_state
        yield _labelled(names.STATE, {(doing.value,): doing is daemon_state.doing for doing in Activity})
        yield from _known(names.UPTIME, time.time() - daemon_state.began_at)
        yield from _known(names.BEAT_AGE, daemon_state.silent_seconds)
        yield from _known(names.APPLY_AGE, _since(daemon_state.applied_at))
        yield from _known(names.HEARTBEAT_AGE, _since(daemon_state.heartbeat_at))
        yield from _known(names.ATTEMPTS, daemon_state.attempts)
        yield from _known(names.ALARMS, len(daemon_state.alarms))

    def _source(self) -> Iterator[Family]:
        found = self.source()
        yield from _known(names.SOURCE_READABLE, found.reachable)
        yield from _known(names.POSITION, self._daemon_state.position)
        yield from _known(names.NEWEST, found.newest_seq)
        back = self._daemon_state.waiting_back
        yield from _known(names.LAG_CHANGES, back.changes if back else found.pending)
        yield from _known(names.LAG_SECONDS, (back or found).lag_seconds)
        yield from _known(names.KEPT, found.kept)

    def _target(self) -> Iterator[Family]:
        yield from _known(names.TARGET_REACHABLE, self._daemon_state.target_reached)
        found = self._daemon_state.found
        if found is None:
            return
        reasons = {reason.value: 0 for reason in Reason} | dict(found.quarantine)
        yield _labelled(names.QUARANTINE, {(reason,): rows for reason, rows in reasons.items()})
        if found.verified is not None and found.verified_at is not None:
            yield _labelled(names.VERIFIED, {(r,): r == found.verified for r in RESULTS})
            yield from _known(names.VERIFICATION_AGE, max(0.0, time.time() - found.verified_at))
        if found.oldest_at is not None:
            yield from _known(names.COMPARED_AGE, max(0.0, time.time() - found.oldest_at))

    def _state(self) -> Iterator[Family]:
        snapshot, folder = self._snapshot(), self._folder()
        if snapshot is not None:
            age = datetime.now(UTC) - datetime.fromisoformat(snapshot.taken_at)
            yield from _known(names.SNAPSHOT_AGE, age.total_seconds())
        yield _labelled(names.STATE_BYTES, {(part,): size for part, size in folder.parts.items()})
        yield _labelled(names.FREE_BYTES, {(disk,): size for disk, size in folder.free.items()})


def _newest(config: Config) -> Manifest | None:
    found = latest(config.state.dir / "snapshots", config.source.path)
    return found.manifest if found else None


def _since(moment: float | None) -> float | None:
    return None if moment is None else time.monotonic() - moment


def _known(metric: Metric, value: float | None) -> Iterator[Family]:
    if value is not None:
        yield GaugeMetricFamily(metric.name, metric.help, value=float(value))


def _labelled(metric: Metric, values: Mapping[tuple[str, ...], float]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, float(value))
    return family
