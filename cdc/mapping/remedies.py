"""What would hold the values that a column does not: proven proposals, and outcomes tried with every value."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cdc.facts.cause import ConfigLines
from cdc.facts.proposal import Proposal
from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Failed, Value
from cdc.mapping.counted_units import TRIED, may_be
from cdc.mapping.map_tables import LITERAL
from cdc.sql_names import toml_text
from cdc.values.column_rules import encoder_for, problem_with
from cdc.values.documents import is_document
from cdc.values.encoder import Encoder, Unfit

# What keeps the most of a value first.
_OUTCOMES: Final = {
    "text": "they become SQL literals",
    "round": "they are rounded",
    "replace": "U+FFFD for what no text holds",
    "cut": "they are cut",
    "null": "they become NULL",
}


# What the others help against, in the words of a rejection: only these are told where no value can be tried.
_AGAINST: Final = {
    "round": ("is a real", "with a fraction", "more digits", "exactly", "precision", "no double"),
    "replace": ("NUL", "UTF-8"),
    "cut": ("too long",),
}


@dataclass(frozen=True, slots=True)
class SuitingOutcome:
    """An outcome that a column could have for what does not fit, and how the column is fed then."""

    name: str
    choice: ConfigLines
    encoder: Encoder


def choice_of(proposal: Proposal) -> ConfigLines:
    """What a proposal would write."""
    lines = tuple(f"{key} = {toml_text(text)}" for key, text in proposal.lines)
    literal = ("type", LITERAL) in proposal.lines
    effect = "every value is kept, as its SQL literal" if literal else "every value is kept"
    section = ("tables", proposal.table, "columns", proposal.column)
    return ConfigLines(section, lines, effect if proposal.exact else proposal.why, proposal.exact)


def choices(
    chunks: Iterable[Sequence[Value]],
    mapped: TableMap,
    column: ColumnMap,
    target: TargetColumn,
    proposals: Iterable[Proposal],
) -> tuple[ConfigLines, ...]:
    """What leaves none of a column's rows behind: proposals that do, then outcomes, tried with every value.

    No outcome for a column that identifies rows, nor a format: two of them could become one. `chunks` are all the
    values of the column.
    """
    if column.literal:
        return ()
    section = ("tables", mapped.source.name, "columns", column.source or column.target)
    proposed = [choice_of(p) for p in proposals if (p.table, p.column) == (section[1], section[3]) and not p.leaves]
    left = [*_formats(section, mapped, column, target), *outcomes(mapped, column, target)]
    numbers: list[float] = []  # the least and the greatest
    for values in chunks:
        if (target.not_null and None in values) or any(isinstance(value, Failed) for value in values):
            return ()
        left = [candidate for candidate in left if _holds(candidate.encoder, values)]
        if not left:
            break
        numbers += (value for value in values if isinstance(value, int | float))
        numbers = [min(numbers), max(numbers)] if numbers else []
    left = [candidate for candidate in left if not numbers or may_be(candidate.name, *numbers)]
    # What changes nothing comes first, then formats, which only a person knows to be meant.
    return tuple(sorted([*proposed, *(candidate.choice for candidate in left)], key=lambda choice: not choice.exact))


def _formats(
    section: tuple[str, ...], mapped: TableMap, column: ColumnMap, target: TargetColumn
) -> Iterator[SuitingOutcome]:
    """The formats that a column of that type could be read by."""
    rules = mapped.reading(column, target)
    may_have_one = not rules.format and not column.schema and column.target not in mapped.key
    for name in TRIED if may_have_one else ():
        chosen = replace(rules, format=name)
        encoder = None if problem_with(target, chosen) else encoder_for(target, chosen)
        if encoder is not None:
            lines = ConfigLines(section, (f'format = "{name}"',), "every value is read by it", exact=False)
            yield SuitingOutcome(name, lines, encoder)


def helps(outcome: SuitingOutcome, detail: str) -> bool:
    """Whether an outcome is meant for what a rejection tells."""
    return any(words in detail for words in _AGAINST.get(outcome.name, ("",)))


def outcomes(mapped: TableMap, column: ColumnMap, target: TargetColumn) -> Iterator[SuitingOutcome]:
    """The outcomes that suit a column, what keeps the most first; none where one was chosen, or where keys are.

    Two keys could become one value. Whether an outcome holds all values is not known from here.
    """
    if column.target in mapped.key or column.literal:
        return
    section = ("tables", mapped.source.name, "columns", column.source or column.target)
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
            yield SuitingOutcome(name, ConfigLines(section, (f'on_invalid = "{name}"',), told, exact=False), encoder)


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
