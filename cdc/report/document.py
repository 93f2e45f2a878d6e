"""Facts as one JSON document, in a form with a version: what a page shows, what is sealed, what programs read. Pure.

The same facts make the same document, whatever machine it is made on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any, Final

import msgspec

from cdc import __version__
from cdc.audit.chain import AuditEntry
from cdc.audit.check import ChainVerdict
from cdc.facts.row_key import shown_key
from cdc.facts.shadow import COMPARED, PROVES, Verdict
from cdc.log import redact
from cdc.postgres.record.quarantine import QuarantinedRow
from cdc.postgres.record.rehearsals import PastRehearsal
from cdc.postgres.record.tombstones import TombstoneCounts
from cdc.postgres.record.verification import Verification
from cdc.report.decision import adds_up, decide
from cdc.report.differences import find_differences, told_time
from cdc.report.facts import AuditFacts, KeptFacts, PlanFacts, ReportFacts, RowsFacts
from cdc.report.timeline import make_timeline
from cdc.shadow.report import EndpointReport, unclean
from cdc.sqlite.snapshot.manifest import Manifest

FORM: Final = 1
KIND: Final = "cdc report"
MOST_COMPARISONS: Final = 50  # that are listed each
MOST_DIFFERENCES: Final = 100
MOST_KEYS: Final = 20  # of one cause in quarantine
LONGEST_KEY: Final = 120  # characters
MOST_CAUSES: Final = 200
MOST_ENDPOINTS: Final = 100  # of an access log, that were never compared

Json = dict[str, Any]


def make_document(facts: ReportFacts) -> Json:
    """The document; see docs/report.md for what each part means."""
    document: Json = _clean(_parts(facts, facts.kept or KeptFacts()))
    return document


def _clean(value: Any) -> Any:
    """Without passwords of connection strings, and with escapes for what a reader would not see, or see elsewhere."""
    match value:
        case dict():
            return {visible(str(name)): _clean(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_clean(inner) for inner in value]
        case str():
            return visible(redact(value))
        case _:
            return value


def visible(text: str) -> str:
    """The text with escapes for characters that cannot be printed: controls, marks of direction, halves of pairs."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _parts(facts: ReportFacts, kept: KeptFacts) -> Json:
    return {
        "kind": KIND,
        "form": FORM,
        "made": {
            "at": told_time(facts.at),
            "by": facts.machine.by,
            "cdc": __version__,
            "versions": [{"name": name, "version": version} for name, version in facts.machine.versions.items()],
            "configuration": {"file": facts.machine.config_file, "sha256": facts.machine.config_sha256},
        },
        "move": _move(facts),
        "decision": decide(facts).to_json(),
        "plan": _plan(facts.plan),
        "rows": _rows(facts.rows),
        "verification": _verification(facts, kept),
        "differences": _differences(kept, facts.audit.entries),
        "downtime": _downtime(facts.audit.entries),
        "rehearsals": [_rehearsal(rehearsal) for rehearsal in kept.rehearsals],
        "shadow": _shadow(kept),
        "quarantine": _quarantine(kept.quarantine),
        "tombstones": [_tombstones(table) for table in kept.tombstones],
        "final": msgspec.to_builtins(facts.status.final),
        "snapshots": [_snapshot(manifest) for manifest in facts.snapshots],
        "timeline": {**make_timeline(facts.audit.entries, facts.audit.batches).to_json(), "older": facts.audit.dropped},
        "audit": _audit(facts.audit),
    }


def _move(facts: ReportFacts) -> Json:
    status, stream = facts.status, facts.status.target.stream
    return {
        "from": str(status.source.path),
        "to": status.target.where,
        "schema": facts.schema,
        "source_id": stream.source_id if stream else status.source.source_id,
        "phase": str(status.phase),
        "writes": str(status.writes) if status.writes else None,
        "lag_changes": status.lag_changes,
        "position": stream.seq if stream else None,
        "daemon_runs": status.daemon_runs,
        "sqlite_error": status.source.error,
        "postgres_error": facts.kept_error,
        "postgres_asked": facts.kept is not None,
    }


def _plan(facts: PlanFacts) -> Json | None:
    """The gates alone: how each step of a switch went is told of the switches that were made."""
    if facts.plan is None:
        return None
    told = facts.plan.to_json()
    return {name: told[name] for name in ("to", "verdict", "plan_id", "would_lose", "gates", "unchecked")}


def _rows(rows: RowsFacts) -> Json:
    """The tables that do not add up first, then by size."""
    ordered = sorted(rows.tables, key=lambda t: (adds_up(t), -(t.postgres or t.sqlite or 0), t.table))
    counted = [t for t in rows.tables if t.sqlite is not None and t.postgres is not None]
    return {
        "one_position": rows.one_position,
        "error": rows.error,
        "tables": [{**asdict(t), "adds_up": adds_up(t) if rows.one_position else None} for t in ordered],
        "sqlite": sum(t.sqlite or 0 for t in counted),
        "postgres": sum(t.postgres or 0 for t in counted),
        "held": sum(t.held for t in rows.tables),
        "not_counted": len(rows.tables) - len(counted),
    }


def _verification(facts: ReportFacts, kept: KeptFacts) -> Json:
    whole = next((v for v in kept.verifications if v.complete), None)
    listed = kept.verifications[:MOST_COMPARISONS]
    return {
        "last": _comparison(whole) if whole else None,
        "last_at": told_time(whole.finished_at) if whole else None,
        "compared_since": told_time(facts.status.compared_since),
        "comparisons": [_comparison(v) for v in listed],
        "more": len(kept.verifications) - len(listed),
        "schema": [finding.words for finding in facts.status.target.schema_findings],
    }


def _comparison(made: Verification) -> Json:
    told = asdict(made)
    told["names"] = [] if made.complete else list(made.names[:MOST_KEYS])
    return {
        **told,
        "started_at": told_time(made.started_at),
        "finished_at": told_time(made.finished_at),
        "seconds": round((made.finished_at - made.started_at).total_seconds(), 1),
    }


def _differences(kept: KeptFacts, entries: Sequence[AuditEntry]) -> Json:
    found = find_differences(kept.verifications, entries)
    return {
        "found": [difference.to_json() for difference in found[-MOST_DIFFERENCES:]],
        "older": max(0, len(found) - MOST_DIFFERENCES),
        "open": sum(difference.ended is None for difference in found),
        "repaired": [
            {"table": table.source_table, "rows": table.rows, "last_at": told_time(table.last_at)}
            for table in kept.repaired
        ],
    }


def _downtime(entries: Iterable[AuditEntry]) -> Json:
    """Every try of a cutover or a rollback that ended, and for how long it refused writes."""
    switches = [e for e in entries if e.action == "switch" and e.result != "started"]
    told = [
        {
            "at": e.at,
            "by": e.actor,
            "to": e.details.get("to"),
            "result": e.result,
            "refused_seconds": e.details.get("refused_seconds"),
            "step": e.details.get("step"),
            "reason": e.details.get("reason"),
        }
        for e in switches
    ]
    seconds = [t["refused_seconds"] for t in told if isinstance(t["refused_seconds"], int | float)]
    return {"switches": told, "refused_seconds": round(sum(seconds), 3)}


def _rehearsal(made: PastRehearsal) -> Json:
    return {
        "finished_at": told_time(made.finished_at),
        "seconds": round((made.finished_at - made.began_at).total_seconds(), 1),
        "times": made.times,
        "kills": made.kills,
        "result": made.result,
        "refused": [
            {"command": command, "median_seconds": round(median(taken), 3), "most_seconds": round(max(taken), 3)}
            for command, taken in sorted(made.refused.items())
            if taken
        ],
    }


def _shadow(kept: KeptFacts) -> Json:
    report = kept.shadow
    if report is None:
        return {
            "endpoints": [],
            "clean_since": None,
            "clean_days_wanted": None,
            "never_compared": [],
            "logged": 0,
            "logged_compared": 0,
        }
    told = [_endpoint(endpoint) for endpoint in report.endpoints]
    return {
        "endpoints": told,
        "clean_since": told_time(report.clean.since),
        "clean_days_wanted": report.clean_days,
        "never_compared": [
            {"endpoint": endpoint, "requests": count}
            for endpoint, count in list(report.clean.never_compared.items())[:MOST_ENDPOINTS]
        ],
        "logged": report.clean.logged,
        "logged_compared": report.clean.compared,
    }


def _endpoint(endpoint: EndpointReport) -> Json:
    counts = endpoint.verdicts
    return {
        "kind": endpoint.kind,
        "endpoint": endpoint.endpoint,
        "asked": endpoint.asked,
        "compared": sum(counts.get(verdict, 0) for verdict in COMPARED),
        "alike": sum(counts.get(verdict, 0) for verdict in PROVES),
        "differed": unclean(counts) - counts.get(Verdict.SLOW, 0),
        "slow": counts.get(Verdict.SLOW, 0),
        "too_slow": endpoint.speed is not None and endpoint.speed.too_slow,
        "clean_since": told_time(endpoint.clean_since) if endpoint.proven else None,
    }


def _tombstones(table: TombstoneCounts) -> Json:
    return {
        "table": table.source_table,
        "standing": table.standing,
        "waiting": table.waiting,
        "returned": table.returned,
        "newest_at": told_time(table.newest_at),
    }


def _quarantine(rows: Sequence[QuarantinedRow]) -> Json:
    """By cause and by who acknowledged: keys, a bounded number of them, and no value of another column."""
    causes: dict[tuple[str, str, str, str], list[QuarantinedRow]] = {}
    for row in rows:
        causes.setdefault((row.source_table, row.reason, row.column_name, row.acknowledged_by or ""), []).append(row)
    return {
        "rows": len(rows),
        "acknowledged": sum(row.acknowledged_at is not None for row in rows),
        "causes": [_cause(same) for _, same in sorted(causes.items())[:MOST_CAUSES]],
        "more_causes": max(0, len(causes) - MOST_CAUSES),
    }


def _cause(rows: Sequence[QuarantinedRow]) -> Json:
    first, known = rows[0], [row.acknowledged_at for row in rows if row.acknowledged_at is not None]
    keys = [_key(row) for row in rows[:MOST_KEYS]]
    return {
        "table": first.source_table,
        "reason": first.reason,
        "column": first.column_name or None,
        "rows": len(rows),
        "first_seen": told_time(min(row.first_seen for row in rows)),
        "last_seen": told_time(max(row.last_seen for row in rows)),
        "acknowledged_by": first.acknowledged_by,
        "acknowledged_at": told_time(max(known)) if known else None,
        "keys": keys,
        "more_keys": len(rows) - len(keys),
    }


def _key(row: QuarantinedRow) -> str:
    """The key without what its table calls a secret: the document is shown to others."""
    shown = shown_key(row.key, row.source_table, ())
    return shown if len(shown) <= LONGEST_KEY else f"{shown[:LONGEST_KEY]}..."


def _snapshot(manifest: Manifest) -> Json:
    return {
        "id": manifest.id,
        "taken_at": manifest.taken_at,
        "bytes": manifest.bytes,
        "rows": sum(manifest.application_tables.values()),
        "integrity_check": manifest.integrity_check,
        "sha256": manifest.sha256,
    }


def _audit(audit: AuditFacts) -> Json:
    return {"file": _chain(audit.file), "postgres": _chain(audit.postgres), "error": audit.error}


def _chain(verdict: ChainVerdict | None) -> Json | None:
    return verdict.to_json() if verdict else None
