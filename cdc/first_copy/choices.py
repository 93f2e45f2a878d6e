"""What would hold the values that a column does not: other types and outcomes, each tried with every value of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cdc.facts.cause import Choice
from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Failed, Value
from cdc.mapping.map_tables import LITERAL
from cdc.mapping.type_names import column_of_type
from cdc.values.column_rules import encoder_for, problem_with
from cdc.values.documents import is_document
from cdc.values.encoder import Encoder, Unfit
from cdc.values.numbers import BIGINT, DOUBLE, NUMERIC
from cdc.values.texts import TEXT

# The narrowest first; a text is the last resort, and literals hold whatever SQLite does.
_TYPES: Final = (BIGINT.name, DOUBLE.name, NUMERIC.name, TEXT.name)
# What keeps the most of a value first.
_OUTCOMES: Final = {
    "text": "they become SQL literals",
    "round": "they are rounded",
    "replace": "U+FFFD for what no text holds",
    "cut": "they are cut",
    "null": "they become NULL",
}


@dataclass(frozen=True, slots=True)
class _Candidate:
    choice: Choice
    encoder: Encoder


def choices(
    chunks: Iterable[Sequence[Value]], mapped: TableMap, column: ColumnMap, target: TargetColumn, *, other_type: bool
) -> tuple[Choice, ...]:
    """The first type that holds every value of a column, and the outcomes that leave no row behind.

    None for a column that identifies rows: two of them could become one.
    `chunks` are all its values; `other_type` says whether the column may be of another type at all.
    """
    if column.target in mapped.key or column.literal:
        return ()
    section = ("tables", mapped.source.name, "columns", column.source or column.target)
    types = list(_types(section, column, target)) if other_type else []
    outcomes = list(_outcomes(section, mapped, column, target))
    left = [*types, *outcomes]
    for values in chunks:
        if (target.not_null and None in values) or any(isinstance(value, Failed) for value in values):
            return ()
        left = [candidate for candidate in left if _holds(candidate.encoder, values)]
        if not left:
            return ()
    best = [candidate.choice for candidate in left if candidate in types][:1]
    return (*best, *(candidate.choice for candidate in left if candidate in outcomes))


def _types(section: tuple[str, ...], column: ColumnMap, target: TargetColumn) -> Iterator[_Candidate]:
    if column.reading != ValueRules() or column.schema:
        return  # whoever chose how values are read chose the type as well
    for name in (*_TYPES, LITERAL):
        literal = name == LITERAL
        other = column_of_type(target.name, TEXT.name if literal else name, not_null=target.not_null)
        if other is None or (other.base == target.base and not literal):
            continue
        encoder = encoder_for(other, ValueRules(), literal=literal)
        if encoder is not None:
            effect = "every value is kept, as its SQL literal" if literal else "every value is kept"
            yield _Candidate(Choice(section, (f'type = "{name}"',), effect, exact=True), encoder)


def _outcomes(
    section: tuple[str, ...], mapped: TableMap, column: ColumnMap, target: TargetColumn
) -> Iterator[_Candidate]:
    rules = mapped.reading(column, target)
    if rules.on_invalid != ValueRules().on_invalid:
        return  # an outcome was chosen, and these values have none even so
    for name, effect in _OUTCOMES.items():
        if name != "null" and _is_unique(mapped, column):
            continue  # two values could become one
        chosen = replace(rules, on_invalid=name)
        if problem_with(target, chosen):
            continue
        encoder = encoder_for(target, chosen, schema=column.schema)
        if encoder is not None:
            told = "they become JSON strings" if name == "text" and is_document(target) else effect
            yield _Candidate(Choice(section, (f'on_invalid = "{name}"',), told, exact=False), encoder)


def _is_unique(mapped: TableMap, column: ColumnMap) -> bool:
    return any(term.column == column.source for i in mapped.source.indexes if i.unique for term in i.terms)


def _holds(encoder: Encoder, values: Sequence[Value]) -> bool:
    if encoder.column(values, set(map(type, values))) is not None:
        return True
    try:
        for value in values:
            if value is not None:
                encoder.scalar(value)
    except Unfit:
        return False
    return True
