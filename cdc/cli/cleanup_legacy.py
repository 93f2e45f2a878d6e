"""`cdc cleanup --legacy`: what is left of the time before the move, the plan of its removal, and the removal itself."""

import functools
import itertools
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cdc.audit.trail import Detail
from cdc.cli.options import Options, audited
from cdc.cli.output import print_json, say
from cdc.config import Config, StateSection
from cdc.errors import ExitCode, RemovalRefused, UsageError
from cdc.facts.counted import counted
from cdc.log import redact

if TYPE_CHECKING:
    from cdc.legacy.remains import Remain
    from cdc.legacy.search import LegacyReport

_HEADINGS: Final = {
    "switch off": "first switch off what starts them by itself",
    "edit": "then edit these lines",
    "remove": "then remove these files",
    "put away": "at last put the databases away",
}
_PIPED_WIDTH: Final = 160
_NAMES_SHOWN: Final = 4
_PLACES_IN_AN_ERROR: Final = 3


_OPTIONS: Final = (
    click.option("--legacy", type=click.Path(path_type=Path), metavar="PATH", help="Search PATH, and those behind it."),
    click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]..."),
    click.option("--apply", is_flag=True, help="Remove named scripts that nothing calls, with a backup."),
    click.option("--even-if-called", is_flag=True, help="With --apply: whatever calls them, and fails then."),
    click.option("--undo", type=click.Path(path_type=Path), metavar="MANIFEST", help="Put removed scripts back."),
    click.option("--all", "show_all", is_flag=True, help="With --legacy: mentions in comments and texts as well."),
    click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object."),
)


@dataclass(frozen=True, slots=True)
class LegacyCall:
    """What was asked for of the time before the move."""

    legacy: Path | None
    paths: tuple[Path, ...]
    apply: bool
    even_if_called: bool
    undo: Path | None
    show_all: bool
    as_json: bool


def with_legacy(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the options of this file; it is not run itself when one of them is given."""

    @functools.wraps(command)
    def chosen(session: Options, **given: Any) -> Any:
        call = LegacyCall(**{field.name: given.pop(field.name) for field in fields(LegacyCall)})
        if not any((call.legacy, call.paths, call.apply, call.even_if_called, call.undo, call.show_all)):
            return command(session, as_json=call.as_json, **given)
        if (call.legacy is None) == (call.undo is None) or any(given.values()) or (call.undo and call.paths):
            raise UsageError(
                "a search of a code base needs a place, and goes with no other work",
                remedy="name the folders alone: `cdc cleanup --legacy PATH`, or `--undo MANIFEST`",
            )
        return _undo(session, call.undo, as_json=call.as_json) if call.undo else _search(session, call)

    for option in reversed(_OPTIONS):
        option(chosen)
    return chosen


def _undo(session: Options, manifest: Path, *, as_json: bool) -> ExitCode:
    """Put back what `--apply` removed."""
    from cdc.legacy.removal import put_back

    config = _config(session)
    about: dict[str, Detail] = {"manifest": str(manifest)}
    # Without a configuration there is no audit trail.
    with audited(config, "put legacy files back", **about) if config else nullcontext(about) as told:
        restored, there = put_back(manifest)
        told["files"] = restored
    if as_json:
        print_json({"restored": restored, "unchanged": there})
        return ExitCode.OK
    for path in restored:
        say(f"put back: {path}")
    say(f"{counted(len(restored), 'file')} put back, {len(there):,} had been there as they were")
    return ExitCode.OK


def _search(session: Options, call: LegacyCall) -> ExitCode:
    """Search, tell, and remove when that was asked for; the exit code tells whether anything is left."""
    from cdc.legacy.names import wanted_by
    from cdc.legacy.search import search

    config = _config(session)
    state = config.state.dir if config else StateSection().dir
    exclude = config.legacy.exclude if config else []
    wanted = wanted_by(config)
    paths = [path for path in (call.legacy, *call.paths) if path is not None]
    ours = [state, session.config_path]
    report = search(paths, wanted, exclude, ours)
    manifest = None
    if call.apply and report.scripts:
        manifest = _remove(report, state / "legacy", config, even_if_called=call.even_if_called)
        report = search(paths, wanted, exclude, ours)
    if call.as_json:
        print_json(_as_json(report, manifest))
    else:
        _print(report, call, manifest)
    return ExitCode.OK if report.clean else ExitCode.DIFFERENCE


def _config(session: Options) -> Config | None:
    """The configuration, or None when none was named and there is none: names then are those by default."""
    named = session.config_file is not None or "CDC_CONFIG" in os.environ
    return session.config() if named or session.config_path.exists() else None


def _remove(report: "LegacyReport", backups: Path, config: Config | None, *, even_if_called: bool) -> Path:
    from cdc.legacy.removal import remove

    if report.calls and not even_if_called:
        places = ", ".join(_place(call) for call in report.calls[:_PLACES_IN_AN_ERROR])
        raise RemovalRefused(
            f"named scripts are still called, so nothing was removed: {places}",
            remedy="take the calls out first, in the order of `cdc cleanup --legacy PATH`; with --even-if-called the "
            "files go now, and what calls them fails",
        )
    about: dict[str, Detail] = {"files": [str(found.path) for found in report.scripts]}
    with audited(config, "remove legacy files", **about) if config else nullcontext(about) as told:
        manifest = remove([found.path for found in report.scripts], backups)
        told["manifest"] = str(manifest)
    return manifest


def _print(report: "LegacyReport", call: LegacyCall, manifest: Path | None) -> None:
    if manifest is not None:
        say(f"removed, with a backup; to undo it: cdc cleanup --undo {manifest}")
        say()
    say(_verdict(report))
    for number, (step, found) in enumerate(itertools.groupby(report.remains, lambda r: r.kind.step.words), 1):
        say()
        say(f"{number}. {_HEADINGS[step]}")
        _print_remains(list(found))
    if report.mentions and call.show_all:
        say()
        say("mentions, which start nothing")
        _print_remains(report.mentions)
    say()
    _print_reach(report)
    if report.mentions and not call.show_all:
        say(f"{counted(len(report.mentions), 'mention')} in comments and texts: --all shows them")
    if report.scripts and not call.apply:
        say("next: --apply removes the named files once nothing calls them")


def _verdict(report: "LegacyReport") -> str:
    if report.remains:
        files = len({found.path for found in report.remains})
        return f"NOT CLEAN: {counted(len(report.remains), 'remain')} in {counted(files, 'file')}"
    if report.unsearched.unreadable:
        return f"NOT SHOWN TO BE CLEAN: {len(report.unsearched.unreadable):,} could not be read"
    if not report.searched:
        return "NOT SHOWN TO BE CLEAN: there was no file to search; is that the application's folder?"
    left_out = sum(report.unsearched.files.values())
    return f"CLEAN: {counted(report.searched, 'file')} searched, {left_out:,} left out"


def _print_remains(remains: Sequence["Remain"]) -> None:
    """Those of one step, under what they have in common."""
    same = sorted(remains, key=lambda r: (r.kind.rank, r.todo))
    for (kind, todo), found in itertools.groupby(same, lambda r: (r.kind, r.todo)):
        together = list(found)
        names = list(dict.fromkeys(remain.name for remain in together))
        shown = [*names[:_NAMES_SHOWN], *(["others"] if len(names) > _NAMES_SHOWN else [])]
        say(f"   {kind.word}: {kind.why(', '.join(shown))}; {todo}")
        width = max(len(_place(r)) for r in together)
        for remain in together:
            say(_cut(f"     {_place(remain):{width}}  {redact(remain.text)}".rstrip()))


def _print_reach(report: "LegacyReport") -> None:
    """How far the search went: whoever reads `CLEAN` has to know of what."""
    unsearched = report.unsearched
    words = [f"{counted(report.searched, 'file')} searched"]
    words += [f"{count:,} {reason}" for reason, count in sorted(unsearched.files.items())]
    say(", ".join(words))
    if unsearched.folders:
        folders = (f"{name} ({count:,})" if count > 1 else name for name, count in sorted(unsearched.folders.items()))
        say(f"folders not entered: {', '.join(folders)}")
    for line in (*(f"not read: {path}" for path in unsearched.unreadable), *report.notes):
        say(line)


def _place(remain: "Remain") -> str:
    return f"{remain.shown}:{remain.line}" if remain.line else remain.shown


def _cut(line: str) -> str:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPED_WIDTH
    return line if len(line) <= width else f"{line[: width - 3]}..."


def _as_json(report: "LegacyReport", manifest: Path | None) -> dict[str, Any]:
    unsearched = report.unsearched
    return {
        "clean": report.clean,
        "exit_code": int(ExitCode.OK if report.clean else ExitCode.DIFFERENCE),
        "remains": [_remain_json(remain) for remain in report.remains],
        "mentions": [_remain_json(remain) for remain in report.mentions],
        "searched": report.searched,
        "left_out": {"files": unsearched.files, "folders": unsearched.folders, "unreadable": unsearched.unreadable},
        "notes": report.notes,
        "manifest": str(manifest) if manifest else None,
    }


def _remain_json(remain: "Remain") -> dict[str, object]:
    return {
        "file": remain.shown,
        "line": remain.line or None,
        "kind": remain.kind.word,
        "step": remain.kind.step.words,
        "name": remain.name,
        "text": redact(remain.text),
        "why": remain.why,
        "do": remain.todo,
    }
