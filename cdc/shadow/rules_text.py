"""A rule as an operator pastes it into the configuration."""

import json
import re
from typing import Final, get_args

from cdc.config.shadow import Reading
from cdc.errors import UsageError

_READINGS: Final = get_args(Reading)


def rule_text(endpoint: str, path: str, read: str, reason: str | None) -> str:
    """The TOML of one rule; raises `UsageError` for a way of reading that there is not."""
    if read not in _READINGS:
        raise UsageError(f"a place cannot be read as {read}", remedy=f"write one of: {', '.join(map(repr, _READINGS))}")
    column = re.sub(r"^row \d+, ", "", path)  # a rule is about a column, whichever row it was seen in
    pairs = {"endpoint": endpoint, "path": column, "read": read, "reason": reason or "say here why it may differ"}
    # TOML's basic strings escape as JSON's do (https://toml.io/en/v1.0.0#string).
    return "\n".join(["[[shadow.rules]]", *(f"{key} = {json.dumps(value)}" for key, value in pairs.items())])
