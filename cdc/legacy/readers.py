"""Which reader understands a file, by its name, its folder and its first line."""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from cdc.legacy.commands import in_shell
from cdc.legacy.javascript import in_javascript, in_json
from cdc.legacy.names import LegacyNames
from cdc.legacy.plain import in_lines
from cdc.legacy.python import in_python
from cdc.legacy.remains import Trace
from cdc.legacy.schedules import in_crontab, in_dockerfile, in_makefile, in_procfile
from cdc.legacy.settings import in_packages, in_settings, in_unit
from cdc.legacy.yaml_lines import in_yaml

Reader = Callable[[str, LegacyNames, Path], Iterable[Trace]]

UNITS: Final = (".service", ".timer", ".socket", ".path")


def _python(text: str, wanted: LegacyNames, _path: Path) -> Iterable[Trace]:
    return in_python(text, wanted)


def _shell(text: str, wanted: LegacyNames, _path: Path) -> Iterable[Trace]:
    return in_shell(text, wanted)


def _unit(text: str, wanted: LegacyNames, path: Path) -> Iterable[Trace]:
    return in_unit(text, wanted, path.parent.name.removesuffix(".d") if path.suffix == ".conf" else path.name)


def _package_json(text: str, wanted: LegacyNames, _path: Path) -> Iterable[Trace]:
    return in_json(text, wanted, commands=True)


def _prose(_text: str, _wanted: LegacyNames, _path: Path) -> Iterable[Trace]:
    return ()


def _plainly(read: Callable[[str, LegacyNames], Iterable[Trace]]) -> Reader:
    return lambda text, wanted, _path: read(text, wanted)


# Patterns of names, the first that fits counts. Lock files are made anew from what is searched.
_BY_NAME: Final[tuple[tuple[str, Reader], ...]] = (
    ("package.json", _package_json),
    ("package-lock.json *.lock pnpm-lock.yaml npm-shrinkwrap.json *.map", _prose),
    ("requirements*.txt requirements*.in constraints*.txt pyproject.toml Pipfile setup.cfg", _plainly(in_packages)),
    ("*.py *.pyw *.pyi *.wsgi SConstruct", _python),
    ("*.md *.rst *.txt *.adoc *.log *.csv *.tsv *.po *.svg", _prose),
    ("Dockerfile* *.dockerfile *.Dockerfile Containerfile*", _plainly(in_dockerfile)),
    ("Makefile* makefile GNUmakefile *.mk justfile Justfile", _plainly(in_makefile)),
    ("Procfile*", _plainly(in_procfile)),
    ("*.service *.timer *.socket *.path", _unit),
    ("*.sh *.bash *.zsh *.ksh *.command .bashrc .profile .bash_profile .zshrc .envrc", _shell),
    ("*.js *.mjs *.cjs *.jsx *.ts *.mts *.cts *.tsx *.vue *.svelte", _plainly(in_javascript)),
    ("*.json *.jsonc *.json5 *.code-workspace", _plainly(in_json)),
    ("*.yml *.yaml", _plainly(in_yaml)),
    ("*crontab* *.cron cron.txt", in_crontab),
    (".env .env.* *.env *.toml *.ini *.cfg *.conf *.properties *.desktop *.plist", _plainly(in_settings)),
)
_BY_SHEBANG: Final[tuple[tuple[str, Reader], ...]] = (
    (r"python|pypy", _python),
    (r"\b(?:ba|da|z|k|a)?sh\b|runcon", _shell),
    (r"\bnode\b|\bdeno\b|\bbun\b", _plainly(in_javascript)),
    (r"\bmake\b", _plainly(in_makefile)),
)
_CRON_FOLDERS: Final = frozenset({"cron.d", "crontabs"})


def reader_for(path: Path, text: str) -> Reader:
    """The reader of a file; one that says more of a file than its name comes first."""
    if path.parent.name in _CRON_FOLDERS and not text.startswith("#!"):
        return in_crontab
    if path.suffix == ".conf" and path.parent.name.removesuffix(".d").endswith(UNITS):
        return _unit
    for patterns, reader in _BY_NAME:
        if any(fnmatchcase(path.name, pattern) for pattern in patterns.split()):
            return reader
    first = text[:200].partition("\n")[0]
    if first.startswith("#!"):
        for pattern, reader in _BY_SHEBANG:
            if re.search(pattern, first):
                return reader
    return _plainly(in_lines)
