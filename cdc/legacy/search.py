"""The search: every file read by the reader that understands it, and what was found put in the order of removal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from cdc.legacy.names import LegacyNames, databases_opened_in
from cdc.legacy.plain import in_lines
from cdc.legacy.readers import UNITS, reader_for
from cdc.legacy.remains import STARTS_A_SCRIPT, Remain, RemainKind, Trace, remain, telling
from cdc.legacy.settings import started_by
from cdc.legacy.tree import Tree, TreeFile, Unsearched, companion_of, content, is_database, text_of_bytes, walk


@dataclass(slots=True)
class LegacyReport:
    """What is left, in the order in which it is to go; what is only told of; and how far the search went.

    `notes` are files that could not be read as what they are, and were searched by their lines.
    """

    remains: list[Remain] = field(default_factory=list)
    mentions: list[Remain] = field(default_factory=list)
    searched: int = 0
    unsearched: Unsearched = field(default_factory=Unsearched)
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is left. What could not be read may hold anything, and a search of nothing proves nothing."""
        return bool(self.searched) and not self.remains and not self.unsearched.unreadable

    @property
    def scripts(self) -> list[Remain]:
        """The named files, which can be removed as a whole."""
        return [found for found in self.remains if found.kind is RemainKind.SCRIPT]

    @property
    def calls(self) -> list[Remain]:
        """What would fail, or bring a named file back, once that is removed."""
        return [found for found in self.remains if found.kind in STARTS_A_SCRIPT]


def search(
    paths: Sequence[Path], wanted: LegacyNames, exclude: Sequence[str] = (), without: Sequence[Path] = ()
) -> LegacyReport:
    """Search the paths. Raises `UsageError` for one that is not there; nothing is changed anywhere."""
    tree = walk(paths, exclude, without)
    report = LegacyReport(unsearched=tree.unsearched)
    databases, texts = _divided(tree, report, wanted)
    known = wanted.and_databases([*(path.name for path in databases if "." in path.name), *_opened(texts)])
    timers: list[tuple[TreeFile, str]] = []
    for file in texts:
        data = content(file, report.unsearched)
        if data is None:
            continue
        report.searched += 1
        text = text_of_bytes(data)
        _read(file, text, known, report)
        if file.path.suffix in UNITS and file.path.suffix != ".service":
            timers.append((file, text))
    _see_links(tree, known, report)
    _see_timers(timers, report)
    order = {path: number for number, path in enumerate(sorted({r.path for r in report.remains}))}
    report.remains.sort(key=lambda r: (r.kind.step, order[r.path], r.line))
    return report


def _opened(texts: Sequence[TreeFile]) -> Iterator[str]:
    uncounted = Unsearched()
    for file in texts:
        data = content(file, uncounted)
        if data is not None and b"sqlite" in data.lower():
            yield from sorted(databases_opened_in(text_of_bytes(data)))


def _divided(tree: Tree, report: LegacyReport, wanted: LegacyNames) -> tuple[set[Path], list[TreeFile]]:
    """Databases, and files that are read; named scripts and companions are told as what they are, and not read."""
    databases: set[Path] = set()
    others: list[TreeFile] = []
    for file in tree.files:
        try:
            if is_database(file.path):
                databases.add(file.path)
                report.remains.append(remain(file.path, file.shown, Trace(0, RemainKind.DATABASE, file.path.name)))
                continue
        except OSError as error:
            report.unsearched.unreadable.append(f"{file.shown}: {error.strerror}")
            continue
        script = wanted.script_at(file.path.name) or _compiled(file.path, wanted)
        if script:
            report.remains.append(remain(file.path, file.shown, Trace(0, RemainKind.SCRIPT, file.path.name)))
        else:
            others.append(file)
    return databases, [file for file in others if not _is_companion(file, databases, wanted, report)]


def _is_companion(file: TreeFile, databases: set[Path], wanted: LegacyNames, report: LegacyReport) -> bool:
    owner = companion_of(file.path)
    if not owner or (file.path.with_name(owner) not in databases and owner not in wanted.databases):
        return False
    report.remains.append(remain(file.path, file.shown, Trace(0, RemainKind.COMPANION, owner)))
    return True


def _compiled(path: Path, wanted: LegacyNames) -> str:
    """The script that Python would run from a compiled file, although the source is gone."""
    return wanted.modules.get(path.stem, "") if path.suffix == ".pyc" else ""


def _read(file: TreeFile, text: str, wanted: LegacyNames, report: LegacyReport) -> None:
    if not wanted.may_be_in(text):
        return
    lines = text.split("\n")
    for trace in telling([*_traces(file, text, wanted, report), *_mentions(lines, wanted)]):
        line = lines[trace.line - 1].strip() if 0 < trace.line <= len(lines) else ""
        into = report.mentions if trace.kind is RemainKind.MENTION else report.remains
        into.append(remain(file.path, file.shown, trace, line))


def _traces(file: TreeFile, text: str, wanted: LegacyNames, report: LegacyReport) -> list[Trace]:
    try:
        return list(reader_for(file.path, text)(text, wanted, file.path))
    except (SyntaxError, ValueError) as error:
        where = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
        report.notes.append(f"{file.shown} is no valid Python{where}: searched by its lines, comments left out")
        return list(in_lines(text, wanted))


def _mentions(lines: Sequence[str], wanted: LegacyNames) -> Iterator[Trace]:
    """Every line that names something: `telling` keeps those that nothing else is known of."""
    for number, line in enumerate(lines, 1):
        name = wanted.script_in(line) or wanted.database_named(line) or wanted.flag_in(line)
        if name:
            yield Trace(number, RemainKind.MENTION, name)


def _see_links(tree: Tree, wanted: LegacyNames, report: LegacyReport) -> None:
    """A link has a name of its own for a script, and works as long as that is there."""
    for file, target in tree.links:
        script = wanted.script_at(target) or wanted.script_at(file.path.name)
        if script:
            trace = Trace(0, RemainKind.LINK, script)
            report.remains.append(remain(file.path, file.shown, trace, f"-> {target}"))
        else:
            report.unsearched.files["a link"] += 1


def _see_timers(timers: Sequence[tuple[TreeFile, str]], report: LegacyReport) -> None:
    """A timer names no script, but the unit that starts one."""
    units = {r.path.name: r.name for r in report.remains if r.kind is RemainKind.SCHEDULE and r.path.suffix in UNITS}
    for file, text in timers:
        line, unit = started_by(text, file.path.name)
        if script := units.get(PurePath(unit).name):
            trace = Trace(line, RemainKind.SCHEDULE, script, f"`systemctl disable --now {file.path.name}`")
            report.remains.append(remain(file.path, file.shown, trace, text.split("\n")[line - 1].strip()))
