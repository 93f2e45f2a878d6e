"""A configuration as the text of a file, for a process of ours that goes by another one than the operator's."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cdc.config.sections import Config
from cdc.sql_names import heading, toml_text


def as_toml(config: Config) -> str:
    """The text of a configuration file; `load_config` reads the same configuration from it."""
    plain = msgspec.to_builtins(config, enc_hook=str)
    return "\n".join(_section((), plain)) + "\n"


def _section(names: tuple[str, ...], content: Mapping[str, Any]) -> Iterator[str]:
    if names:
        yield heading(*names)
    # Keys of a section stand before the sections within it.
    for key, found in content.items():
        if found is not None and not isinstance(found, dict):
            yield f"{toml_text(key)} = {_value(found)}"
    for key, found in content.items():
        if isinstance(found, dict):
            yield from _section((*names, key), found)


def _value(found: object) -> str:
    match found:
        case bool():
            return "true" if found else "false"
        case list() | tuple():
            return f"[{', '.join(map(_value, found))}]"
        case dict():
            members = (f"{toml_text(key)} = {_value(value)}" for key, value in found.items() if value is not None)
            return f"{{ {', '.join(members)} }}"
        case int() | float():
            return repr(found)
        case _:
            return toml_text(str(found))
