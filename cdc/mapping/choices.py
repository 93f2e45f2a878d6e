"""What the operator chose for a column, in a form that can be kept and compared at the next start."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cdc.config import ColumnOptions
from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.facts.target_schema import TargetTable
from cdc.mapping.type_names import column_of_type

_USUAL: Final = ColumnOptions()
_UNREAD: Final = ("target", "sequence")  # they change no value


def choice_of(chosen: ColumnOptions, type_: str, schema: str) -> tuple[tuple[str, str], ...]:
    """The keys that say something, without those that change no value.

    `type_` is the type that follows from them, `schema` the text of the JSON Schema: only a sum of it is kept. Of a
    function its module and name, for the configuration may move to another folder.
    """
    options = {
        name: value.name if isinstance(value, Path) else str(value)
        for name, value in msgspec.structs.asdict(chosen).items()
        if name not in _UNREAD and value != getattr(_USUAL, name)
    }
    if type_:
        options["type"] = type_
    if schema:
        options["schema"] = hashlib.sha256(schema.encode()).hexdigest()
    return tuple(sorted(options.items()))


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """What was chosen for a column, by key, what counts for all columns of its type included."""

    options: Mapping[str, str]

    def changes(self, before: "ColumnChoice") -> tuple[str, ...]:
        """The keys that say something else than before."""
        keys = sorted({*self.options, *before.options})
        return tuple(key for key in keys if self.options.get(key) != before.options.get(key))

    def written(self, keys: tuple[str, ...]) -> str:
        """Some of its keys, as they stand in a configuration."""
        return ", ".join(f'`{key} = "{self.options[key]}"`' if key in self.options else f"no `{key}`" for key in keys)


def effective_choice(mapped: TableMap, column: ColumnMap, target: TargetTable | None) -> ColumnChoice:
    """What counts for a column; `target` is asked for the type of one that others made."""
    options = dict(column.choice)
    made = target.column(column.target) if target and mapped.adopted else None
    there = made or column_of_type(column.target, column.type, not_null=False)
    if there is not None:
        reading, usual = mapped.reading(column, there), ValueRules()
        of_type = {"format": (reading.format, usual.format), "on_invalid": (reading.on_invalid, usual.on_invalid)}
        options |= {key: now for key, (now, unsaid) in of_type.items() if key not in options and now != unsaid}
    return ColumnChoice(options)
