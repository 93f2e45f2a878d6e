"""A snapshot brought forward: the copy of then, with what Postgres has of its source now.

Needs nothing of the live file, which may be gone. Every row is read from one state of Postgres and compared with the
copy, so it does not matter how far back the snapshot lies, or what was pruned since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from cdc.config import Config
from cdc.errors import SnapshotError
from cdc.facts.changes import Position
from cdc.facts.drained import Drained
from cdc.facts.row_key import decode_key, encode_key
from cdc.facts.side import Side
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.mapping.known import Decisions
from cdc.mapping.reversible import cannot_go_back, way_back
from cdc.postgres.outbox.reading import Outbox
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.record.stream_row import never_loaded
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables import catalogue, sequences
from cdc.postgres.tables.hashed_rows import snapshot as one_state
from cdc.reverse.forms import FormsByTable, forms_from_json, learn_forms
from cdc.sqlite.apply.drain import Drain
from cdc.sqlite.apply.full_text import rebuild_indexes
from cdc.sqlite.apply.sequences import follow_sequences
from cdc.sqlite.changelog import source_file
from cdc.sqlite.changelog.positions import seconds_since_epoch
from cdc.sqlite.fence.past_fence import opened_past_fence
from cdc.sqlite.snapshot.restore import restoring
from cdc.sqlite.snapshot.snapshot import Snapshot
from cdc.threads import to_its_end


@dataclass(frozen=True, slots=True)
class BroughtForward:
    """What became of a copy. `position` is the entry up to which it has everything, None where it is Postgres of now.

    `unknown` tells, in words, what of it is not known to be as it was then.
    """

    position: Position | None
    rows: Drained
    unknown: tuple[str, ...]

    @property
    def state(self) -> str:
        """Which state of the application it is, for people."""
        if self.position is None:
            return "as Postgres is now"
        seconds = seconds_since_epoch(decode_key(self.position.entry)[2])
        of = f", of {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC" if seconds is not None else ""
        return f"as SQLite was at entry {self.position.seq:,}{of}"

    @property
    def changed(self) -> int:
        """How many rows are others than in the snapshot."""
        return sum(sum(kind.values()) for kind in (self.rows.inserted, self.rows.updated, self.rows.deleted))


async def restore_with_changes(config: Config, snapshot: Snapshot, to: Path) -> BroughtForward:
    """Restore a snapshot as `to`, and have it hold what Postgres has; nothing is at `to` when an error is raised.

    Raises `SnapshotError` when the application changed its schema since, `TargetError` when Postgres knows nothing.
    """
    with restoring(snapshot, to) as copy:
        there = msgspec.structs.replace(config, source=msgspec.structs.replace(config.source, path=copy))
        look = source_file.look(there)
        if look.capture is None:
            raise never_loaded()
        async with connected(config, "restore") as connection, one_state(connection):
            record = Record(connection, look.capture.source_id)
            state = await record.stream.read()
            if state is None or state.position is None:
                raise never_loaded()
            fed = (await current_tables(record, config, look.schema)).fed
            targets = await catalogue.read_tables(connection, config.target.schema, [m.target for m in fed])
            _require_same_schema(snapshot, state.columns, fed, targets)
            maps = tuple(m for m in fed if not cannot_go_back(m, targets[m.target]))
            rows = await _written(there, record, maps, targets)
            left = {m.source.name for m in fed} - {m.source.name for m in maps}
            held = await record.quarantine.keys_of(None)
    position = None if state.phase.active is Side.POSTGRES else state.position
    others = {table.name for table in look.schema.tables} - {m.source.name for m in fed}
    return BroughtForward(position, rows, tuple(_unknown(rows, maps, left | others, held)))


async def _written(
    there: Config, record: Record, maps: Sequence[TableMap], targets: Mapping[str, TargetTable]
) -> Drained:
    forms = await _forms(there, record, maps, targets)
    held = {name: frozenset(map(encode_key, keys)) for name, keys in (await record.quarantine.keys_of(None)).items()}
    numbers = {n.mapped.source.name: n.next for n in await sequences.next_numbers(record.connection, maps)}
    reading = await Outbox(record.connection, record.source_id).reading_within(maps)
    with opened_past_fence(there) as connection:
        drain = Drain(connection, {m.source.name: targets[m.target] for m in maps}, forms, held)
        await to_its_end(drain.begin)
        try:
            async for page in reading.everything():
                await to_its_end(drain.take, page)
            rows = await to_its_end(drain.settle)
            follow_sequences(connection, maps, numbers)
            rebuild_indexes(connection)
            await to_its_end(drain.commit)
        finally:
            await to_its_end(drain.undo)
    return rows


async def _forms(
    there: Config, record: Record, maps: Sequence[TableMap], targets: Mapping[str, TargetTable]
) -> FormsByTable:
    """How the application writes its values: as it was learned for a switch, or by its rows in the copy."""
    kept = forms_from_json((await record.switch.read()).forms)
    return kept or await to_its_end(learn_forms, there, maps, targets)


def _require_same_schema(
    snapshot: Snapshot, decided: Decisions, fed: Sequence[TableMap], targets: Mapping[str, TargetTable]
) -> None:
    """Raise when tables or columns came or went since: rows of another shape would be half of each."""
    by_name = {m.source.name: m for m in fed}
    other = set(decided) ^ set(by_name)
    for name in set(decided) & set(by_name):
        mapped = by_name[name]
        target, columns = targets.get(mapped.target), set(mapped.target_columns)
        there = {c.name for c in target.columns} if target else set()
        if set(decided[name]) - columns or columns - there:
            other.add(name)
    if tables := ", ".join(sorted(other)):
        raise SnapshotError(
            f"the application changed its schema since snapshot {snapshot.manifest.id}: {tables}",
            remedy="restore it without `--with-changes`, or take a newer snapshot",
        )


def _unknown(
    rows: Drained, maps: Sequence[TableMap], as_then: set[str], held: Mapping[str, Sequence[object]]
) -> list[str]:
    found = [
        f"{name} is as it was in the snapshot: Postgres does not say which row is which" for name in sorted(as_then)
    ]
    found += [
        f"{name}: what is in quarantine is as it was in the snapshot, or missing: {len(keys):,} rows"
        for name, keys in sorted(held.items())
        if keys
    ]
    found += [f"{m.source.name}: {why}" for m in maps if way_back(m).level == "partly" for why in way_back(m).reasons]
    found += [f"{row.table} {', '.join(map(str, row.key))} stays as it was: {row.why.detail}" for row in rows.refused]
    return found
