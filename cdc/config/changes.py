"""What differs between two configurations, for who reads one again while it runs."""

from typing import Any

import msgspec

from cdc.config.sections import Config


def changed_keys(before: Config, after: Config) -> list[str]:
    """The keys whose values differ, as `section.key`."""
    old, new = _flat(before), _flat(after)
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _flat(config: Config) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = list(msgspec.to_builtins(config, enc_hook=str).items())
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}", inner) for key, inner in value.items()]
        else:
            found[name] = value
    return found
