"""Every error the program can raise on purpose, read off its sources: class, message and remedy as templates.

A template is the text of the message with `{name}` where a value goes. `docs/generate.py` makes docs/errors.md of it,
and tests/errors proves that the command line really says each one.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdc import errors
from cdc.errors import CdcError

PACKAGE: Final = Path(errors.__file__).parent
CLASSES: Final[dict[str, type[CdcError]]] = {
    name: found
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, CdcError) and found.__module__ == errors.__name__
}
_PLACEHOLDER: Final = re.compile(r"\{(?:\w+)\}")


@dataclass(frozen=True, slots=True)
class ErrorSite:
    """One place that makes an error: where, of which class, and its texts as templates."""

    module: str
    line: int
    kind: type[CdcError]
    message: str
    remedy: str


def error_sites() -> list[ErrorSite]:
    """Every place in the package that makes an error of cdc/errors.py, in the order of the sources."""
    return [site for file in sorted(PACKAGE.rglob("*.py")) for site in sites_in(file.read_text("utf-8"), module(file))]


def module(file: Path) -> str:
    """The name of the module in a file of the package."""
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)


def sites_in(source: str, name: str) -> Iterator[ErrorSite]:
    """The places in one module's source."""
    tree = ast.parse(source)
    constants = dict(_constants(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLASSES:
            kind = CLASSES[node.func.id]
            remedy = next((k.value for k in node.keywords if k.arg == "remedy"), ast.Constant(kind.default_remedy))
            yield ErrorSite(name, node.lineno, kind, template(node.args[0], constants), template(remedy, constants))


def pattern(text: str) -> re.Pattern[str]:
    """What matches every text that a template can become."""
    return re.compile(".*".join(map(re.escape, _PLACEHOLDER.split(text))), re.DOTALL)


def literals(text: str) -> str:
    """The part of a template that is not left to values; of two templates that match, the one with more is meant."""
    return _PLACEHOLDER.sub("", text).strip("[]`(){}.,:; ")


def as_prose(text: str) -> str:
    """A template as a page shows it: values in italics."""
    return _PLACEHOLDER.sub(lambda found: f"*{found[0][1:-1]}*", text)


def template(node: ast.expr, constants: dict[str, str]) -> str:
    """A text as it stands in the source, with a short name in braces for each value."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(template(part, constants) for part in parts)
        case ast.FormattedValue(value=value):
            return template(value, constants)
        case ast.Name(id=name) if name in constants:
            return constants[name]
        case ast.BinOp(left=folder, op=ast.Div(), right=ast.Constant(value=str(name))):
            return f"{template(folder, constants)}/{name}"
        case _:
            return f"{{{_short(node)}}}"


def _short(node: ast.expr) -> str:
    """A name for a value: `path` for `config.source.path`, `missing` for `', '.join(missing)`."""
    match node:
        case ast.Attribute(value=ast.Name(id="error")) | ast.Subscript(value=ast.Attribute(value=ast.Name(id="error"))):
            return "error"
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").lower()
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case ast.Call(func=function, args=arguments):
            return _short(arguments[0] if arguments else function)
        case _:
            inner = next((n for n in ast.walk(node) if isinstance(n, ast.Name | ast.Attribute)), None)
            return _short(inner) if inner else "value"


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The texts and numbers that a module gives a name at its top."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str() | int() as value)):
                yield name, str(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str() | int() as value)):
                yield name, str(value)
