"""The soak works: a short one, always the same, strikes and compares and finds nothing."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEED = 4
STRIKES = "kill,end,terminate,mark,compare"


def soak(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.soak", "--seed", str(SEED), "--no-workloads", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def test_a_short_soak_finds_nothing() -> None:
    ended = soak("--minutes", "0.2", "--strikes", STRIKES)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n0 differences" in ended.stdout
    counted = re.search(r"([\d,]+) comparisons of all rows, ([\d,]+) snapshots", ended.stdout)
    assert counted is not None, ended.stdout
    assert all(int(number.replace(",", "")) > 2 for number in counted.groups())
    assert re.search(r"strikes: .*\d+ (kill|end|terminate|mark|compare)", ended.stdout)
    assert not re.search(r"^Traceback", ended.stderr, re.MULTILINE)


def test_a_strike_that_is_not_known_is_refused() -> None:
    ended = soak("--strikes", "earthquake")
    assert ended.returncode == 2
    assert "unknown strike earthquake" in ended.stderr
