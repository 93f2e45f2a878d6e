"""Names in Python: what dotted expressions say, and which names of a module are hidden within a function."""

import ast
from collections.abc import Iterator, Mapping

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an expression that is written so, with `?` for what is computed before a dot; empty for others."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return f"{dotted(node.value) or '?'}.{node.attr}"
        case _:
            return ""


def bound_to(name: str, bound: Mapping[str, str]) -> str:
    """What the beginning of a dotted name was imported as; empty when it was not."""
    parts = name.split(".")
    whole = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((bound[prefix] for prefix in whole if prefix in bound), "")


def local_names(function: FunctionNode) -> set[str]:
    """The names that a function has of its own: they hide those of the module."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    names = {argument.arg for argument in every if argument is not None}
    shared: set[str] = set()
    for node in _own_nodes(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            shared.update(node.names)
    return names - shared


def _own_nodes(function: FunctionNode) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions within it."""
    waiting: list[ast.AST] = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def text_of(node: ast.AST) -> str | None:
    """A string as it is written, with `{}` where a value is put in; None for what is no string."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr():
            return "".join(text_of(part) or "{}" for part in node.values)
        case _:
            return None


def texts_of(node: ast.AST) -> list[tuple[str, int]] | None:
    """The strings of a list or tuple with their lines, `{}` for each element that is none; None for other nodes."""
    if not isinstance(node, ast.List | ast.Tuple):
        return None
    return [(text_of(element) or "{}", element.lineno) for element in node.elts]
