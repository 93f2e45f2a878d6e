"""In which ways the values of a column could be read, and what of it is proven. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.facts.profile import ColumnProfile
from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.mapping.counted_units import TRIED, may_be
from cdc.proposals.block import FORMATS as FORMATS_SECTION
from cdc.proposals.block import Block, column_section
from cdc.sql_names import toml_text
from cdc.values.column_rules import problem_with
from cdc.values.outcomes import OUTCOMES
from cdc.values.registry import TYPES

_LOSSES: Final = (("empty", "null"), *(("on_invalid", o) for o in ("round", "cut", "replace", "text", "null")))


@dataclass(frozen=True, slots=True)
class Reading:
    """A way of reading a column: so many values are `refused` without it, of which it `leaves` some."""

    column: TargetColumn
    rules: ValueRules
    refused: int
    leaves: int


def formats(column: TargetColumn, profile: ColumnProfile | None) -> list[ValueRules]:
    """The formats that such a column may be read by. Numbers count in a unit only if it brings them into our time."""
    least, greatest = (profile.least, profile.greatest) if profile else (None, None)
    wanted = (ValueRules(format=name) for name in TRIED if may_be(name, least, greatest))
    return [rules for rules in wanted if not problem_with(column, rules)]


def losses(column: TargetColumn, rules: ValueRules) -> list[ValueRules]:
    """The same rules with something that becomes of values which do not fit, the smallest loss first."""
    wanted = (ValueRules(rules.format, **{key: outcome}) for key, outcome in _LOSSES)
    return [each for each in wanted if not problem_with(column, each)]


def best(refused: Sequence[int], without: int) -> int | None:
    """Which of some ways refuses least, the first of several; None where none is better than `without`."""
    least = min(refused, default=without)
    return refused.index(least) if least < without else None


# --- words and lines --------------------------------------------------------------------------------------------------


def config_key(base: str) -> str:
    """What a type is called in [formats]."""
    return TYPES[base].name if base in TYPES else ""


def for_type(base: str, format_: str, readings: Iterable[Reading]) -> Block:
    """A format for all columns of a type."""
    needed = [r for r in readings if r.column.base == base and r.rules.format == format_]
    values = sum(r.refused - r.leaves for r in needed)
    why = f"{len(needed)} columns of type {config_key(base)} hold {values:,} values that are written in this form"
    return Block(FORMATS_SECTION, (f"{config_key(base)} = {toml_text(format_)}",), f"{why}.{_zone(format_)}")


def for_types(outcomes: Mapping[str, str], readings: Iterable[Reading]) -> Iterator[Block]:
    """A choice of what becomes of values that say more than their type holds, by the base of the type."""
    if not outcomes:
        return
    counts = Counter[str]()
    for reading in readings:
        if outcomes.get(reading.column.base) == reading.rules.on_invalid:
            counts[reading.column.base] += reading.refused - reading.leaves
    told = (f"{counts[base]:,} of {config_key(base)} become {_becomes(outcome)}" for base, outcome in outcomes.items())
    lines_ = tuple(f"{config_key(base)} = {toml_text(outcome)}" for base, outcome in outcomes.items())
    yield Block(FORMATS_SECTION, lines_, f"Values that say more than their type holds: {', '.join(told)}.", choice=True)


def of_column(
    mapped: TableMap, column: ColumnMap, reading: Reading, known: ValueRules, *, choice: bool = False
) -> Block:
    """What a column's section says of how it is read, beyond what is `known`."""
    name = column.source or column.target
    rules = reading.rules
    why = _do_not_fit(reading.refused, reading.column.type)
    if choice:
        means = "Empty texts become NULL" if rules.empty == "null" else f"Each becomes {_becomes(rules.on_invalid)}"
        why = f"{why}. {means} with this line"
    else:
        why = f'{why} as written, and the format "{rules.format}" reads them'
    left = f", but for {reading.leaves:,}" if reading.leaves else ""
    section = column_section(mapped.source.name, name)
    return Block(
        section, _lines(rules, known), f"{mapped.source.name}.{name}: {why}{left}.{_zone(rules.format)}", choice
    )


def _do_not_fit(count: int, type_: str) -> str:
    return f"1 value does not fit {type_}" if count == 1 else f"{count:,} values do not fit {type_}"


def _becomes(outcome: str) -> str:
    return "the nearest that there is room for" if outcome == "round" else OUTCOMES[outcome].becomes


def _zone(format_: str) -> str:
    return " Times without an offset are taken to be in UTC." if "utc" in format_ else ""


def _lines(rules: ValueRules, known: ValueRules) -> tuple[str, ...]:
    said = (
        ("format", rules.format, known.format),
        ("on_invalid", rules.on_invalid, known.on_invalid),
        ("empty", rules.empty, known.empty),
    )
    return tuple(f"{key} = {toml_text(value)}" for key, value, before in said if value != before)
