"""Python, read as its syntax tree: a name in a comment, a docstring or a message starts nothing."""

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from cdc.legacy.commands import in_command, in_shell
from cdc.legacy.names import SQLITE_ADDRESS, LegacyNames, is_about_sqlite, is_engine
from cdc.legacy.python_names import FunctionNode, bound_to, dotted, local_names, text_of, texts_of
from cdc.legacy.remains import STARTS_A_SCRIPT, RemainKind, Trace
from cdc.legacy.shell import Word
from cdc.legacy.vocabulary import (
    PYTHON_CLASSES,
    PYTHON_DIALECTS,
    PYTHON_DRIVERS,
    PYTHON_EXECUTES,
    PYTHON_IMPORTS,
    PYTHON_LIBRARIES,
    PYTHON_READS_ENVIRONMENT,
    PYTHON_RUNS_LATER,
    PYTHON_SAID_ARGUMENTS,
    PYTHON_SAYS,
    PYTHON_SETS_ENVIRONMENT,
)

_MOST_CALLERS: Final = 6


def in_python(source: str | bytes, wanted: LegacyNames) -> list[Trace]:
    """Traces in a module; raises `SyntaxError` or `ValueError` when it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in somebody's strings
        tree = ast.parse(source)
    reader = _Reader(wanted)
    try:
        reader.visit(tree)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return list(_with_callers(tree, reader.traces))


class _Reader(ast.NodeVisitor):
    def __init__(self, wanted: LegacyNames) -> None:
        self.traces: list[tuple[Trace, str]] = []  # each with the function that it is in
        self._wanted = wanted
        self._scripts: dict[str, str] = {}  # names that were imported from a named script
        self._drivers: dict[str, str] = {}
        self._hidden: list[set[str]] = []
        self._functions: list[str] = [""]
        self._said = False

    def _trace(self, line: int, kind: RemainKind, name: str) -> None:
        self.traces.append((Trace(line, kind, name), self._functions[-1]))

    def _shell(self, node: ast.expr, text: str, *, certain: bool) -> None:
        """A text as commands; its lines are those of the source only where it is written over several."""
        last = node.end_lineno or node.lineno
        for trace in in_shell(text, self._wanted, node.lineno, certain=certain):
            self._trace(min(trace.line, last), trace.kind, trace.name)

    # --- imports ------------------------------------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name
            if script := self._wanted.script_of_module(alias.name):
                self._trace(node.lineno, RemainKind.CALL, script)
                self._scripts[bound] = script
            elif driver := _driver_in(alias.name):
                self._trace(node.lineno, RemainKind.CODE, driver)
                self._drivers[bound] = driver
            elif alias.name == "cdc.flag":
                self._trace(node.lineno, RemainKind.FLAG, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        script = self._wanted.script_of_module(module)
        for alias in node.names:
            bound = alias.asname or alias.name
            if own := script or self._wanted.script_of_module(alias.name):
                self._trace(node.lineno, RemainKind.CALL, own)
                self._scripts[bound] = own
            elif driver := _imported_driver(node, alias.name):
                self._trace(node.lineno, RemainKind.CODE, driver)
                self._drivers[bound] = driver
            elif f"{module}.{alias.name}" == "cdc.flag" or module == "cdc.flag":
                self._trace(node.lineno, RemainKind.FLAG, "cdc.flag")

    # --- names --------------------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._within(node, node.name)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._within(node, node.name)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._within(node, self._functions[-1])

    def _within(self, node: FunctionNode, name: str) -> None:
        self._hidden.append(local_names(node))
        self._functions.append(name)
        self.generic_visit(node)
        self._functions.pop()
        self._hidden.pop()

    def _script_named(self, node: ast.AST) -> str:
        """The script that an expression's name was imported from, unless a function has a name of its own like it."""
        name = dotted(node)
        hidden = any(name.partition(".")[0] in names for names in self._hidden)
        return "" if hidden or not name else bound_to(name, self._scripts)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and (script := self._script_named(node)):
            self._trace(node.lineno, RemainKind.CALL, script)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if script := self._script_named(node):
            self._trace(node.lineno, RemainKind.CALL, script)
        else:
            self.generic_visit(node)

    # --- calls --------------------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        name = dotted(node.func)
        last = name.rpartition(".")[2]
        self.visit(node.func)
        arguments = [*node.args, *(k.value for k in node.keywords if k.arg not in PYTHON_SAID_ARGUMENTS)]
        if driver := bound_to(name, self._drivers):
            self._trace(node.lineno, RemainKind.CODE, driver)
        if last in PYTHON_EXECUTES:
            self._executed(node.args)
        if last in PYTHON_IMPORTS:
            self._imported(node.args)
        if last in PYTHON_RUNS_LATER:
            arguments = [a for a in arguments if not self._later(a)]
        self._environment(name, node.args)
        before, self._said = self._said, last in PYTHON_SAYS
        for argument in arguments:
            self.visit(argument)
        for keyword in node.keywords:
            self._chosen(keyword.arg or "", keyword.value)
        self._said = before

    def _executed(self, arguments: Sequence[ast.expr]) -> None:
        """Arguments of what runs a program: one text for a shell, a list, or each word by itself."""
        if not arguments:
            return
        text = text_of(arguments[0])
        if text is not None and len(text.split()) > 1:
            self._shell(arguments[0], text, certain=True)
            return
        words = texts_of(arguments[0]) or [(text_of(argument) or "{}", argument.lineno) for argument in arguments]
        for trace in in_command([Word(word, line) for word, line in words], self._wanted):
            self._trace(trace.line, trace.kind, trace.name)

    def _imported(self, arguments: Sequence[ast.expr]) -> None:
        for text in filter(None, map(text_of, arguments[:1])):
            if script := self._wanted.script_of_module(text) or self._wanted.script_of_object(text):
                self._trace(arguments[0].lineno, RemainKind.CALL, script)
            elif driver := _driver_in(text):
                self._trace(arguments[0].lineno, RemainKind.CODE, driver)

    def _later(self, argument: ast.expr) -> bool:
        """Whether an argument is something of a named script that will be called by another."""
        text = text_of(argument)
        script = self._wanted.script_of_object(text) if text else self._script_named(argument)
        if script:
            self._trace(argument.lineno, RemainKind.JOB, script)
        return bool(script)

    def _environment(self, called: str, arguments: Sequence[ast.expr]) -> None:
        first = text_of(arguments[0]) if arguments else None
        last = called.rpartition(".")[2]
        if first is None:
            return
        reads = last in PYTHON_READS_ENVIRONMENT or called.endswith("environ.get") or called.startswith("env.")
        if last in PYTHON_SETS_ENVIRONMENT and first in self._wanted.flags:
            self._trace(arguments[0].lineno, RemainKind.FLAG_SET, first)
        elif reads and is_about_sqlite(first):
            self._trace(arguments[0].lineno, RemainKind.ADDRESS, first)

    # --- texts --------------------------------------------------------------------------------------------------------

    def visit_Expr(self, node: ast.Expr) -> None:
        if text_of(node.value) is None:  # a text alone is a docstring, or does nothing
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._said, before = True, self._said
        for part in node.exc.args if isinstance(node.exc, ast.Call) else []:
            self.visit(part)
        self._said = before

    def visit_Assert(self, node: ast.Assert) -> None:
        self._said, before = True, self._said
        self.generic_visit(node)
        self._said = before

    def visit_Subscript(self, node: ast.Subscript) -> None:
        text = text_of(node.slice)
        of_environment = dotted(node.value).rpartition(".")[2] == "environ"
        if of_environment and text in self._wanted.flags and not isinstance(node.ctx, ast.Load):
            self._trace(node.lineno, RemainKind.FLAG_SET, str(text))
            return
        if of_environment and text and is_about_sqlite(text):
            self._trace(node.lineno, RemainKind.ADDRESS, text)
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            name = text_of(key) if key is not None else None
            if key is not None and name in self._wanted.flags and text_of(value) is not None:
                self._trace(key.lineno, RemainKind.FLAG_SET, str(name))
            elif key is not None:
                self._chosen(name or "", value)
                self.visit(key)
            self.visit(value)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        settings = any(dotted(base).endswith("Settings") for base in node.bases)
        for field in node.body if settings else []:
            name = dotted(field.target).upper() if isinstance(field, ast.AnnAssign) else ""
            if name in self._wanted.flags:
                self._trace(field.lineno, RemainKind.FLAG, name)
        self.generic_visit(node)

    def _chosen(self, key: str, value: ast.expr) -> None:
        text = text_of(value)
        if text is not None and is_engine(key, text):
            self._trace(value.lineno, RemainKind.ADDRESS, text)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and not self._said:
            self._text(node, node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        if not self._said:
            self._text(node, text_of(node) or "")
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)

    def _text(self, node: ast.expr, text: str) -> None:
        line = node.lineno
        if SQLITE_ADDRESS.match(text.strip()) and "\n" not in text.strip():
            self._trace(line, RemainKind.ADDRESS, text.partition(":")[0] + ":")
        elif text in self._wanted.flags or self._wanted.flag_file_in(text) == text.rpartition("/")[2] != "":
            self._trace(line, RemainKind.FLAG, text)
        elif len(text.split()) > 1:
            self._shell(node, text, certain=False)
        elif script := self._wanted.script_in(text):
            self._trace(line, RemainKind.CALL, script)
        elif database := self._wanted.database_in(text):
            self._trace(line, RemainKind.DATABASE_NAME, database)


def _imported_driver(node: ast.ImportFrom, name: str) -> str:
    """What is imported of a driver; a module beside this one may have the name of one and be none."""
    whole = f"{node.module}.{name}"
    if name in PYTHON_CLASSES:
        return name
    return whole if _driver_in(whole) and not node.level else ""


def _driver_in(module: str) -> str:
    """The module when it is a driver of SQLite, or the part of a library that is for SQLite; else empty."""
    first, *inner = module.split(".")
    of_library = first in PYTHON_LIBRARIES and any(part in PYTHON_DIALECTS for part in inner)
    return module if first in PYTHON_DRIVERS or of_library else ""


def _with_callers(tree: ast.Module, traces: Sequence[tuple[Trace, str]]) -> Iterator[Trace]:
    """The traces; one within a function names the lines that call it, which are to go as well."""
    callers: dict[str, set[int]] = {function: set() for trace, function in traces if trace.kind in STARTS_A_SCRIPT}
    for node in ast.walk(tree):
        name = dotted(node).rpartition(".")[2] if isinstance(node, ast.Name | ast.Attribute) else ""
        if name in callers and isinstance(node, ast.Name | ast.Attribute):
            callers[name].add(node.lineno)
    for trace, function in traces:
        lines = sorted(callers.get(function, ())) if trace.kind in STARTS_A_SCRIPT and function else []
        if 0 < len(lines) <= _MOST_CALLERS:
            where = f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
            yield replace(trace, todo=f"take it out; `{function}`, where it stands, is used in {where}")
        else:
            yield trace
