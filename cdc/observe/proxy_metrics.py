"""Metrics and health of the shadow proxy: the same pages as the daemon's, served by its own process."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from cdc.facts.proxy import ProxyFacts
from cdc.facts.timings import Timings
from cdc.observe import metric_catalogue as names
from cdc.observe.http import pages_served
from cdc.observe.metric_catalogue import Metric

SILENT_SECONDS: Final = 10.0  # a loop that did not come round for so long serves nobody
BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0015, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


@contextmanager
def proxy_pages(listen: str | None, facts: Callable[[], ProxyFacts]) -> Iterator[str | None]:
    """Serve both pages for the time of a block, and yield their address; raises `ConfigError`."""
    if listen is None:
        yield None
        return
    registry = CollectorRegistry()
    registry.register(_ProxyCollector(facts))
    with pages_served(listen, registry, lambda: _health(facts().silent_seconds)) as address:
        yield address


def _health(silent_seconds: float) -> dict[str, Any]:
    healthy = silent_seconds < SILENT_SECONDS
    reason = None if healthy else "the loop of the proxy does not come round"
    return {"healthy": healthy, "reason": reason, "silent_seconds": round(silent_seconds, 1)}


class _ProxyCollector(Collector):
    def __init__(self, facts: Callable[[], ProxyFacts]) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Family]:
        """Every metric of the proxy, as it stands now."""
        facts = self._facts()
        yield _counter(names.PROXY_REQUESTS, {(): facts.requests})
        yield _counter(names.PROXY_PAIRS, {(verdict,): count for verdict, count in facts.verdicts.items()})
        yield _counter(names.PROXY_NOT_COMPARED, {(reason,): count for reason, count in facts.not_compared.items()})
        yield _counter(names.PROXY_HELD, {(): facts.held})
        yield _histogram(names.PROXY_ADDED, facts.added)
        yield _gauge(names.PROXY_WAITING, {(): facts.waiting})
        yield _gauge(names.PROXY_WRITING, {(): facts.writing})
        yield _gauge(names.PROXY_QUEUE, {(): facts.pairs_waiting})
        yield _gauge(names.PROXY_ACTIVE, {(side,): side == facts.active for side in facts.sides})
        yield _gauge(names.PROXY_BREAKER, {(state,): state == facts.breaker for state in facts.breaker_states})
        yield _gauge(names.PROXY_CANARY, {(): facts.serves_candidate})
        yield _gauge(names.PROXY_SILENT, {(): facts.silent_seconds})


def _counter(metric: Metric, values: Mapping[tuple[str, ...], float]) -> Family:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    return _filled(family, values)


def _gauge(metric: Metric, values: Mapping[tuple[str, ...], float]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    return _filled(family, values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[tuple[str, ...], float]) -> Family:
    for labels, value in values.items():
        family.add_metric(labels, float(value))
    return family


def _histogram(metric: Metric, timings: Timings) -> Family:
    buckets = [(str(most), float(timings.within(most))) for most in BUCKETS]
    return HistogramMetricFamily(
        metric.name, metric.help, buckets=[*buckets, ("+Inf", float(timings.samples))], sum_value=timings.seconds
    )
