"""The page of the benchmarks shows the recorded run and nothing else."""

from benchmarks import record
from benchmarks.figures import Figure
from benchmarks.page import PAGE, with_tables
from benchmarks.record import Record

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_recorded_run() -> None:
    assert with_tables(TEXT, record.load()) == TEXT, "run `make docs`"


def test_every_recorded_benchmark_has_a_place_on_the_page() -> None:
    for name in {figure.id.partition(".")[0] for figure in record.load().figures}:
        assert f"<!-- figures: {name} -->" in TEXT


def test_another_run_would_make_another_page() -> None:
    figures = [Figure(id="load.text", what="a load", value=1234, unit="rows/s", ratio=0.5)]
    assert "| a load | 1,234 rows/s | 0.50 |" in with_tables(TEXT, Record({"cores": "64"}, figures))
