"""The plan of the end of the way back, as things stand; nothing is written anywhere."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from cdc.config import Config
from cdc.cutover.left_as_it_is import in_postgres_alone
from cdc.cutover.long_writers import long_writers
from cdc.cutover.plan import SwitchPlan
from cdc.cutover.survey import flag_problems, look_at_both
from cdc.cutover.surveyed import Surveyed
from cdc.ending import steps
from cdc.ending.gates import FinalFacts, dump_gate, final_gates
from cdc.facts.phase import Phase
from cdc.facts.side import Side
from cdc.notes import final_note
from cdc.observe.status import Status, gather
from cdc.postgres.connection.open import Connection, hang_up
from cdc.postgres.ddl import marks
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.postgres.outbox.uncarried import Uncarried
from cdc.postgres.record.record import Record
from cdc.postgres.server.dump import find_programs
from cdc.postgres.server.endpoint import reached

COMMAND = "cdc finalize"


@dataclass(frozen=True, slots=True)
class FinalWish:
    """What the operator said: no dump is to be made; rows that SQLite cannot hold may be missing in the snapshot."""

    without_dump: bool = False
    leave_behind: bool = False

    @property
    def options(self) -> str:
        """As it is typed."""
        said = {"--without-dump": self.without_dump, "--leave-behind": self.leave_behind}
        return " ".join(option for option, given in said.items() if given)


async def final_plan(config: Config, wish: FinalWish) -> SwitchPlan:
    """The plan of the end of the way back; of what is left of it, where it was ended and not all of it is done.

    Raises errors of a database that cannot be asked.
    """
    async with reached(config) as endpoint:
        note = final_note.read(config)
        status = await gather(config, endpoint)
        connection = await endpoint.connect("finalize plan")
        try:
            if note is not None or (status.target.stream and status.target.stream.phase is Phase.FINALIZED):
                return await _plan_of_rest(connection, wish)
            return await _final_plan(config, status, connection, wish)
        finally:
            await hang_up(connection)


async def _plan_of_rest(connection: Connection, wish: FinalWish) -> SwitchPlan:
    version = connection.get_server_version().major
    gate = dump_gate(await _dump_with(version), version, wanted=not wish.without_dump)
    return SwitchPlan(Side.POSTGRES, (gate,), steps.AFTER, option=wish.options, command=COMMAND)


async def _dump_with(server_version: int) -> str:
    """What would make the dump, empty where nothing can."""
    programs = await find_programs(server_version)
    return f"pg_dump {programs.version}" if programs else ""


async def _final_plan(config: Config, status: Status, connection: Connection, wish: FinalWish) -> SwitchPlan:
    record, seen = await look_at_both(config, status, connection)
    version = connection.get_server_version().major
    uncarried = Uncarried(connection, record.source_id)
    lost = await uncarried.count()
    facts = FinalFacts(
        now=datetime.now(UTC),
        active=seen.phase.active,
        switched_at=seen.switch.switched_at,
        uncarried=tuple(map(str, await uncarried.read())),
        fence=() if seen.fence.permanent and seen.fence.whole else ("it is not whole",),
        unsettled=await _unsettled(config, record, seen),
        long_writers=await long_writers(connection, seen.maps, seen.maps),
        flag_problems=await asyncio.to_thread(flag_problems, config, seen.phase.active),
        embedded=config.target.embedded,
        server_version=version,
        dump_with=await _dump_with(version),
        dumps=not wish.without_dump,
        leaves_behind=wish.leave_behind,
    )
    return SwitchPlan(
        Side.POSTGRES,
        final_gates(facts, config.cutover.finalize_after_hours),
        (*steps.BEFORE, *steps.AFTER),
        await _only_on_one_side(config, status, record, seen),
        would_lose=f"the way back, for good; {lost:,} rows of Postgres are not in the last snapshot",
        option=wish.options,
        command=COMMAND,
    )


async def _unsettled(config: Config, record: Record, seen: Surveyed) -> tuple[str, ...]:
    targets = [mapped.target for mapped in seen.maps]
    found = [f"trigger {name} does not fire" for name in await record.disabled_triggers.silent()]
    return (*found, *await marks.unsettled(record.connection, config.target.schema, targets))


async def _only_on_one_side(config: Config, status: Status, record: Record, seen: Surveyed) -> tuple[str, ...]:
    """What the last snapshot and the dump do not both have, and what Postgres keeps of replication."""
    held = sum(rows.rows for rows in status.target.quarantine.values())
    found = [f"rows in quarantine: {held:,}; SQLite alone has them, and so the last snapshot"] if held else []
    found += await in_postgres_alone(config, record.connection, seen)
    found += [f"{left} is fed by nothing, and stays in Postgres" for left in status.target.leftovers]
    left_out = sorted(await record.left_out.read())
    found += [f"{part.kind} {part.name} of {part.table} could not be made in Postgres" for part in left_out]
    keys = ApplicationKeys(record.connection, config.target.schema)
    found += [f"key {key} stays deferrable: something hangs on it" for key in await keys.deferrable(seen.maps)]
    return tuple(found)
