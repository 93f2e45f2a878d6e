"""How one column is fed: by its type alone, or by the format and the outcomes that the operator chose for it."""

from collections import Counter
from dataclasses import replace

from cdc.facts.table_map import ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.values import json_schema
from cdc.values.encoder import Encoder
from cdc.values.family import ColumnEncoding
from cdc.values.outcomes import OUTCOMES, with_outcomes
from cdc.values.registry import FORMATS, TYPES, encoder_of_type


def encoder_for(
    target: TargetColumn,
    rules: ValueRules,
    *,
    literal: bool = False,
    schema: str = "",
    altered: Counter[str] | None = None,
) -> Encoder | None:
    """How that column of Postgres is fed; None when its type is not supported, or the rules are none for that type.

    Documents must satisfy the JSON Schema `schema` if there is one. Values that become others by a chosen outcome are
    counted in `altered`, by column.
    """
    if literal:
        return encoder_of_type(target, literal=True)
    if problem_with(target, rules):
        return None
    encoder = _by_format(target, rules)
    if encoder is not None and schema:
        encoder = json_schema.checked(encoder, schema)
    if encoder is None or not rules.loses:
        return encoder
    # Rounding and cutting look at a value as if the column held all of it, and meet its precision then.
    wide = _by_format(_wide(target), rules)
    assert wide is not None, "a type is supported with every precision or with none"
    return with_outcomes(ColumnEncoding(target, rules, encoder, wide), Counter() if altered is None else altered)


def _by_format(target: TargetColumn, rules: ValueRules) -> Encoder | None:
    return FORMATS[rules.format].encoder(target) if rules.format else encoder_of_type(target)


def _wide(target: TargetColumn) -> TargetColumn:
    type_ = TYPES.get(target.base)
    return replace(target, precision=None, base=(type_.wide if type_ else "") or target.base)


def problem_with(target: TargetColumn, rules: ValueRules) -> str:
    """Why a column cannot be read by these rules, in words for the operator; empty when it can."""
    if rules.format and TYPES.get(target.base) not in FORMATS[rules.format].into:
        return f'is no type that `format = "{rules.format}"` is read into'
    if not OUTCOMES[rules.on_invalid].suits(target):
        return f'is no type for `on_invalid = "{rules.on_invalid}"`'
    if target.not_null and "null" in (rules.on_invalid, rules.empty):
        return "is NOT NULL, while the configuration makes NULL of some values"
    return ""
