"""Sequences beside adopted tables: those that nothing moves, which would give numbers that are taken. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cdc.facts.risk import Risk
from cdc.facts.source_schema import Affinity
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetSequence, TargetTable
from cdc.sql_names import heading, qualified, toml_text
from cdc.values.numbers import NUMERIC, WHOLE

_NUMBERS: Final = tuple(type_.base for type_ in (*WHOLE, NUMERIC))
_FREE: Final = "no column of Postgres owns or asks it, so nothing moves it"
_BY_NAME: Final = "a sequence numbers it by its name alone: no column there owns or asks it, and nothing moves it"
_NO_KEY: Final = "its numbers come from a sequence which is not moved: only those of keys are"
_BY_HAND: Final = "move it with setval before the application goes on in Postgres"


def unmoved(maps: Sequence[TableMap], sequences: Sequence[TargetSequence]) -> tuple[TargetSequence, ...]:
    """Those that number a fed column which is no key, and those that only the application's code can know of."""
    keys = {(m.target, m.key[0]) for m in maps}
    chosen = {m.key_sequence for m in maps}
    moved = {s.name for s in sequences if (s.table, s.column) in keys or s.name in chosen}
    fed = {(m.target, column) for m in maps for column in m.target_columns}
    return tuple(s for s in sequences if s.name not in moved and (not s.table or (s.table, s.column) in fed))


def judge(
    maps: Sequence[TableMap], targets: Mapping[str, TargetTable], sequences: Sequence[TargetSequence]
) -> Iterator[Risk]:
    """What to decide about sequences before the first copy; nothing where no table is adopted."""
    adopted = [m for m in maps if m.adopted]
    if not adopted:
        return
    there = {s.name for s in sequences}
    for mapped in adopted:
        if mapped.key_sequence and mapped.key_sequence not in there:
            text = f"there is no sequence {qualified(mapped.schema, mapped.key_sequence)} in Postgres"
            yield Risk(mapped.source.name, mapped.key[0], "blocks", text, "run the migrations, or correct `sequence`")
        target = targets.get(mapped.target)
        key = target.column(mapped.key[0]) if target else None
        if mapped.key_sequence and key and key.base not in _NUMBERS:
            text = f"it is of type {key.type} there, which a sequence does not number"
            yield Risk(mapped.source.name, mapped.key[0], "blocks", text, f"remove `sequence`, and {_BY_HAND}")
    for sequence in unmoved(maps, sequences):
        name = qualified(adopted[0].schema, sequence.name)
        fed = next((m for m in maps if m.target == sequence.table), None)
        owner = next((m for m in adopted if is_named_for(sequence.name, m)), None)
        if fed:
            text = f"its numbers come from {name}, which is not moved: only those of keys are"
            remedy = f"{name}: {_BY_HAND}"
            yield Risk(fed.source.name, sequence.column, "warning", text, remedy, cause=_NO_KEY)
        elif owner:
            text = f"{name} numbers it by its name alone: no column there owns or asks it, and nothing moves it"
            section = heading("tables", owner.source.name, "columns", owner.key[0])
            remedy = f"`sequence = {toml_text(sequence.name)}` in {section} moves it with the key; else {_BY_HAND}"
            yield Risk(owner.source.name, owner.key[0], "warning", text, remedy, cause=_BY_NAME)
        else:
            remedy = (
                "if the application's code numbers a key with it, name it as `sequence` in the section of that column; "
                f"else {_BY_HAND}"
            )
            yield Risk(sequence.name, "", "warning", _FREE, remedy, what="sequence")


def is_named_for(sequence: str, mapped: TableMap) -> bool:
    """Whether it has the name that Postgres gives to the sequence of that table's key, when it makes it."""
    column = next(c for c in mapped.columns if c.target == mapped.key[0])
    number = column.source is not None and mapped.source.column(column.source).affinity is Affinity.INTEGER
    return number and len(mapped.key) == 1 and sequence == f"{mapped.target}_{mapped.key[0]}_seq"
