"""What Postgres remembers of one source, bound to its connection once."""

from collections.abc import Sequence
from typing import Final

from cdc.audit.chain import entry
from cdc.errors import TargetStateLost
from cdc.facts.changes import Position, Traces
from cdc.facts.phase import Phase
from cdc.facts.side import Side
from cdc.postgres.connection.errors import translated
from cdc.postgres.connection.open import Connection, owner, require_same_session
from cdc.postgres.connection.source_lock import lock_key
from cdc.postgres.connection.statements import load
from cdc.postgres.record import own_schema
from cdc.postgres.record.audit import AuditTrail
from cdc.postgres.record.disabled_triggers import DisabledTriggers
from cdc.postgres.record.left_out import LeftOutParts, MadeViews
from cdc.postgres.record.leftovers import Leftovers
from cdc.postgres.record.loaded_tables import LoadedTables
from cdc.postgres.record.ownership import Ownership
from cdc.postgres.record.quarantine import Quarantine
from cdc.postgres.record.rehearsals import Rehearsals
from cdc.postgres.record.repaired_rows import RepairedRows
from cdc.postgres.record.schema_findings import SchemaFindings
from cdc.postgres.record.shadow import ShadowReads
from cdc.postgres.record.sightings import Sightings
from cdc.postgres.record.source_sums import KeptSums
from cdc.postgres.record.stream_row import SQL, StreamRow, lost_row
from cdc.postgres.record.switch import SwitchRecord
from cdc.postgres.record.tombstones import Tombstones
from cdc.postgres.record.verification import Verifications
from cdc.postgres.record.verified_tables import VerifiedTables
from cdc.postgres.record.waiting_tables import WaitingTables

_ADOPTED: Final = (
    "stream mapping quarantine crosswalk loaded audit triggers owned pending waiting repaired left_out views outbox "
    "rights tombstones"
)


class Record:
    """Everything in the schema `cdc` about one source, each part under its name.

    What concerns several parts at once is a method here, one transaction each.
    """

    def __init__(self, connection: Connection, source_id: str) -> None:
        self.connection = connection
        self.source_id = source_id
        part = (connection, source_id)
        self.stream = StreamRow(*part)
        self.audit = AuditTrail(*part)
        self.quarantine = Quarantine(*part)
        self.leftovers = Leftovers(*part)
        self.waiting = WaitingTables(*part)
        self.ownership = Ownership(*part)
        self.sightings = Sightings(*part)
        self.loaded = LoadedTables(*part)
        self.verifications = Verifications(*part)
        self.verified = VerifiedTables(*part)
        self.sums = KeptSums(*part)
        self.shadow = ShadowReads(*part)
        self.repaired = RepairedRows(*part)
        self.tombstones = Tombstones(*part)
        self.disabled_triggers = DisabledTriggers(*part)
        self.left_out = LeftOutParts(*part)
        self.made_views = MadeViews(*part)
        self.schema_findings = SchemaFindings(*part)
        self.switch = SwitchRecord(*part)
        self.rehearsals = Rehearsals(*part)

    async def adopt(self, old_id: str) -> None:
        """Let this source, a file with a new id, carry on the stream of the file that was there before."""
        with translated("carrying the stream on"):
            async with self.connection.transaction():
                for part in _ADOPTED.split():
                    await self.connection.execute(SQL[f"adopt_{part}"], old_id, self.source_id)

    async def begin_at(self, position: Position, snapshot_id: str) -> None:
        """Note the position a first load starts from and the snapshot it loads; part of the caller's transaction."""
        await self.audit.append([entry("position", "done", {"before": None, "seq": position.seq})])
        await self.connection.execute(SQL["begin_at"], self.source_id, position.seq, position.entry, snapshot_id)
        await self.stream.enter(Phase.LOAD)

    async def reposition(self, position: Position, tables: Sequence[str]) -> None:
        """Go on from another position, with every named table compared as a whole first, and saved where it differs.

        Replication that was ended goes on.
        """
        with translated("setting the position anew"):
            async with self.connection.transaction():
                before = await self.connection.fetchval(SQL["seq"], self.source_id)
                await self.audit.append([entry("position", "done", {"before": before, "seq": position.seq})])
                await self.connection.execute(
                    SQL["reposition"], self.source_id, position.seq, position.entry, list(tables)
                )
                await self.sightings.forget()
                await self.connection.execute(SQL["request_resync"], self.source_id, list(tables))

    async def switch_to(self, side: Side) -> None:
        """Note that applications write to a side from now on, in the caller's transaction."""
        await self.stream.enter(Phase.CUTOVER if side is Side.POSTGRES else Phase.REPLICATE)
        await self.switch.note_switch()

    async def heartbeat(self, traces: Traces) -> None:
        """Show that the daemon lives, who it is, and where it stands in which file.

        Raises `TargetStateLost` when what it goes by was taken from it.
        """
        with translated("writing the heartbeat"):
            row = await self.connection.fetchrow(SQL["heartbeat"], self.source_id, owner())
        if row is None or not row["holds"]:
            raise lost_row()
        require_same_session(self.connection, row["process"])
        if lacking := await own_schema.missing(self.connection):
            names = own_schema.tables_of(lacking)
            raise TargetStateLost(
                f"what this tool keeps in Postgres is not whole any more: {names}",
                remedy="it is made again by itself, or by `cdc schema`; what is not known then is compared",
            )
        await self.sightings.note(traces)
        await self.waiting.require_unchanged()

    async def daemon_runs(self) -> bool:
        """Whether a daemon, or another command, holds the source's lock, so that waiting makes sense."""
        with translated("looking for the daemon"):
            return await self.connection.fetchval(load("lock")["holder"], lock_key(self.source_id)) is not None
