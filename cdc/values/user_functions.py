"""The operator's own functions in Python, which compute a column's value from a row.

A function's parameters are columns of the table, by name; one called `row` is given all of them in a dict.
"""

import hashlib
import importlib
import importlib.util
import inspect
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, time
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from uuid import UUID

from cdc.errors import MappingError, did_you_mean
from cdc.facts.table_map import Function

ROW: Final = "row"
Stored = int | float | str | bytes | None

_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_INTEGERS: Final = range(-(2**63), 2**63)


def load(section: str, place: Path, columns: Sequence[str]) -> Function:
    """The function that `python` names as FOLDER/MODULE:FUNCTION, for a table with these columns.

    Raises `MappingError` when it cannot be found or called so. Importing the module runs its code, once a process.
    """
    module, _, name = place.name.partition(":")
    if not (module and name):
        raise MappingError(
            f"{section}: `python` is {place.name!r}, which is no module and function",
            remedy='write MODULE:FUNCTION, like `python = "render:html"` for `def html(title): ...` in render.py',
        )
    function = _find(section, place.parent, module, name)
    arguments = _arguments(section, place.name, function, columns)
    named = [column for column in arguments.values() if column is not None]
    given = list(columns) if None in arguments.values() else list(dict.fromkeys(named))
    # SQLite knows functions by name, and the same one may be called with other columns for another table.
    identity = json.dumps([str(place), given])
    return Function(
        name=f"_cdc_python_{hashlib.sha256(identity.encode()).hexdigest()[:16]}",
        columns=tuple(given),
        call=_with_columns(function, arguments, given),
        told_as=f"python {place.name}",
    )


def _find(section: str, folder: Path, module: str, name: str) -> Callable[..., object]:
    try:
        function: Callable[..., object] | None = getattr(_module(folder, module), name, None)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever somebody else's module does when it is imported)
        reason = f"{error}" if isinstance(error, (ImportError, SyntaxError)) else f"it raised {type(error).__name__}"
        raise MappingError(
            f"{section}: module {module} of `python` cannot be imported: {reason}",
            remedy=f"put {module}.py into {folder}, or install it where this tool is installed, and see that "
            f"`import {module}` works there",
        ) from None
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise MappingError(
            f"{section}: {name} of module {module} is no function that can be called",
            remedy="correct `python`, or write that function; it must not be `async`",
        )
    return function


@cache
def _module(folder: Path, name: str) -> ModuleType:
    """The module, from a file in the folder or as it is installed; nothing is written beside it."""
    file = folder / f"{name}.py"
    with _on_path(folder):
        spec = importlib.util.spec_from_file_location(f"_cdc_{name}", file) if file.is_file() else None
        if spec is None or spec.loader is None:
            return importlib.import_module(name)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses of the module look for it there
        spec.loader.exec_module(module)
        return module


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Let modules import others that stand beside them."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = before


def _arguments(
    section: str, name: str, function: Callable[..., object], columns: Sequence[str]
) -> Mapping[str, str | None]:
    """The column for each parameter, None for the one that takes the whole row."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = dict[str, inspect.Parameter]().values()
    by_name = {column.lower(): column for column in columns}
    arguments: dict[str, str | None] = {}
    for parameter in parameters:
        column = by_name.get(parameter.name.lower())
        needed = parameter.default is inspect.Parameter.empty
        if parameter.kind not in _BY_NAME or (column is None and parameter.name != ROW and needed):
            raise MappingError(
                f"{section}: parameter {parameter} of {name} is no column of the table",
                remedy=f"{did_you_mean(parameter.name, columns)}name parameters as columns of the table are named, or "
                f"take all of them as `{ROW}`, in a dict",
            )
        if column is not None or parameter.name == ROW:
            arguments[parameter.name] = column
    if not arguments:
        raise MappingError(
            f"{section}: {name} takes nothing of the row",
            remedy="let it have parameters that are named as columns of the table, or write a constant as `expression`",
        )
    return arguments


def _with_columns(
    function: Callable[..., object], arguments: Mapping[str, str | None], given: Sequence[str]
) -> Callable[..., Stored]:
    def call(*values: Stored) -> Stored:
        row = dict(zip(given, values, strict=True))
        named = {name: row if column is None else row[column] for name, column in arguments.items()}
        return stored(function(**named))

    return call


def stored(value: Any) -> Stored:
    """What SQLite would store for a value that a function returned; raises for one that it has no class for."""
    if isinstance(value, str):
        value.encode()  # raises for half a surrogate pair
    match value:
        case None | bytes() | str():
            return value
        case bool() | int() if value in _INTEGERS:
            return int(value)
        case float() if not math.isnan(value):
            return value
        case UUID():
            return str(value)
        case date() | time():  # and datetime, which is a date
            return value.isoformat()
        case dict() | list() | tuple():
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
        case _:
            raise TypeError
