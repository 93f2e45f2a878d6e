"""The application has another index, constraint or default under the name of an old one, which would stay: it goes.

What the file said once is not remembered. So Postgres is asked, whenever another change is followed, what the
statements of today would make, and what stands there under the same names.
"""

from typing import Final, Self

from cdc.evolve.replica import Replica
from cdc.evolve.schema_change import SchemaChange, SchemaFacts
from cdc.facts.target_schema import ObjectKind, ObjectPlace, SchemaObject
from cdc.postgres.ddl.trial import expected_objects
from cdc.postgres.tables.catalogue import read_objects

_MADE_ANEW: Final = (ObjectKind.FOREIGN_KEY, ObjectKind.UNIQUE, ObjectKind.CHECK, ObjectKind.INDEX)


class ChangedDefinition(SchemaChange):
    """Indexes and constraints that are made otherwise by now: they are made anew once every row is there."""

    __slots__ = ()

    @classmethod
    def detect(cls, facts: SchemaFacts) -> Self | None:
        """A change each time, without a reason by itself."""
        return cls()

    async def let_go(self, replica: Replica) -> bool:
        """Drop what stands under the name of another; a default is only another for rows to come."""
        expected = await expected_objects(replica.connection, replica.all_maps)
        targets = [m.target for m in replica.all_maps if not m.adopted]
        actual = await read_objects(replica.connection, replica.config.target.schema, targets)
        changed = {place: part for place, part in expected.items() if _is_another(place, part, actual.get(place))}
        for place, part in changed.items():
            if (place.table, place.name) in replica.retyped:
                continue  # it gets its default with its type
            if place.kind is ObjectKind.DEFAULT and place._replace(kind=ObjectKind.COLUMN) in actual:
                await replica.leaving.default(place.table, place.name, part.definition)
        places = [place for kind in _MADE_ANEW for place in changed if place.kind is kind]
        return await replica.leaving.outdated(places, actual)


def _is_another(place: ObjectPlace, part: SchemaObject, there: SchemaObject | None) -> bool:
    if place.kind is ObjectKind.DEFAULT:  # one that is missing would be made by nobody
        return there is None or part.definition != there.definition
    return place.kind in _MADE_ANEW and there is not None and part.definition != there.definition
