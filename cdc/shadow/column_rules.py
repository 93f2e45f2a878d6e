"""The operator's rules for columns in answers to queries: which hold, and which no column knows."""

import fnmatch
from collections.abc import Iterable
from typing import Final

from cdc.config import ShadowRule, ShadowSection
from cdc.errors import ConfigError

_KNOWN: Final = ("ignored", "empty is null")


def rules_of(query: str, options: ShadowSection) -> list[ShadowRule]:
    """The rules for columns of a query, by its name."""
    return [rule for rule in options.rules if _is_about_columns(rule, query, options)]


def refuse_unknown(queries: Iterable[str], options: ShadowSection) -> None:
    """Raise `ConfigError` for a rule that one of these queries would pass over, as if it were not there."""
    for query in queries:
        for rule in rules_of(query, options):
            if rule.read not in _KNOWN and not (rule.read == "number" and rule.tolerance is not None):
                read = f"{rule.read} without a tolerance" if rule.read == "number" else rule.read
                raise ConfigError(
                    f"a rule in [[shadow.rules]] has column {rule.path} of query {query} read as what no column knows: "
                    f"{read}",
                    remedy='columns know "ignored", "empty is null", and "number" with a `tolerance`; for all else '
                    "write the query so that both sides say the same",
                )


def _is_about_columns(rule: ShadowRule, query: str, options: ShadowSection) -> bool:
    """Whether a rule fits a query, and is not one of answers over HTTP that fits everything."""
    is_header = rule.endpoint == "*" and rule.path.lower() in {name.lower() for name in options.compared_headers}
    return fnmatch.fnmatchcase(query, rule.endpoint) and not rule.path.startswith("$") and not is_header
