"""TAB in real shells: what `cdc completion` prints completes commands, options, files and tables."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import apsw
import pytest

from cdc.cli import main
from cdc.cli.completion import SHELLS

DEADLINE_SECONDS = 30.0
PROMPT = "ready> "
# Every shell that is there, started without the files of whoever runs the test; bash always is.
STARTED = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "--interactive"],
}
PREPARED = {
    "bash": f"PS1='{PROMPT}'; eval \"$(cdc completion bash)\"",
    "zsh": f"PS1='{PROMPT}'; autoload -Uz compinit; compinit -u; eval \"$(cdc completion zsh)\"",
    "fish": f"function fish_prompt; echo -n '{PROMPT}'; end; cdc completion fish | source",
}
THERE = [shell for shell in SHELLS if shutil.which(shell)]


class Terminal:
    """A shell on a terminal of its own, and what it has shown so far."""

    def __init__(self, shell: str, folder: Path) -> None:
        ours, theirs = pty.openpty()
        self._terminal = ours
        self._shown = ""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *STARTED[shell]],  # fish does not start without a terminal of its own
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**os.environ, "PATH": path, "HOME": str(folder), "TERM": "dumb", "COLUMNS": "200"},
        )
        os.close(theirs)
        self._prepare = f"{PREPARED[shell]}; echo pre''pared\n"

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def sees(self, words: str) -> None:
        """Wait until the words have appeared since the last time; fails with all that was shown."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while words not in (told := re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x08", "", self._shown)):
            assert time.monotonic() < deadline, f"no {words!r} in {told!r}"
            if select.select([self._terminal], [], [], 0.1)[0]:
                self._shown += os.read(self._terminal, 4096).decode(errors="replace")
        self._shown = ""

    def __enter__(self) -> Self:
        self.press(self._prepare)
        self.sees("prepared")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


def test_bash_is_among_the_shells_that_are_tested() -> None:
    assert "bash" in THERE


@pytest.mark.parametrize("shell", THERE)
def test_tab_completes_commands_options_and_files(shell: str, tmp_path: Path) -> None:
    (tmp_path / "application.db").touch()
    with Terminal(shell, tmp_path) as terminal:
        terminal.press("cdc stat\t")
        terminal.sees("cdc status")
        terminal.press("--max-lag-s\t")
        terminal.sees("--max-lag-seconds")
        terminal.press("\x15cdc quarantine ackn\t")
        terminal.sees("acknowledge")
        terminal.press("\x15cdc init appli\t")
        terminal.sees("application.db")


def complete(*words: str) -> list[str]:
    """What bash would be offered for the last word."""
    found = subprocess.run(
        [str(Path(sys.executable).with_name("cdc"))],
        env={
            **os.environ,
            "_CDC_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stderr == ""
    return [line.partition(",")[2] for line in found.stdout.split()]


def test_tables_of_the_newest_snapshot_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    connection = apsw.Connection("app.db")
    connection.execute("CREATE TABLE content(id INTEGER PRIMARY KEY); CREATE TABLE contents(id INTEGER PRIMARY KEY)")
    connection.close()
    assert complete("cdc", "verify", "--table", "con") == []
    assert main(["init", "app.db"]) == 0
    assert complete("cdc", "verify", "--table", "con") == []
    assert main(["-q", "snapshot"]) == 0
    assert complete("cdc", "verify", "--table", "con") == ["content", "contents"]
    assert complete("cdc", "-c", "cdc.toml", "quarantine", "list", "--table", "") == ["content", "contents"]
    assert complete("cdc", "-c", "none.toml", "verify", "--table", "con") == []


def test_completion_imports_neither_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "from cdc.cli import main; main([])"
    )
    monkeypatch.setenv("_CDC_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "cdc ver")
    monkeypatch.setenv("COMP_CWORD", "1")
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "plain,verify\n"
    assert {"apsw", "asyncpg", "sqlglot"}.isdisjoint(json.loads(found.stderr))
