"""Which lines let the values of adopted columns in: each way of reading them is tried on every row of a copy.

A format is exact, for what it reads is the same value, or refused: the one that refuses least is taken. What loses
something is tried where values are left, and is for a person to choose.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cdc.config import Formats
from cdc.facts.profile import ColumnProfile, TableProfile
from cdc.facts.source_schema import SourceSchema
from cdc.facts.table_map import ColumnMap, TableMap, ValueRules
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Failed, NullKey, Value
from cdc.mapping.adoption import Adopted, adapt
from cdc.mapping.letter_case import named_as_there
from cdc.mapping.map_tables import map_schema
from cdc.proposals import readings
from cdc.proposals.block import Block
from cdc.proposals.draft import Draft
from cdc.proposals.from_both import There
from cdc.sqlite.connection.open import open_copy
from cdc.sqlite.rows.select import chunks
from cdc.values.column_rules import encoder_for
from cdc.values.encoder import Encoder, Unfit

_CHUNK_ROWS: Final = 256
_CHUNK_BYTES: Final = 4 * 1024 * 1024

Place = tuple[str, str]  # source table and target column


@dataclass(frozen=True, slots=True)
class Fed:
    """A column of an adopted table with what it is fed from."""

    mapped: TableMap
    column: ColumnMap
    target: TargetColumn

    @property
    def place(self) -> Place:
        """Which one it is."""
        return self.mapped.source.name, self.target.name

    @property
    def rules(self) -> ValueRules:
        """How it is read as things are."""
        return self.mapped.reading(self.column, self.target)

    @property
    def identifies(self) -> bool:
        """Whether rows are known by it, so that [formats] does not reach it."""
        return self.target.name in self.mapped.key

    def profile(self, profiles: Mapping[str, TableProfile]) -> ColumnProfile | None:
        """What its source holds, None where it is computed."""
        return profiles[self.mapped.source.name].column(self.column.source) if self.column.source else None


Asked = Mapping[Place, Sequence[ValueRules]]


class Trials:
    """Conversions of a copy as the load would do them."""

    def __init__(
        self, database: Path, draft: Draft, schema: SourceSchema, profiles: Mapping[str, TableProfile], there: There
    ) -> None:
        self._database = database
        self._draft = draft
        self._schema = schema
        self._profiles = profiles
        self._there = there

    def maps(self, blocks: Iterable[Block]) -> tuple[TableMap, ...]:
        """The maps of all tables with these blocks, and with the types that Postgres has."""
        config = named_as_there(self._draft.config(blocks), self._schema.tables, self._there.tables, {}, ())
        maps = map_schema(self._schema, config, self._profiles)
        return adapt(maps, Adopted(self._there.tables, self._there.rows, "refuse"))

    def ways_in(self, known: Sequence[Block]) -> list[Block]:
        """What is to be said of columns that would keep rows out with what is known so far."""
        fed = {f.place: f for f in self._fed(self.maps(known))}
        now = {place: counts[0] for place, counts in self._unfit(fed, {p: [f.rules] for p, f in fed.items()}).items()}
        failing = {place: f for place, f in fed.items() if now[place]}
        exact = self._better(failing, {place: self._formats(f) for place, f in failing.items()}, now)
        left = {place: exact[place].leaves if place in exact else now[place] for place in failing}
        read = {place: exact[place].rules if place in exact else f.rules for place, f in failing.items()}
        losses = {place: readings.losses(f.target, read[place]) for place, f in failing.items() if left[place]}
        lossy = self._better(failing, losses, left)
        shared = self._shared(fed, exact)
        blocks = [readings.for_type(base, name, exact.values()) for base, name in shared.items()]
        for place, f in failing.items():
            if place in exact and (f.identifies or shared.get(f.target.base) != exact[place].rules.format):
                blocks.append(readings.of_column(f.mapped, f.column, exact[place], f.rules))
            if place in lossy:
                blocks.append(readings.of_column(f.mapped, f.column, lossy[place], read[place], choice=True))
        return blocks

    def _formats(self, fed: Fed) -> list[ValueRules]:
        return readings.formats(fed.target, fed.profile(self._profiles))

    def _fed(self, maps: Sequence[TableMap]) -> Iterator[Fed]:
        """Every column of a table that Postgres has, as far as it can be fed."""
        for mapped in maps:
            table = self._there.tables.get(mapped.target)
            for column in mapped.columns if table else ():
                target = table.column(column.target) if table else None
                if target and not target.generated and encoder_for(target, mapped.reading(column, target)):
                    yield Fed(mapped, column, target)

    def _better(
        self, fed: Mapping[Place, Fed], asked: Asked, without: Mapping[Place, int]
    ) -> dict[Place, readings.Reading]:
        """The best of the ways that are asked for, where one is better than what there is."""
        found = {}
        for place, counts in self._unfit(fed, asked).items():
            if (number := readings.best(counts, without[place])) is not None:
                rules = asked[place][number]
                found[place] = readings.Reading(fed[place].target, rules, without[place], counts[number])
        return found

    def _shared(self, fed: Mapping[Place, Fed], exact: Mapping[Place, readings.Reading]) -> dict[str, str]:
        """Formats that several columns of a type need and no other column of it suffers from, by the type's base."""
        reached = {place: reading for place, reading in exact.items() if not fed[place].identifies}
        wanted = Counter((r.column.base, r.rules.format) for r in reached.values())
        shared = {base: name for (base, name), columns in reversed(wanted.most_common()) if columns > 1}
        shared = {base: name for base, name in shared.items() if readings.config_key(base) in Formats.__struct_fields__}
        others = {
            place: [f.rules, ValueRules(shared[f.target.base])]
            for place, f in fed.items()
            if f.target.base in shared and not f.identifies and not f.rules.format
        }
        unfit = self._unfit(fed, others)
        suffering = {fed[place].target.base for place, (before, after) in unfit.items() if after > before}
        return {base: name for base, name in shared.items() if base not in suffering}

    # --- counting -----------------------------------------------------------------------------------------------------

    def _unfit(self, fed: Mapping[Place, Fed], asked: Asked) -> dict[Place, list[int]]:
        """How many values of each column do not fit, for each way of reading them; a table is read once for all."""
        counts = {place: [0] * len(ways) for place, ways in asked.items() if ways}
        connection = open_copy(self._database)
        try:
            for mapped in {fed[place].mapped.source.name: fed[place].mapped for place in counts}.values():
                columns = [fed[place] for place in counts if place[0] == mapped.source.name]
                narrow = replace(mapped, columns=tuple(f.column for f in columns))
                encoders = [[encoder_for(f.target, rules) for rules in asked[f.place]] for f in columns]
                for chunk in chunks(connection, narrow, _CHUNK_ROWS, _CHUNK_BYTES):
                    by_column = list(zip(*chunk, strict=True))[mapped.source_key_width :] if chunk else []
                    for f, ways, values in zip(columns, encoders, by_column, strict=False):
                        for number, encoder in enumerate(ways):
                            counts[f.place][number] += _refused(encoder, values)
        finally:
            connection.close()
        return counts


def _refused(encoder: Encoder | None, values: Sequence[Value]) -> int:
    """How many of a column's values an encoder refuses; NULL is nobody's format to read."""
    here = [value for value in values if value is not None and not isinstance(value, Failed | NullKey)]
    if encoder is None:
        return len(here)
    if encoder.column(here, set(map(type, here))) is not None:
        return 0
    return sum(_is_unfit(encoder, value) for value in here)


def _is_unfit(encoder: Encoder, value: Value) -> bool:
    try:
        encoder.scalar(value)
    except Unfit:
        return True
    return False
