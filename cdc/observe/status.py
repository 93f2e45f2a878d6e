"""One picture of the replication: how far it is, what waits, what is wrong, and what to do next.

It is put together from what each side can tell now, so it also works while the daemon is down, while one of the
databases cannot be reached, and before anything was set up.
"""

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from cdc.config import Config
from cdc.errors import CdcError
from cdc.facts.source_schema import WaitingTable
from cdc.notes import end_note, final_note, pause_note
from cdc.observe import daemon_file, state_folder
from cdc.observe.judgement import Judged
from cdc.observe.picture import NO_LIMITS, Limits
from cdc.postgres.record.status import read_target
from cdc.postgres.server.endpoint import Endpoint
from cdc.sqlite.changelog.lag import PATIENCE_SECONDS, read_source
from cdc.sqlite.changelog.source_file import waiting
from cdc.sqlite.fence import fence
from cdc.sqlite.fence.fence import FenceState
from cdc.sqlite.snapshot.snapshot import latest


@dataclass(frozen=True, slots=True)
class Status(Judged):
    """The picture at one moment, judged; see docs/cli.md for the JSON form."""

    def to_json(self) -> dict[str, Any]:
        """The picture as one stable object; an unknown value is null."""
        return {
            "at": self.at.isoformat(timespec="milliseconds"),
            "phase": self.phase,
            "exit_code": int(self.exit_code),
            "next_step": self.next_step,
            "warnings": [w.what for w in (*self.unreachable, *self.critical, *self.warnings)],
            "source": self._source_json(),
            "writes": self.writes,
            "lag": {"changes": self.lag_changes, "seconds": self.lag_seconds},
            "uncarried": self.target.guard.uncarried if self.target.reachable else None,
            **self._target_json(),
            "activity": self._activity_json(),
            "finalized": msgspec.to_builtins(self.final),
            "paused": msgspec.to_builtins(self.pause),
            "state": {
                "dir": str(self.folder.path),
                "bytes": dict(self.folder.parts),
                "free_bytes": dict(self.folder.free),
            },
        }

    def _activity_json(self) -> dict[str, Any]:
        shown = self.presence
        return {
            "doing": shown.doing if shown else None,
            "since": shown.since if shown else None,
            "error": shown.error if shown else None,
            "attempts": shown.attempts if shown else None,
        }

    def _source_json(self) -> dict[str, Any]:
        source = {k: v for k, v in asdict(self.source).items() if k != "remedy"}
        return {**source, "path": str(self.source.path)}

    def _target_json(self) -> dict[str, Any]:
        target, stream = self.target, self.target.stream
        waiting = target.quarantine
        applied = stream.applied_at if stream else None
        checked = target.verification
        return {
            "target": {"where": target.where, "reachable": target.reachable, "error": target.error},
            "position": {"seq": stream.seq if stream else None},
            "changes_applied": stream.changes if stream else None,
            "last_apply": applied.isoformat() if applied else None,
            "heartbeat_age_seconds": stream.heartbeat_age if stream else None,
            "daemon": {"running": self.daemon_runs, "owner": target.daemon},
            "quarantine": {
                "total": sum(w.rows for w in waiting.values()) if target.reachable else None,
                "acknowledged": sum(w.acknowledged for w in waiting.values()) if target.reachable else None,
                "by_reason": {reason: w.rows for reason, w in waiting.items()},
            },
            "tombstones": {
                what: sum(getattr(t, what) for t in target.tombstones) if target.reachable else None
                for what in ("standing", "waiting", "returned")
            },
            "pending": [
                {
                    "table": left.source_table,
                    "target": left.target,
                    "column": left.column,
                    "since": left.noticed_at.isoformat(),
                    "dropped": list(left.dropped),
                }
                for left in target.leftovers
            ],
            "waiting": [asdict(table) for table in self.waiting],
            "disabled_triggers": [str(trigger) for trigger in target.silent_triggers],
            "snapshot": {
                "id": self.snapshot.id if self.snapshot else None,
                "taken_at": self.snapshot.taken_at if self.snapshot else None,
            },
            "verification": {
                "result": checked.result if checked else None,
                "finished_at": checked.finished_at.isoformat() if checked else None,
                "age_seconds": self.verification_age,
                "compared_since": self.compared_since.isoformat() if self.compared_since else None,
                "compared_age_seconds": self.compared_age,
                "oldest_table": target.oldest.table if target.oldest else None,
                "differing": list(target.differing.names) if target.differing else [],
                "schema": [finding.to_json() for finding in target.schema_findings],
            },
            "shadow": {
                "endpoints": target.shadow.endpoints if target.shadow else 0,
                "differing": target.shadow.differing if target.shadow else 0,
                "clean_since": _iso(target.shadow.clean_since if target.shadow else None),
                "last_at": _iso(target.shadow.last_at if target.shadow else None),
            },
            "stopped": {
                "reason": stream.stopped_reason if stream else None,
                "remedy": stream.stopped_remedy if stream else None,
            },
        }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


async def gather(config: Config, target: Endpoint, limits: Limits = NO_LIMITS) -> Status:
    """The picture of now. Never raises for a database that cannot be reached: the picture then says so.

    Each of the two is asked for a few seconds at most.
    """
    shown = daemon_file.look(config)
    source = await asyncio.to_thread(read_source, config.source)
    told = await read_target(config, target, source.source_id, daemon_runs=shown is not None)
    if source.capture_installed and told.stream and told.stream.seq is not None:
        source = await asyncio.to_thread(read_source, config.source, told.stream.seq)
    newest = latest(config.state.dir / "snapshots", config.source.path)
    return Status(
        at=datetime.now(UTC),
        source=source,
        target=told,
        folder=await asyncio.to_thread(state_folder.measure, config),
        presence=shown,
        snapshot=newest.manifest if newest else None,
        limits=limits,
        pause=await asyncio.to_thread(pause_note.read, config),
        waiting=await asyncio.to_thread(_waiting, config) if source.capture_installed else (),
        removed=await asyncio.to_thread(end_note.read, config),
        fence=await asyncio.to_thread(_fence, config) if source.reachable else None,
        final=await asyncio.to_thread(final_note.read, config),
    )


def _fence(config: Config) -> FenceState | None:
    try:
        return fence.look(_patient(config))
    except CdcError:  # what is wrong with the file is told by the facts about it
        return None


def _waiting(config: Config) -> tuple[WaitingTable, ...]:
    try:
        return waiting(_patient(config))
    except CdcError:  # what is wrong with the file is told by the facts about it
        return ()


def _patient(config: Config) -> Config:
    """For who asks for the status, and does not wait long for a lock."""
    patience = min(config.source.busy_timeout_seconds, PATIENCE_SECONDS)
    return msgspec.structs.replace(config, source=msgspec.structs.replace(config.source, busy_timeout_seconds=patience))
