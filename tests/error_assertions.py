"""How a refusal is judged: two lines that say what the source says, the right exit code, and nothing changed."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import click
from error_catalogue import ErrorSite, error_sites, literals, pattern
from installation import Installation, Outcome, Picture

from cdc.cli.main import cli
from cdc.errors import ExitCode

LONGEST_LINE: Final = 600  # characters; a paragraph that a tired person still reads, with the long paths of a test

SITES: Final[Sequence[ErrorSite]] = error_sites()


def refused(
    site: Installation,
    command: Sequence[str],
    template: str,
    exit_code: ExitCode,
    *,
    run: Callable[..., Outcome] | None = None,
    changes: Sequence[str] = (),
    with_json: bool = True,
) -> str:
    """Give a command that must be refused with the error of this template, as it stands in the source.

    Both lines must be those of the source, and both databases and the folder must be as before, except for parts whose
    names begin with one of `changes`. A command that knows `--json` is given once more with it, unless `with_json` is
    false. `run` gives the command, `Installation.run` by default. Returns the error's line.
    """
    before = site.picture()
    give = run or site.run
    code, out, err = give("-q", "--log-json", *command)
    error, remedy = _two_lines(err)
    assert out == "", f"a refused command answers nothing: {out}"
    _judge(error, remedy, code, template, exit_code)
    if with_json and _knows_json(command):
        code, out, err = give("-q", "--log-json", *command, "--json")
        told = json.loads(out)
        assert set(told) == {"error", "remedy", "exit_code"}
        assert _without_log(err) == []
        assert told["exit_code"] == code
        _judge(told["error"], told["remedy"], code, template, exit_code)
    _assert_same(before, site.picture(), changes)
    return error


def said(words: str, template: str, exit_code: ExitCode) -> None:
    """Judge what a process that ran on for a while, a daemon, wrote at its end: its last two lines."""
    error, remedy = _two_lines(words)
    _judge(error, remedy, exit_code, template, exit_code)


def logged(line: Mapping[str, str], template: str) -> None:
    """Judge a line of the log by which a daemon that goes on tells what it refused."""
    _judge(line["error"], line["remedy"], site_of(template).kind.exit_code, template, site_of(template).kind.exit_code)


def site_of(template: str) -> ErrorSite:
    """The place in the source that makes the error of this template."""
    found = [site for site in SITES if site.message == template]
    assert found, f"no error of the package has the message {template!r}"
    return found[0]


def _judge(error: str, remedy: str, code: int, template: str, exit_code: ExitCode) -> None:
    wanted = site_of(template)
    assert pattern(template).fullmatch(error), f"{error!r} is not {template!r}"
    fitting = [s for s in SITES if pattern(s.message).fullmatch(error)]
    meant = max(fitting, key=lambda s: len(literals(s.message)))
    assert meant.message == template, f"{error!r} comes from {meant.message!r}, not from {template!r}"
    assert pattern(wanted.remedy).fullmatch(remedy), f"{remedy!r} is not {wanted.remedy!r}"
    assert remedy, "every error has a remedy"
    assert code == exit_code == wanted.kind.exit_code, f"exit code {code} for: {error}"


def _two_lines(err: str) -> tuple[str, str]:
    """The text of the error and of the remedy: all there is on stderr beside the log."""
    lines = _without_log(err)
    assert [line.partition(": ")[0] for line in lines] == ["error", "remedy"], f"not two lines:\n{err}"
    assert max(map(len, lines)) <= LONGEST_LINE, f"too long to be read:\n{err}"
    error, remedy = (line.partition(": ")[2] for line in lines)
    return error, remedy


def _without_log(err: str) -> list[str]:
    return [line for line in err.splitlines() if not line.startswith('{"at": ')]


def _knows_json(command: Sequence[str]) -> bool:
    found: click.Command = cli
    for word in command:
        if isinstance(found, click.Group) and word in found.commands:
            found = found.commands[word]
    return any("--json" in option.opts for option in found.params) and "--json" not in command


def _assert_same(before: Picture, after: Picture, changes: Sequence[str]) -> None:
    different = {
        name: (before.get(name, "was not there"), after.get(name, "is gone"))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name) and not name.startswith(tuple(changes))
    }
    assert not different, f"a refused command changed: {different}"
