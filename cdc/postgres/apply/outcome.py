"""Whether a batch did what it was to do, found out from what Postgres did and not from what was sent to it.

Postgres counts the rows that a statement wrote. As many as were staged: then each was written, and nothing is asked
further. Fewer may be right, for a row that is there as it is costs no write, and a key may never have been there; or a
trigger or rule swallowed rows. Then, and where something on the table reacts to writes, each row is looked at.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from cdc.postgres.apply.stage_sql import AppliedTable
from cdc.postgres.connection.open import Connection

COUNTED_AT_ONCE: Final = 50  # stages in one statement


async def unmoved(
    connection: Connection,
    staged: Sequence[AppliedTable],
    moved: Mapping[str, Mapping[str, int]],
    doubtful: Collection[str],
) -> tuple[dict[str, int], bool]:
    """After stages were moved, in the same transaction: rows by source table that are not as they were staged.

    `moved` is what `Mover.move` returned, which says nothing about tables in `doubtful`. Tables without such rows are
    left out. Returns as well whether something on one of the tables reacts to writes. Lets the driver's errors through.
    """
    wrong: dict[str, int] = {}
    reacts = False
    for first in range(0, len(staged), COUNTED_AT_ONCE):
        portion = staged[first : first + COUNTED_AT_ONCE]
        counts = {row["place"]: row for row in await connection.fetch(_count(portion))}
        for place, table in enumerate(portion):
            done, there = moved.get(table.source_name, {}), counts[place]
            wanted = {"deleted": there["gone"], "upserted": there["live"]}
            reacts |= there["reacts"]
            all_of_it = there["reacts"] or table.source_name in doubtful
            rows = 0
            for what, expected in wanted.items():
                if expected and (all_of_it or done.get(what, 0) != expected):
                    rows += await connection.fetchval(table.unmoved_from_stage(gone=what == "deleted"))
            if rows:
                wrong[table.source_name] = rows
    return wrong, reacts


def _count(tables: Sequence[AppliedTable]) -> str:
    counts = "count(*) FILTER (WHERE _cdc_gone) AS gone, count(*) FILTER (WHERE NOT _cdc_gone) AS live"
    return " UNION ALL ".join(
        f"SELECT {place} AS place, {counts}, {table.reacts} AS reacts FROM {table.stage}"
        for place, table in enumerate(tables)
    )
