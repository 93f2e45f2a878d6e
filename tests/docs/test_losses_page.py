"""The page of known losses names tests, and every one of them is there."""

import ast
import re
from functools import cache

import pytest
from pages import ROOT, page

PAGE = page("docs/losses.md")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@cache
def written_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in found if node.name.startswith("test_")}


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert name in written_in(file)


def test_every_loss_names_a_test_or_says_that_there_is_nothing_to_test() -> None:
    losses = re.split(r"^- ", PAGE, flags=re.MULTILINE)[1:]
    assert len(losses) >= 29
    untested = [loss.partition("**")[2].partition("**")[0] for loss in losses if "::" not in loss]
    assert untested == [
        "A table that is empty forgets how far it had counted",
        "`GROUP BY` with other columns selected",
    ]


def test_every_known_loss_is_on_the_page() -> None:
    assert written_in("tests/integration/stream/test_known_losses.py") <= {name for _, name in NAMED}
