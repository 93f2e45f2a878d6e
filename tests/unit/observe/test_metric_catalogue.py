"""A metric that is in the catalogue, and so on its page, is one that somebody gives a value."""

import ast
from pathlib import Path

import pytest

from cdc.observe import metric_catalogue
from cdc.observe.metric_catalogue import CATALOGUE, Metric, MetricKind

FOLDER = Path(metric_catalogue.__file__).parent
CONSTANTS = [name for name, metric in vars(metric_catalogue).items() if isinstance(metric, Metric)]


def used_in(file: str) -> set[str]:
    tree = ast.parse((FOLDER / file).read_text(encoding="utf-8"))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_metric_is_measured_when_asked_or_counted_as_it_happens(name: str) -> None:
    metric = getattr(metric_catalogue, name)
    file = "collector.py" if metric.kind is MetricKind.GAUGE else "counters.py"
    assert name in used_in("proxy_metrics.py" if name.startswith("PROXY_") else file)


def test_metrics_are_told_apart_by_their_names_and_a_counter_says_that_it_is_one() -> None:
    assert len(CONSTANTS) == len(CATALOGUE) == len({metric.name for metric in CATALOGUE})
    assert {m.name.endswith("_total") for m in CATALOGUE if m.kind is MetricKind.COUNTER} == {True}
    assert all(m.name.startswith("cdc_") and m.help.endswith(".") for m in CATALOGUE)
