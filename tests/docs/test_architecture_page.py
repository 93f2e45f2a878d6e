"""The page of the architecture: what is made from the sources is current, and what people wrote names what there is."""

import ast
import re
from functools import cache

import pytest
import rooms
from pages import ROOT, page
from rooms import Room

PAGE = page("docs/architecture.md")
WALKS = PAGE.partition("## One key")[2].partition("## Where a promise is kept")[0]
NAMED = sorted(set(re.findall(r"`((?:cdc|tests|triggers)/[\w/.]*)(?:::([\w.]+))?`", PAGE)))
PROMISES = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| [")]


# --- what people wrote ------------------------------------------------------------------------------------------------


@cache
def names_in(file: str) -> frozenset[str]:
    """The functions, classes and methods of a source, and the statements of a file of SQL."""
    text = page(file)
    if file.endswith(".sql"):
        return frozenset(re.findall(r"^-- name: *(\w+)", text, re.MULTILINE))
    return frozenset(_defined(ast.parse(text).body))


def _defined(body: list[ast.stmt], within: str = "") -> list[str]:
    names = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names += [within + node.name]
            names += _defined(node.body, f"{node.name}.") if isinstance(node, ast.ClassDef) else []
    return names


@pytest.mark.parametrize(("path", "name"), NAMED, ids=["::".join(filter(None, n)) for n in NAMED])
def test_what_is_named_exists(path: str, name: str) -> None:
    assert (ROOT / path).exists()
    assert not name or name in names_in(path)


def test_each_walk_names_every_place_that_it_passes() -> None:
    for walk in WALKS.split("\n## "):
        steps = re.findall(r"^\d+\. ", walk, re.MULTILINE)
        assert len(steps) >= 5
        assert len(re.findall(r"`cdc/[\w/.]*::", walk)) >= len(steps), walk.partition("\n")[0]


def test_every_part_of_the_concepts_is_a_promise_with_a_room_and_a_test() -> None:
    parts = re.findall(r"^## (.+)$", page("docs/concepts.md"), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", part.lower()).replace(" ", "-") for part in parts}
    linked = {match[1] for promise, _, _ in PROMISES if (match := re.search(r"\(concepts\.md#([\w-]+)\)", promise))}
    assert linked == anchors
    known = {f"`{room.folder}/`" for room in rooms.rooms().values()}
    for _, homes, test in PROMISES:
        assert set(homes.split(", ")) <= known
        assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`", test)


# --- how the picture is made ------------------------------------------------------------------------------------------


def house(**uses: str) -> dict[str, Room]:
    return {name: Room(name, "", (), frozenset(used.split())) for name, used in uses.items()}


def test_a_room_stands_above_the_highest_that_it_uses() -> None:
    assert rooms.floors(house(a="", b="a", c="a b", d="", e="outside")) == {"a": 0, "b": 1, "c": 2, "d": 0, "e": 0}


def test_a_line_that_follows_from_others_is_not_drawn() -> None:
    assert rooms.essential(house(a="", b="a", c="a b", d="a c")) == [("b", "a"), ("c", "b"), ("d", "c")]


def test_a_circle_is_no_house() -> None:
    with pytest.raises(AssertionError, match="circle"):
        rooms.floors(house(a="b", b="a"))


def test_a_module_lies_in_its_folder_or_in_the_folder_of_its_engine() -> None:
    modules = ("errors",), ("stream", "loop"), ("postgres", "apply", "direct"), ("sqlite", "__init__")
    assert [rooms.room_of(parts) for parts in modules] == ["", "stream", "postgres.apply", ""]
