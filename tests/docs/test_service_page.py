"""What docs/service.md says of the log, the units and the limits is what the program does."""

import ast
import re
from pathlib import Path

from cdc import log
from cdc.daemon import stop

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")


def test_every_field_of_a_log_line_is_explained_and_no_other() -> None:
    table = PAGE.partition("## The log")[2].partition("\n\nA step")[0]
    explained = {
        name for line in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)
    }
    bound = {
        keyword.arg
        for file in (ROOT / "cdc").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "bind"
        for keyword in node.keywords
        if keyword.arg
    }
    assert explained == bound | {"repeated", "held_back"}


def test_the_limits_are_those_of_the_program() -> None:
    assert f"may finish for {stop.FINISH_SECONDS:.0f} s" in PAGE
    assert f"once in {log.WINDOW_SECONDS:.0f} s" in PAGE
    assert f"writes {log.PLACE_LINES} lines in that time,\nall of them together {log.ALL_LINES}" in PAGE


def test_the_silence_of_the_watchdog_is_that_of_the_units() -> None:
    silence = re.search(r"The unit says (\d+) s", PAGE)
    assert silence is not None
    for name in ("cdc.service", "cdc@.service"):
        assert f"WatchdogSec={silence[1]}\n" in (ROOT / "systemd" / name).read_text(encoding="utf-8")
