"""What is looked for, and how a name is told from a longer one that has it in it."""

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import PurePath
from typing import Final

from cdc.config import Config, EnvFlag, FileFlag, LegacySection
from cdc.legacy.vocabulary import ENGINE_KEYS

# What cannot stand beside a whole name, because it would belong to the name of another file.
_NOT_BEFORE: Final = r"(?<![\w.\-+~#$@])"
_NOT_AFTER: Final = r"(?![\w\-+~#])(?!\.+[\w\-+~%*{$])(?!/\w)"
SQLITE_ADDRESS: Final = re.compile(r"(?<![\w.+/\-])(?:jdbc:)?sqlite3?(?:\+\w+)?:(?=[/\w.:~$%{<])", re.IGNORECASE)
_SQLITE_WORD: Final = re.compile(r"(?:^|[_.\-])SQLITE3?(?:$|[_.\-])", re.IGNORECASE)
_SQLITE_PATH: Final = re.compile(r"(?:[^\s\"']*/)?[\w\-+){}($]+\.(?:sqlite3?|db3)", re.IGNORECASE)

# Where a database file is named as one: an address, a call of the driver or of the shell, a variable about SQLite.
_OPENED: Final = re.compile(
    r"(?:sqlite3?(?:\+\w+)?:/{0,4}|sqlite3?\.connect\(\s*[\"']|\bsqlite3\s+|SQLITE\w*[\"']?\s*[=:,]\s*[\"']?)"
    r"[^\s\"'?#;,)]{0,200}?([\w\-]{1,80}\.[A-Za-z]\w{0,8})(?=[\s\"'?#;,)]|$)"
)
_ENGINES: Final = re.compile(r"(?:django\.db\.backends\.)?(?:sqlite3?|better-sqlite3|pysqlite|aiosqlite|pdo_sqlite)")


class LegacyNames:
    """Names of scripts, of database files, and of flags: variables, and files by their names."""

    def __init__(
        self,
        scripts: Iterable[str],
        databases: Iterable[str] = (),
        flags: Iterable[str] = (),
        files: Iterable[str] = (),
    ) -> None:
        self.scripts: Final = tuple(dict.fromkeys(scripts))
        self.databases: Final = tuple(dict.fromkeys(databases))
        self.flags: Final = frozenset(flags)
        self.flag_files: Final = tuple(files)
        self.modules: Final = {PurePath(s).stem: s for s in self.scripts if s.endswith(".py")}
        self._script = whole_names(self.scripts)
        self._database = whole_names(self.databases)
        self._flag_file = whole_names(self.flag_files)
        self._flag = re.compile(rf"(?<!\w)(?:{_any(self.flags)})(?!\w)")

    def and_databases(self, names: Iterable[str]) -> "LegacyNames":
        """The same, and files that turned out to be databases."""
        return LegacyNames(self.scripts, (*self.databases, *names), self.flags, self.flag_files)

    def may_be_in(self, text: str) -> bool:
        """Whether a text can hold anything at all: most files do not, and are not read any closer."""
        return bool(self._anything.search(text))

    def script_in(self, text: str) -> str:
        """The script that is named in a text, empty when none is."""
        return _first(self._script, text)

    def script_at(self, path: str) -> str:
        """The script that a path leads to, empty when it is another file."""
        name = re.split(r"[/\\]", path)[-1]
        return name if name in self.scripts else ""

    def script_of_module(self, dotted: str) -> str:
        """The script that is imported by a dotted name, as a whole part of it; empty when none is."""
        return next((self.modules[part] for part in dotted.split(".") if part in self.modules), "")

    def script_of_object(self, reference: str) -> str:
        """The same of `module:function` or `module.function`, as schedulers and entry points have it."""
        if not re.fullmatch(r"[\w.]+(?::[\w.]+)?(?:\s*\[.*\])?", reference):
            return ""
        module, colon, _ = reference.partition(":")
        return self.script_of_module(module if colon else module.rpartition(".")[0])

    def database_in(self, text: str) -> str:
        """The database file that is named in a text, or what can be no other kind of file; empty when none is."""
        if found := _first(self._database, text):
            return found
        path = _SQLITE_PATH.fullmatch(text.strip())
        return path[0] if path else ""

    def database_named(self, text: str) -> str:
        """The database file that is named anywhere in a text, by a name that is looked for."""
        return _first(self._database, text)

    def flag_in(self, text: str) -> str:
        """The flag that is named in a text as a whole word, or the file of one; empty when none is."""
        return _first(self._flag, text) or _first(self._flag_file, text)

    def flag_file_in(self, text: str) -> str:
        """The file of a flag that is named in a text."""
        return _first(self._flag_file, text)

    @cached_property
    def _anything(self) -> re.Pattern[str]:
        stems = [*self.modules, *self.scripts, *self.databases, *self.flag_files, *self.flags]
        lowered = [name.lower() for name in self.flags]
        return re.compile(
            rf"sqlite|apsw|sql\.js|libsql|litestream|\.db3|cdc\.flag|{_any([*stems, *lowered])}", re.IGNORECASE
        )


def wanted_by(config: Config | None) -> LegacyNames:
    """What a configuration names: scripts, the source's own file, and flags of the cutover; defaults without one."""
    section = config.legacy if config else LegacySection()
    flags = config.cutover.flags if config else []
    variables = [name for flag in flags if isinstance(flag, EnvFlag) for name in flag.sqlite]
    files = [flag.path.name for flag in flags if isinstance(flag, FileFlag)]
    databases = [config.source.path.name] if config else []
    return LegacyNames(section.scripts, databases, [*section.flags, *variables], files)


def databases_opened_in(text: str) -> set[str]:
    """The names of files that a text opens as databases of SQLite, so that they are known where they are only named."""
    return {name for name in _OPENED.findall(text) if not name.endswith((".py", ".sh", ".js", ".connect"))}


def whole_names(names: Iterable[str]) -> re.Pattern[str]:
    """A pattern of names of files which stand for themselves: not within a longer name, nor before another ending."""
    return re.compile(f"{_NOT_BEFORE}(?:{_any(names)}){_NOT_AFTER}")


def is_about_sqlite(variable: str) -> bool:
    """Whether the name of a variable or key has SQLITE in it as a word, as SQLITE_DB_PATH has."""
    return bool(_SQLITE_WORD.search(variable)) and (variable.isupper() or not variable.isalnum())


def is_engine(key: str, value: str) -> bool:
    """Whether a setting chooses SQLite, as `adapter: sqlite3` does."""
    last = re.split(r"[_.\-\s]", key.lower())[-1]
    return last in ENGINE_KEYS and bool(_ENGINES.fullmatch(value))


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[0] if found else ""


def _any(names: Iterable[str]) -> str:
    """Alternatives, the longest first; none of them matches nothing."""
    return "|".join(map(re.escape, sorted(set(names), key=len, reverse=True))) or r"(?!)"
