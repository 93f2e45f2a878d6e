"""Tables whose rows could not come back from Postgres once applications write there, and what would let them."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.nullable_keys import may_be_null, not_null_sql
from cdc.mapping.reversible import cannot_go_back
from cdc.postgres.outbox.guard import WriteGuard

_ANOTHER_MAPPING: Final = (
    "map {them} one to one, or leave {them} out with `exclude` in [replicate]: `cdc plan --all` tells why each cannot"
)


class NoWayBack(NamedTuple):
    """Words for people: a reason for each thing that is in the way, and what helps against all of them."""

    reasons: tuple[str, ...] = ()
    remedy: str = ""


async def no_way_back(guard: WriteGuard, maps: Sequence[TableMap], targets: Mapping[str, TargetTable]) -> NoWayBack:
    """Asks Postgres whose writes cannot be captured, and the maps which cannot be reversed."""
    uncaptured = await guard.reasons(maps)
    there = [(mapped, targets[mapped.target]) for mapped in maps if mapped.target in targets]
    unkeyed = {m.target: not_null_sql(m, t) for m, t in there if uncaptured.get(m.target) == may_be_null(m, t)}
    reasons = [f"{target} {reason}" for target, reason in uncaptured.items()]
    reasons += [f"{m.source.name}: {why}" for m, t in there for why in cannot_go_back(m, t)]
    return NoWayBack(tuple(reasons), _remedy(list(unkeyed.values()), len(reasons)))


def _remedy(statements: Sequence[str], reasons: int) -> str:
    if not statements:
        return _ANOTHER_MAPPING.format(them="these tables")
    by_owner = f"let their owner run in Postgres: `{' '.join(statements)}`"
    others = f"; as for the others, {_ANOTHER_MAPPING.format(them='them')}" if reasons > len(statements) else ""
    return f"{by_owner}{others}"
