"""Following a change of the application's file, before the next batch: what is new is made, what is gone is left alone.

Everything can be given again: whatever a daemon that dies in between did not finish is seen and done by the next one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cdc.audit.actions import Tell
from cdc.config import Config
from cdc.evolve.changed_definition import ChangedDefinition
from cdc.evolve.kinds import KINDS, detect
from cdc.evolve.lost_constraint import LostConstraint
from cdc.evolve.lost_table import LostTable
from cdc.evolve.replica import Replica
from cdc.evolve.revise import revise
from cdc.evolve.schema_change import SchemaChange, SchemaFacts
from cdc.facts.profile import TableProfile
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.faults import crash_point
from cdc.mapping.known import Decisions, KnownTables, gone_columns, remember
from cdc.mapping.revision import revised
from cdc.postgres.apply import fitness
from cdc.postgres.connection.errors import translated
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.postgres.record.known_tables import read_known_tables
from cdc.postgres.record.record import Record
from cdc.postgres.record.stream_row import StreamState
from cdc.postgres.record.waiting_tables import Waiting
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.source_file import Look


class SchemaFollower:
    """Follows one source over one connection, which must hold the source's lock; `tell` records each step."""

    def __init__(self, config: Config, record: Record, tell: Tell) -> None:
        self._config = config
        self._record = record
        self._audit = tell

    async def follow(self, look: Look, state: StreamState) -> tuple[Look, dict[str, TableMap], Mapping[str, Waiting]]:
        """The file as it is once all that changed is followed, the maps of what is fed, by names in SQLite, and which
        of these wait because the application's migration has yet to make their targets.

        Raises `SchemaDrift` when a person has to decide first, `MappingError` when a table cannot be mapped as
        configured, `TargetTaken` and `TargetNotEmpty` when a name in Postgres is not ours, and `CaptureLost` when the
        application went on changing its schema meanwhile.
        """
        facts = await self._facts(look, state)
        if changes := detect(facts):
            for change in changes:
                change.refuse()
            look = await self._before_rows(facts, changes)
        elif facts.is_other_schema:
            await self._loosen(facts)
        if not changes and facts.lacks_choices:
            await self._record.stream.note_finish_after_resync(due=True)
            await self._remember(facts)
        return look, dict(facts.maps), facts.awaited

    async def finish(self, maps: Sequence[TableMap], targets: Mapping[str, TargetTable]) -> None:
        """Make what waited until every row was there; one constraint or index that fails is left out."""
        replica = self._replica({m.source.name: m for m in maps})
        for kind in KINDS:
            await kind.after_rows(replica, targets)
        crash_point("follow.before_finished")
        await self._record.stream.note_finish_after_resync(due=False)

    def _replica(self, maps: Mapping[str, TableMap]) -> Replica:
        return Replica(self._config, self._record, maps)

    # --- looking ------------------------------------------------------------------------------------------------------

    async def _facts(self, look: Look, state: StreamState) -> SchemaFacts:
        await self._record.leftovers.forget_gone(self._config.target.schema)
        known_tables = await read_known_tables(self._record, self._config, (table.name for table in look.schema.tables))
        decided = known_tables.still_decided(look.schema, self._config)
        facts = SchemaFacts(self._config, look, decided, state.schema_version, known_tables.leftovers)
        if lost := LostTable.detect(facts):
            lost.refuse()  # first of all: what is configured for other tables may speak of one that is gone
        current = known_tables.current(look.schema, self._config)
        awaited = await self._awaited({m.source.name: m for m in current.fed}, known_tables, decided)
        # Before anything of them is touched. A claim on a table that is not there yet would not count, and one on a
        # table that is not ours to fill yet would say that it is.
        chosen = [*(m for m in current.fed if m.source.name not in awaited), *current.rekeyed]
        await self._record.ownership.claim(self._config, [m for m in chosen if m.target in known_tables.targets])

        async def profiled(columns: Mapping[str, Sequence[str]]) -> Mapping[str, TableProfile]:
            return await asyncio.to_thread(source_file.profiled, self._config, look.schema, columns)

        made = await revise(self._record, self._config, known_tables, look.schema, current.fed, profiled)
        return replace(
            facts,
            maps={m.source.name: m for m in revised(current.fed, made)},
            rekeyed=frozenset(m.source.name for m in current.rekeyed),
            awaited=awaited,
            revisions=made,
            targets=known_tables.targets,
        )

    async def _awaited(
        self, maps: Mapping[str, TableMap], known_tables: KnownTables, decided: Decisions
    ) -> dict[str, Waiting]:
        """The adopted tables that cannot be fed until a migration of the application has run in Postgres as well."""
        found: dict[str, Waiting] = {}
        for name, mapped in maps.items():
            if mapped.adopted and (gone := gone_columns(mapped, decided)):
                found[name] = fitness.outdated(mapped, gone)
            elif mapped.adopted and name not in known_tables.columns:
                replaces = self._config.target.existing_rows == "replace" or mapped.target in known_tables.owned
                there = mapped.target in known_tables.targets
                if waits := await fitness.awaited(self._record.connection, mapped, there=there, replaces=replaces):
                    found[name] = waits
        return found

    # --- before rows are read again -----------------------------------------------------------------------------------

    async def _before_rows(self, facts: SchemaFacts, changes: Sequence[SchemaChange]) -> Look:
        """Note what must be read as a whole, let go of what is gone, extend Postgres, make capture whole."""
        await self._audit("follow a change of the file", reasons="; ".join(r for c in changes for r in c.reasons))
        # Before anything is changed: capture that is whole again does not show that it was not.
        resync = list(dict.fromkeys(name for change in changes for name in change.resync))
        await self._record.stream.request_resync(resync)
        # What others put into a table before it was fed is theirs: none of it goes unsaved.
        new = [name for name in resync if name in facts.maps and name not in facts.decided]
        await self._record.stream.request_saved_resync([name for name in new if facts.maps[name].adopted])
        if resync or facts.is_other_schema or facts.revisions:
            await self._record.stream.note_finish_after_resync(due=True)
        retyped = frozenset((facts.maps[r.table].target, r.target) for r in facts.revisions if r.retypes)
        replica = replace(self._replica(facts.maps), retyped=retyped)
        await self._let_go(facts, changes, replica)
        for change in changes:
            await change.extend(replica)
        crash_point("follow.before_capture")
        look = facts.look
        if any(change.needs_capture for change in changes):
            look = await asyncio.to_thread(source_file.install, self._config, look)
        crash_point("follow.after_capture")
        # Last: as long as it is not remembered, the next daemon sees that there is something to follow.
        await self._remember(facts)
        return look

    async def _loosen(self, facts: SchemaFacts) -> None:
        """Follow a change of nothing but indexes and constraints, which is seen by the counter alone, as VACUUM is."""
        await self._record.stream.note_finish_after_resync(due=True)
        await self._let_go(facts, [LostConstraint(), ChangedDefinition()], self._replica(facts.maps))

    async def _let_go(self, facts: SchemaFacts, changes: Sequence[SchemaChange], replica: Replica) -> None:
        freed = [await change.let_go(replica) for change in reversed(changes)]
        keys = ApplicationKeys(replica.connection, self._config.target.schema)
        if await keys.drop_orphans(replica.all_maps) or any(freed):
            # What is gone may be what kept rows out, and no change of theirs would tell that they fit now.
            held = await self._record.quarantine.keys_of(None)
            await self._record.stream.request_resync([name for name in facts.maps if name in held])

    async def _remember(self, facts: SchemaFacts) -> None:
        """Keep what is decided now; what is fed again is no leftover any more."""
        maps = [mapped for name, mapped in facts.maps.items() if name not in facts.awaited]
        fed = {(m.target, column) for m in maps for column in (None, *m.target_columns)}
        returned = [leftover for leftover in facts.leftovers if (leftover.target, leftover.column) in fed]
        with translated("keeping the mapping"):
            async with self._record.connection.transaction():
                for leftover in returned:
                    await self._record.leftovers.take_up(leftover)
                # A table that was fed, and waits now, is what it was: so it is known for what.
                kept = {name: facts.decided[name] for name in facts.awaited if name in facts.decided}
                await self._record.stream.store_columns({**remember(maps, facts.targets), **kept})
        crash_point("follow.after_mapping")
