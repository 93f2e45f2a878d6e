"""The page of faults names a promise and a test for each, and every one of the tests is there."""

import ast
import re
from functools import cache

import pytest
from pages import ROOT, page

PAGE = page("docs/reliability.md")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "::" in line]


@cache
def written_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert name in written_in(file)


def test_every_fault_has_a_promise_a_test_and_a_count() -> None:
    faults = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| fault", "| ---"))]
    assert len(faults) == len(ROWS) >= 25
    assert all(len(row) == 4 and all(cell.strip(" |") for cell in row) for row in ROWS)
