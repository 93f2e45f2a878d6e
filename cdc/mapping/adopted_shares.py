"""Adopted tables that several source tables feed: whether those can live side by side there. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cdc.facts.risk import Risk
from cdc.facts.table_map import Share, TableMap
from cdc.facts.target_schema import TargetColumn, TargetTable
from cdc.values.numbers import WHOLE
from cdc.values.texts import TEXT, VARCHAR

_WHOLE: Final = tuple(type_.base for type_ in WHOLE)
_WHOLE_NUMBER: Final = re.compile("0|-?[1-9][0-9]{0,17}")


def judge(maps: Sequence[TableMap], targets: Mapping[str, TargetTable]) -> Iterator[Risk]:
    """What keeps the rows of these tables from being told apart, and where two of them could meet."""
    for mapped in maps:
        target = targets.get(mapped.target)
        if mapped.share and target:
            yield from _together(mapped, mapped.share, target, targets)


def _together(
    mapped: TableMap, share: Share, target: TargetTable, targets: Mapping[str, TargetTable]
) -> Iterator[Risk]:
    table, name = mapped.source.name, f"{target.schema}.{target.name}"
    if children := [other.name for other in targets.values() if _refers_to(other, target)]:
        text = f"several tables feed {name}, and rows of {', '.join(children)} refer to it: none of them is the parent"
        yield Risk(table, "", "blocks", text, "drop that foreign key, or give each table a target of its own")
    column = target.column(share.column)
    if column and not _tells_apart(column, share):
        text = f"{column.name} tells the rows of several tables apart, which {column.type} does not for these constants"
        remedy = "make it text with a deterministic collation, or correct the constants"
        yield Risk(table, column.name, "blocks", text, remedy)
    for unique in target.uniques:
        if unique.columns and share.column not in unique.columns and set(unique.columns) <= set(mapped.target_columns):
            columns = ", ".join(unique.columns)
            text = f"({columns}) is unique in {name}, which several tables feed: of two rows that meet there one waits"
            yield Risk(table, "", "note", text, "correct one of the rows, then `cdc quarantine retry`")


def _refers_to(table: TargetTable, parent: TargetTable) -> bool:
    return any((key.parent_schema, key.parent) == (parent.schema, parent.name) for key in table.foreign_keys)


def _tells_apart(column: TargetColumn, share: Share) -> bool:
    """Whether the type has these constants as values, and of two that are written otherwise makes two."""
    if column.labels:
        return set(share.values) <= set(column.labels)
    if column.base in _WHOLE:
        return all(map(_WHOLE_NUMBER.fullmatch, share.values))
    return column.base in (TEXT.base, VARCHAR.base) and column.deterministic
