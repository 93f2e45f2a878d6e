"""Requests out of an OpenAPI document: its own examples, enumerations and defaults are what is asked for."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from cdc.errors import UsageError
from cdc.shadow.requests import HttpRequest, filled

METHODS: Final = ("get", "head", "options", "post", "put", "patch", "delete")
_ASKED: Final = ("get", "head")  # those that need no body
MOST_VALUES: Final = 20  # of one parameter
_DEEPEST: Final = 20  # references to references


@dataclass(frozen=True, slots=True)
class Operations:
    """What a document leads to: requests, the templates of all its paths, and what could not be asked, with why."""

    requests: list[HttpRequest]
    templates: list[str]
    left_out: list[tuple[str, str]]


def from_openapi(file: Path) -> Operations:
    """The operations of a document in JSON, of version 2 or 3; raises `UsageError` for anything else."""
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"))
        return _operations(document)
    except OSError as error:
        raise UsageError(
            f"the OpenAPI document {file} cannot be read: {error.strerror}",
            remedy="name a file that this user may read",
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UsageError(
            f"{file} is no OpenAPI document in JSON",
            remedy="save what the application serves, often at /openapi.json; one in YAML has to be converted",
        ) from None


def _operations(document: dict[str, Any]) -> Operations:
    base = _base_path(document)
    found = Operations([], [], [])
    for path, item in document["paths"].items():
        template = base + path
        found.templates.append(template)
        for method in METHODS:
            if method not in item:
                continue
            parameters = [*item.get("parameters", []), *item[method].get("parameters", [])]
            if method not in _ASKED:
                found.left_out.append((f"{method.upper()} {template}", "a body would have to be made up"))
                continue
            known = {p["name"]: _Parameter.of(document, p) for p in (_resolved(document, p) for p in parameters)}
            lacking = [name for name, p in known.items() if p.needed and not p.values]
            if lacking:
                found.left_out.append((f"{method.upper()} {template}", f"no example of {', '.join(lacking)}"))
            else:
                found.requests.extend(_requests(method.upper(), template, known))
    return found


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter that stands in the path or in the query, and the values that the document has for it."""

    in_query: bool
    needed: bool
    values: list[str]

    @classmethod
    def of(cls, document: Mapping[str, Any], told: Mapping[str, Any]) -> "_Parameter":
        return cls(told["in"] == "query", told["in"] == "path" or bool(told.get("required")), _values(document, told))


def _base_path(document: Mapping[str, Any]) -> str:
    servers = document.get("servers") or [{"url": document.get("basePath", "")}]
    return urlsplit(str(servers[0].get("url", ""))).path.rstrip("/")


def _requests(method: str, template: str, known: Mapping[str, _Parameter]) -> Iterator[HttpRequest]:
    """A request with the first value of all that is needed, and one for each other value of each parameter."""
    first = {name: p.values[0] for name, p in known.items() if p.needed}
    choices = [first]
    for name, parameter in known.items():
        choices += [{**first, name: value} for value in parameter.values[int(parameter.needed) :]]
    for chosen in choices:
        query = [f"{quote(n)}={quote(value)}" for n, value in chosen.items() if known[n].in_query]
        try:
            request = filled(method, template, chosen)
        except KeyError:  # a place of the path that the document does not describe
            return
        yield replace(request, target=request.target + (f"?{'&'.join(query)}" if query else ""))


def _values(document: Mapping[str, Any], parameter: Mapping[str, Any]) -> list[str]:
    schema = _resolved(document, parameter.get("schema", {}))
    known = [_text(value) for value in (*_examples(document, parameter), *_examples(document, schema))]
    return list(dict.fromkeys(known))[:MOST_VALUES]


def _examples(document: Mapping[str, Any], holder: Mapping[str, Any]) -> Iterator[Any]:
    yield from ([holder["example"]] if "example" in holder else [])
    examples = holder.get("examples", [])
    if isinstance(examples, dict):
        examples = [_resolved(document, example)["value"] for example in examples.values()]
    yield from examples
    yield from ([holder["default"]] if holder.get("default") is not None else [])
    yield from holder.get("enum", [])
    yield from holder.get("items", {}).get("enum", [])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _resolved(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(_DEEPEST):
        if "$ref" not in node:
            break
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        node = target
    return node
