"""`cdc cleanup --legacy` that cannot do what was asked for, and never leaves half of it done."""

import json
from pathlib import Path

import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode


@pytest.fixture
def code(cut_off: Installation) -> Path:
    """A code base with both scripts, one of which is called."""
    folder = cut_off.folder / "code"
    folder.mkdir()
    (folder / "sync_sqlite_db.py").write_text("import sqlite3\n")
    (folder / "nas_sync.py").write_text("import sync_sqlite_db\n")
    (folder / "run.sh").write_text("python3 nas_sync.py\n")
    return folder


@pytest.mark.parametrize(
    "given",
    [["--apply"], ["code"], ["--legacy", "code", "--undo", "x"], ["--legacy", "code", "--capture-only"], ["--all"]],
)
@pytest.mark.usefixtures("code")
def test_a_search_that_does_not_say_where(cut_off: Installation, given: list[str]) -> None:
    template = "a search of a code base needs a place, and goes with no other work"
    refused(cut_off, ["cleanup", *given], template, ExitCode.USAGE)


def test_a_place_that_is_not_there(cut_off: Installation) -> None:
    refused(cut_off, ["cleanup", "--legacy", "nowhere"], "{given} is not there to be searched", ExitCode.USAGE)


def test_a_script_that_is_still_called_and_what_it_takes_to_remove_and_undo(cut_off: Installation, code: Path) -> None:
    apply = ["cleanup", "--legacy", "code", "--apply"]
    template = "named scripts are still called, so nothing was removed: {places}"
    assert "code/run.sh:1" in refused(cut_off, apply, template, ExitCode.CRITICAL)
    (code / "run.sh").write_text("true\n")
    state = cut_off.folder / ".cdc"
    state.mkdir()
    (state / "legacy").write_text("no folder")
    template = "{doing} {path} failed, and no file is lost: {error}"
    assert "File exists" in refused(cut_off, apply, template, ExitCode.CRITICAL)
    (state / "legacy").unlink()

    exit_code, out, _ = cut_off.run(*apply)
    assert (exit_code, sorted(p.name for p in code.iterdir())) == (ExitCode.OK, ["run.sh"])
    assert "\nCLEAN: 1 file searched, 0 left out\n" in out
    manifest = next(state.glob("legacy/*/manifest.json"))
    undo = ["cleanup", "--undo", str(manifest)]
    assert f"cdc {' '.join(undo)}" in out

    (code / "nas_sync.py").write_text("another")
    refused(cut_off, undo, "{path} is there again, and is not the file that was removed", ExitCode.CRITICAL)
    (code / "nas_sync.py").unlink()
    copy = next(manifest.parent.glob("*-nas_sync.py"))
    kept = copy.read_bytes()
    copy.write_bytes(b"damaged")
    refused(cut_off, undo, "the copy {folder} is not what was removed any more", ExitCode.CRITICAL)
    copy.write_bytes(kept)
    refused(
        cut_off, ["cleanup", "--undo", str(copy)], "{manifest_file} is no manifest of removed files", ExitCode.CRITICAL
    )

    exit_code, out, _ = cut_off.run(*undo, "--json")
    assert (exit_code, len(json.loads(out)["restored"])) == (ExitCode.OK, 2)
    exit_code, out, _ = cut_off.run("cleanup", "--legacy", "code", "--json")
    told = json.loads(out)
    assert (exit_code, told["clean"], len(told["remains"])) == (ExitCode.DIFFERENCE, False, 2)
    trail = [json.loads(line) for line in (state / "audit.jsonl").read_text().splitlines()]
    steps = [(entry["action"], entry["result"]) for entry in trail if "legacy" in entry["action"]]
    assert steps[-1] == ("put legacy files back", "done")
    assert ("remove legacy files", "done") in steps
