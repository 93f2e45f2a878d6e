"""The reference of the configuration: every section and key, with its type and its default."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from page_parts import NOTICE, table

Section = tuple[str, type[msgspec.Struct]]  # its heading, and what it is read into

_INTRODUCTION: Final = """\
The configuration is one TOML file: the one given with `-c`, else the one in `$CDC_CONFIG`, else `cdc.toml` in the
working directory. `cdc init` writes a first one. Relative paths are relative to the file. An unknown key, a wrong type
or an impossible value is refused with exit code 78 and a remedy.

Only `path` in `[source]` and `dsn` in `[target]` are required. A password does not belong into this file: it is taken
from `PGPASSWORD`, from `PGPASSFILE`, or from `password_file`."""


def configuration_reference(sections: Sequence[Section], means: Mapping[str, str]) -> str:
    """The page with these sections; `means` is what each key means, by its full name."""
    parts = ["# Configuration", NOTICE, _INTRODUCTION]
    for section in sections:
        heading, struct = section
        rows = [
            (f"`{field.name}`", _type_text(struct, field.name), _default(field), means[name])
            for name, field in keys_of(section, sections).items()
        ]
        keys = table(("key", "type", "default", "meaning"), rows)
        parts += [f"## `{heading}`", inspect.cleandoc(struct.__doc__ or ""), keys]
    return "\n\n".join(parts) + "\n"


def keys_of(section: Section, sections: Sequence[Section]) -> dict[str, msgspec.structs.FieldInfo]:
    """The keys of a section by their full names, `cutover.flags.env.path`, but for those that are sections as well."""
    heading, struct = section
    apart = [_prefix(other) for other, _ in sections]
    named = {f"{_prefix(heading)}.{field.name}": field for field in msgspec.structs.fields(struct)}
    return {name: f for name, f in named.items() if not any(f"{a}.".startswith(f"{name}.") for a in apart)}


def _prefix(heading: str) -> str:
    return re.sub(r'[\[\]"]', "", heading).replace(" kind = ", ".")


def _type_text(struct: type[msgspec.Struct], name: str) -> str:
    written = str(inspect.get_annotations(struct)[name])
    for pattern, words in _TYPES:
        if re.search(pattern, written):
            return words
    return "text"


_TYPES: Final = (
    (r"dict\[str, str\]", "section of texts"),
    (r"dict\[", "section of values"),
    (r"int \| str", "integer or text"),
    ("TypeReading", "text, or a list of two"),
    ("list", "list of texts"),
    ("Literal", "text"),
    ("bool", "true or false"),
    ("float", "number"),
    ("int", "integer"),
    ("Path", "path"),
)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value: Any = field.default
    if value is msgspec.NODEFAULT:
        factory: Any = field.default_factory
        value = factory()
    return "" if value is None else f"`{_toml(value)}`"


def _toml(value: object) -> str:
    match value:
        case dict():
            return "{}"
        case list():
            return "[" + ", ".join(f'"{item}"' for item in value) + "]"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return f'"{value}"'
