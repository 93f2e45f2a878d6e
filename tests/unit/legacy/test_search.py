"""A search finds what is left of the time before the move in every kind of file, and nothing that looks like it."""

from pathlib import Path

import pytest
from code_base import DATABASE, FLAG, REMAINS, SCRIPTS, Case, write
from hypothesis import given
from hypothesis import strategies as st
from lookalikes import LOOKALIKES

from cdc.legacy.commands import in_shell
from cdc.legacy.names import LegacyNames
from cdc.legacy.python import in_python
from cdc.legacy.readers import reader_for
from cdc.legacy.remains import telling
from cdc.legacy.search import LegacyReport, search
from cdc.legacy.tree import MOST_BYTES

NAMES = LegacyNames(SCRIPTS, [DATABASE], [FLAG])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    write(folder, (*REMAINS, *LOOKALIKES))
    return folder


@pytest.fixture(scope="module")
def report(root: Path) -> LegacyReport:
    return search([root], NAMES)


def found_in(case: Case, root: Path, report: LegacyReport) -> set[tuple[int, str]]:
    return {(remain.line, remain.kind.word) for remain in report.remains if remain.path == root / case.path}


@pytest.mark.parametrize("case", REMAINS, ids=lambda case: case.name)
def test_a_remain_is_found_with_its_line_and_kind(case: Case, root: Path, report: LegacyReport) -> None:
    assert found_in(case, root, report) == set(case.expected)


@pytest.mark.parametrize("case", LOOKALIKES, ids=lambda case: case.name)
def test_what_looks_like_one_is_not_found(case: Case, root: Path, report: LegacyReport) -> None:
    assert found_in(case, root, report) == set()


def test_there_are_thirty_of_each_and_nothing_else_is_found(root: Path, report: LegacyReport) -> None:
    assert min(len(REMAINS), len(LOOKALIKES)) >= 30
    assert {remain.path for remain in report.remains} == {root / case.path for case in REMAINS}


# --- names ------------------------------------------------------------------------------------------------------------

_PART = st.text("abz019_-.+~", min_size=1, max_size=4)


@given(before=_PART, after=_PART, name=st.sampled_from(SCRIPTS))
def test_a_name_within_another_name_is_never_found(before: str, after: str, name: str) -> None:
    for word in (before + name, name + after if after.strip(".") else name + "x"):
        assert not NAMES.script_in(f"python3 /srv/{word} --full"), word
        assert not list(in_shell(f"python3 /srv/{word}", NAMES)), word
        assert not in_python(f"run(['python', {word!r}])", NAMES), word


@given(
    before=st.sampled_from(["", "/srv/", "./", "a b/", "C:\\nas\\", "=", "('", '"', "nas:", "${D}/", "<"]),
    after=st.sampled_from(["", " --full", "'", '"', ")", ";", ",", ":main", ".", "|", ">x", "\n"]),
    name=st.sampled_from(SCRIPTS),
)
def test_a_whole_name_is_found_whatever_stands_beside_it(before: str, after: str, name: str) -> None:
    assert NAMES.script_in(before + name + after) == name


@given(st.text(max_size=200), st.sampled_from(["'", '"', "#", "\\", "`", "$(", "<<E\n", "/*", "\0"]))
def test_no_reader_fails_on_any_text(text: str, mark: str) -> None:
    whole = f"{text}{mark}\n{text}nas_sync.py\n"
    for name in ("a.sh", "a.js", "a.json", "a.yml", "a.toml", "Dockerfile", "Makefile", "crontab", "a.service", "a.c"):
        path = Path(name)
        for trace in reader_for(path, whole)(whole, NAMES, path):
            assert 1 <= trace.line <= whole.count("\n") + 1, (name, trace)


# --- the tree ---------------------------------------------------------------------------------------------------------


def test_what_is_left_out_is_counted_and_what_cannot_be_read_is_not_clean(tmp_path: Path) -> None:
    root, outside = tmp_path / "app", tmp_path / "outside"
    (root / "node_modules").mkdir(parents=True)
    (root / "node_modules" / "a.js").write_text("require('sqlite3')")
    (root / "cache").mkdir()
    (root / "cache" / "a.py").write_text("import sqlite3")
    outside.mkdir()
    (outside / "b.py").write_text("import sqlite3")
    (root / "loop").symlink_to(root)
    (root / "away").symlink_to(outside)
    (root / "picture.png").write_bytes(b"\x89PNG\0")
    (root / "large.sh").write_text("#" * (MOST_BYTES + 1))
    (root / "app.py").write_text("import os\n")
    report = search([root], NAMES, ["cache/*"])
    assert report.clean
    assert report.searched == 1
    assert report.unsearched.files == {"a link": 2, "binary": 1, "excluded": 1, "larger than 4 MiB": 1}
    assert report.unsearched.folders == {"node_modules": 1}

    (root / "run").symlink_to("../outside/nas_sync.py")
    assert [(r.kind.word, r.text) for r in search([root], NAMES, ["cache/*"]).remains] == [
        ("link", "-> ../outside/nas_sync.py")
    ]
    (root / "run").unlink()
    report = search([root], NAMES, ["cache/*"])
    report.unsearched.unreadable.append("a")
    assert not report.clean


def test_the_callers_of_what_starts_a_script_are_named() -> None:
    source = """
def auto_sync():
    subprocess.run(["python", "nas_sync.py"])

async def handle(self):
    auto_sync()
    loop.call_later(5, auto_sync)
"""
    (trace,) = telling(in_python(source, NAMES))
    assert (trace.line, trace.todo) == (3, "take it out; `auto_sync`, where it stands, is used in lines 6, 7")


def test_a_search_of_nothing_shows_nothing(tmp_path: Path) -> None:
    """A slip in the path must not read as proof: an empty folder, and one that has only what is left out."""
    assert not search([tmp_path], NAMES).clean
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("x")
    assert not search([tmp_path], NAMES).clean
    (tmp_path / "app.py").write_text("print('hello')\n")
    assert search([tmp_path], NAMES).clean
