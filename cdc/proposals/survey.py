"""Both databases are looked at, and what they prove is put together. Nothing is changed in either."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cdc.errors import TargetMismatch
from cdc.facts.source_schema import LeftOut, SourceSchema
from cdc.first_copy.preflight import copy_for_plan
from cdc.first_copy.snapshots import Copy, read_copy
from cdc.mapping.map_tables import map_schema
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables.catalogue import read_tables
from cdc.postgres.tables.counts import count_rows
from cdc.postgres.tables.sequences import sequences_of
from cdc.proposals import from_both, from_file
from cdc.proposals.block import Block, Exclusion, Found
from cdc.proposals.draft import Draft
from cdc.proposals.from_both import There
from cdc.proposals.trials import Trials


async def survey(draft: Draft) -> Found:
    """What is found for a configuration that says no more than where from and to.

    A writer is held up no longer than by `cdc plan`. Postgres is asked only where its tables are adopted.
    """
    config = draft.config()
    async with copy_for_plan(config) as database:
        copy = await asyncio.to_thread(read_copy, config, database)
        if not config.target.adopt:
            return _of_file(copy, draft)
        async with connected(config, "init") as connection:
            tables = await read_tables(connection, config.target.schema)
            rows = await count_rows(connection, config.target.schema, list(tables)) if tables else {}
            sequences = await sequences_of(connection, config.target.schema)
        return await asyncio.to_thread(_of_both, database, copy, draft, There(tables, rows, sequences))


def _found(copy: Copy, exclusions: Sequence[Exclusion], blocks: Sequence[Block]) -> Found:
    rows = sum(profile.rows for profile in copy.profiles.values())
    return Found(len(copy.schema.tables), rows, tuple(exclusions), tuple(blocks))


def _of_file(copy: Copy, draft: Draft) -> Found:
    config = draft.config()
    maps = map_schema(copy.schema, config, copy.profiles)
    exclusions = tuple(from_file.may_stay(copy.schema.tables, copy.profiles))
    found = _found(copy, exclusions, from_file.blocks_for(maps, copy.profiles, config))
    return replace(found, remarks=tuple(from_file.remarks_for(copy.schema)))


def _of_both(database: Path, copy: Copy, draft: Draft, there: There) -> Found:
    exclusions = list(from_both.exclusions(copy.schema, copy.profiles, there))
    wanted = _without(copy.schema, exclusions)
    if not wanted.tables:
        raise TargetMismatch(
            f"schema {draft.config().target.schema} of Postgres has no table of the SQLite file that could be adopted",
            remedy="run the application's migrations there, name another --schema, or leave --adopt out",
        )
    known = list(from_both.skips(wanted.tables, there))
    trials = Trials(database, draft, wanted, copy.profiles, there)
    read = trials.ways_in(known)
    maps = trials.maps([*known, *(block for block in read if not block.choice)])
    unfed = list(from_both.unfed(maps, there))
    others = [
        *from_file.may_stay(wanted.tables, copy.profiles),
        *from_both.may_stay(wanted.tables, copy.profiles, there),
    ]
    keys = [*from_both.helper_keys(maps, there), *from_both.sequences(maps, there)]
    blocks = [*from_both.existing_rows(maps, there), *known, *keys, *read, *(block for _, block in unfed)]
    return replace(
        _found(copy, [*exclusions, *others], blocks),
        warnings=tuple(f"{words}." for words, _ in unfed),
        remarks=(*from_file.remarks_for(copy.schema), *from_both.remarks(maps, there)),
        dropped_values=from_both.dropped_values(wanted.tables, copy.profiles, there),
    )


def _without(schema: SourceSchema, exclusions: Sequence[Exclusion]) -> SourceSchema:
    """The schema as it is read with a configuration that excludes these tables."""
    out = {excluded.table for excluded in exclusions}
    left = tuple(LeftOut(name, "table", "") for name in sorted(out))
    tables = tuple(table for table in schema.tables if table.name not in out)
    return replace(schema, tables=tables, left_out=(*schema.left_out, *left))
