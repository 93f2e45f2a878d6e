"""The files below the paths that were given: which are read, which are databases, and what is left out and why."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from cdc.errors import UsageError
from cdc.legacy.vocabulary import FOLDERS_NOT_ENTERED

MOST_BYTES: Final = 4 * 1024 * 1024  # of a file that is read as text; code is smaller, and logs are no code
DATABASE_MAGIC: Final = b"SQLite format 3\x00"
_HEAD_BYTES: Final = 8192
_COMPANIONS: Final = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A regular file that was found, `shown` as the operator named the path that it is below."""

    path: Path
    shown: str


@dataclass(slots=True)
class Unsearched:
    """What was not searched: how many files for which reason, folders by name, and what could not be read."""

    files: Counter[str] = field(default_factory=Counter)
    folders: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Tree:
    """The files below some paths, links by where they lead, and what is left out."""

    files: list[TreeFile] = field(default_factory=list)
    links: list[tuple[TreeFile, str]] = field(default_factory=list)
    unsearched: Unsearched = field(default_factory=Unsearched)


def walk(paths: Sequence[Path], exclude: Sequence[str] = (), without: Sequence[Path] = ()) -> Tree:
    """Every file below the paths, each once; no link is followed, and of `.git` its hooks alone are entered.

    `exclude` are shell patterns of paths below the one that was given, or of names. `without` are files and folders of
    this tool's own.
    """
    tree, seen = Tree(), set[Path]()
    ours = {path.resolve() for path in without}
    for given in paths:
        root = given.resolve()
        if not os.access(root, os.F_OK):
            raise UsageError(f"{given} is not there to be searched", remedy="name a folder or a file that is there")
        for path in _below(root, tree.unsearched, ours) if root.is_dir() else iter([root]):
            if path in seen:
                continue
            seen.add(path)
            if path in ours:
                tree.unsearched.files["of this tool"] += 1
                continue
            inside = path.relative_to(root).as_posix() if path != root else path.name
            if any(fnmatchcase(inside, pattern) or fnmatchcase(path.name, pattern) for pattern in exclude):
                tree.unsearched.files["excluded"] += 1
            else:
                _take(tree, TreeFile(path, str(given / inside) if path != root else str(given)))
    return tree


def _below(folder: Path, unsearched: Unsearched, ours: set[Path]) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError as error:
        unsearched.unreadable.append(f"{folder}: {error.strerror}")
        return
    for name, is_folder in found:
        path = folder / name
        if not is_folder:
            yield path
        elif path in ours:
            unsearched.folders[path.name] += 1
        elif path.name in FOLDERS_NOT_ENTERED or os.access(path / "pyvenv.cfg", os.F_OK):
            unsearched.folders[path.name] += 1
            yield from _hooks(path, unsearched)
        else:
            yield from _below(path, unsearched, ours)


def _hooks(folder: Path, unsearched: Unsearched) -> Iterator[Path]:
    """Hooks of Git run by themselves."""
    hooks = folder / "hooks"
    if folder.name == ".git" and os.access(hooks, os.F_OK):
        yield from (path for path in _below(hooks, unsearched, set()) if path.suffix != ".sample")


def _take(tree: Tree, file: TreeFile) -> None:
    try:
        mode = file.path.lstat().st_mode
        if stat.S_ISLNK(mode):
            tree.links.append((file, str(file.path.readlink())))
        elif stat.S_ISREG(mode):
            tree.files.append(file)
        else:
            tree.unsearched.files["no regular file"] += 1
    except OSError as error:
        tree.unsearched.unreadable.append(f"{file.shown}: {error.strerror}")


def is_database(path: Path) -> bool:
    """Whether a file begins as a SQLite database does; raises `OSError`."""
    with path.open("rb") as file:
        return file.read(len(DATABASE_MAGIC)) == DATABASE_MAGIC


def companion_of(path: Path) -> str:
    """The name of the database that a write-ahead log, its index or a journal belongs to, by its name; or nothing."""
    ending = next((end for end in _COMPANIONS if path.name.endswith(end)), "")
    return path.name.removesuffix(ending) if ending else ""


def content(file: TreeFile, unsearched: Unsearched) -> bytes | None:
    """What is in a file, or None, with the reason counted, when it is binary, too large or unreadable."""
    try:
        with file.path.open("rb") as source:
            head = source.read(_HEAD_BYTES)
            if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
                unsearched.files["binary"] += 1
                return None
            rest = source.read(MOST_BYTES)
    except OSError as error:
        unsearched.unreadable.append(f"{file.shown}: {error.strerror}")
        return None
    if len(head) + len(rest) > MOST_BYTES:
        unsearched.files[f"larger than {MOST_BYTES // 1024**2} MiB"] += 1
        return None
    return head + rest


def text_of_bytes(data: bytes) -> str:
    """Text however it is encoded, with the one line end that lines are counted by.

    What is no UTF-8 is shown with marks, since the names that are looked for are plain.
    """
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    return data.decode(encoding, errors="replace").replace("\r\n", "\n").replace("\r", "\n")
