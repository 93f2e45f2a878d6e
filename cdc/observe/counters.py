"""What is counted as it happens, in Prometheus' own counters: they are right for readers in other threads."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from cdc.facts.changes import AppliedBatch
from cdc.observe import metric_catalogue
from cdc.observe.daemon_state import Listener
from cdc.observe.metric_catalogue import Metric

# From a single row on a fast machine to a whole table of millions.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
ACTIONS: Final = ("upserted", "deleted", "quarantined", "released", "returned", "altered")


class Tally(Listener):
    """Counts what the daemon does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(metric: Metric) -> Counter:
            return Counter(metric.name, metric.help, metric.labels, registry=registry)

        def histogram(metric: Metric) -> Histogram:
            return Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=BUCKETS)

        self._batches = counter(metric_catalogue.BATCHES)
        self._changes = counter(metric_catalogue.CHANGES)
        self._rows = counter(metric_catalogue.ROWS)
        self._errors = counter(metric_catalogue.ERRORS)
        self._reconnects = counter(metric_catalogue.RECONNECTS)
        self._pruned = counter(metric_catalogue.PRUNED)
        self._seconds = histogram(metric_catalogue.BATCH_SECONDS)
        self._lag = histogram(metric_catalogue.APPLY_LAG_SECONDS)
        self._was_open = False

    def applied(self, batch: AppliedBatch) -> None:
        """A batch was committed in Postgres."""
        self._batches.inc()
        self._changes.inc(batch.changes)
        self._seconds.observe(batch.seconds)
        if batch.lag_seconds is not None:
            self._lag.observe(batch.lag_seconds + batch.seconds)
        for table, rows in batch.tables.items():
            for action in ACTIONS:
                if count := getattr(rows, action):
                    self._rows.labels(table, action).inc(count)

    def opened(self) -> None:
        """Both databases were opened and settled."""
        if self._was_open:
            self._reconnects.inc()
        self._was_open = True

    def failed(self, error: Exception) -> None:
        """An attempt ended with an error."""
        self._errors.labels(type(error).__name__).inc()

    def pruned(self, entries: int) -> None:
        """So many entries were taken out of the changelog."""
        self._pruned.inc(entries)
