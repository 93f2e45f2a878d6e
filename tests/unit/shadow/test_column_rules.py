"""Rules for answers over HTTP do not keep queries from being asked; those of columns hold by the query's name."""

from cdc.config import ShadowRule, ShadowSection
from cdc.shadow.column_rules import refuse_unknown, rules_of


def test_rules_of_requests_are_none_of_columns() -> None:
    of_requests = [
        ShadowRule("set", path="$.items"),
        ShadowRule("status"),
        ShadowRule("one-sided", path="Location"),
        ShadowRule("instant", endpoint="GET /a*", path="at"),
    ]
    of_columns = [
        ShadowRule("ignored", path="input[name=token]"),
        ShadowRule("empty is null", endpoint="by *", path="location"),
        ShadowRule("number", path="price", tolerance=0.01),
    ]
    options = ShadowSection(rules=[*of_requests, *of_columns])
    assert rules_of("by day", options) == of_columns
    refuse_unknown(["by day"], options)
