"""Every metric of `/metrics`: name, type, labels and meaning. docs/metrics.md is made from it.

Labels take few values: tables of the source, kinds of errors, and words from fixed lists. No label and no value comes
from a row.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class MetricKind(StrEnum):
    """Types of metrics as Prometheus has them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `labels` in the order their values are given."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, MetricKind.GAUGE, text, labels)


# --- counted as it happens --------------------------------------------------------------------------------------------

BATCHES: Final = Metric("cdc_batches_total", MetricKind.COUNTER, "Batches that Postgres committed.")
CHANGES: Final = Metric("cdc_changes_total", MetricKind.COUNTER, "Changelog entries that were applied.")
ROWS: Final = Metric(
    "cdc_rows_total",
    MetricKind.COUNTER,
    "Rows by source table and what was done: upserted, deleted, quarantined, released from quarantine, "
    "returned after they were deleted; and values altered because `on_invalid` or `empty` says so.",
    ("table", "action"),
)
BATCH_SECONDS: Final = Metric(
    "cdc_batch_duration_seconds", MetricKind.HISTOGRAM, "How long a batch took, from its first read to its commit."
)
APPLY_LAG_SECONDS: Final = Metric(
    "cdc_apply_lag_seconds",
    MetricKind.HISTOGRAM,
    "How old the oldest change of a batch was when Postgres had it, counted from the statement that made it.",
)
ERRORS: Final = Metric("cdc_errors_total", MetricKind.COUNTER, "Attempts that failed, by kind of error.", ("kind",))
RECONNECTS: Final = Metric(
    "cdc_reconnects_total", MetricKind.COUNTER, "How often both databases were opened again after the first time."
)
PRUNED: Final = Metric(
    "cdc_pruned_entries_total", MetricKind.COUNTER, "Applied entries that were taken out of the changelog."
)

# --- measured when asked ----------------------------------------------------------------------------------------------

BUILD: Final = _gauge("cdc_build_info", "Always 1; versions of cdc, Python and SQLite.", "version", "python", "sqlite")
STATE: Final = _gauge("cdc_state", "1 for what the daemon is doing now, 0 for everything else.", "state")
UPTIME: Final = _gauge("cdc_uptime_seconds", "How long the daemon has been running.")
BEAT_AGE: Final = _gauge("cdc_last_beat_age_seconds", "How long ago the loop last got something done.")
APPLY_AGE: Final = _gauge("cdc_last_apply_age_seconds", "How long ago the last batch of this daemon was committed.")
HEARTBEAT_AGE: Final = _gauge("cdc_last_heartbeat_age_seconds", "How long ago Postgres took the last heartbeat.")
ATTEMPTS: Final = _gauge("cdc_failed_attempts", "Attempts that failed since one succeeded.")
SOURCE_READABLE: Final = _gauge("cdc_source_readable", "1 when the SQLite file could be read for this answer, else 0.")
TARGET_REACHABLE: Final = _gauge("cdc_target_reachable", "1 when Postgres answered the daemon the last time, else 0.")
POSITION: Final = _gauge("cdc_position", "The changelog entry up to which Postgres has everything.")
NEWEST: Final = _gauge("cdc_newest_entry", "The newest changelog entry in the SQLite file.")
LAG_CHANGES: Final = _gauge("cdc_lag_changes", "Changes that Postgres has not; after a cutover, that SQLite has not.")
LAG_SECONDS: Final = _gauge("cdc_lag_seconds", "How long the oldest such change has been waiting; 0 without one.")
KEPT: Final = _gauge("cdc_changelog_entries", "Entries that lie in the changelog, applied ones included.")
QUARANTINE: Final = _gauge("cdc_quarantine_rows", "Rows that Postgres cannot hold, as of the last heartbeat.", "reason")
VERIFIED: Final = _gauge("cdc_verification_result", "1 for the result of the last whole comparison.", "result")
VERIFICATION_AGE: Final = _gauge("cdc_verification_age_seconds", "How old the last whole comparison is.")
COMPARED_AGE: Final = _gauge(
    "cdc_compared_age_seconds", "How long ago the table that waits longest was compared in the background."
)
ALARMS: Final = _gauge("cdc_alarms", "What is wrong now although changes flow, rows that differ for example.")
SNAPSHOT_AGE: Final = _gauge("cdc_snapshot_age_seconds", "How old the newest snapshot is.")
STATE_BYTES: Final = _gauge("cdc_state_bytes", "Size of the state folder by part.", "part")
FREE_BYTES: Final = _gauge(
    "cdc_free_bytes", "Free space on the disk of the state folder or of the SQLite file.", "disk"
)

# --- of the shadow proxy, which serves them itself --------------------------------------------------------------------

PROXY_REQUESTS: Final = Metric("cdc_proxy_requests_total", MetricKind.COUNTER, "Requests that users put.")
PROXY_PAIRS: Final = Metric(
    "cdc_proxy_pairs_total",
    MetricKind.COUNTER,
    "Reads that were put to both sides, by verdict.",
    ("verdict",),
)
PROXY_NOT_COMPARED: Final = Metric(
    "cdc_proxy_not_compared_total", MetricKind.COUNTER, "Reads that were not compared, and why.", ("reason",)
)
PROXY_ADDED: Final = Metric(
    "cdc_proxy_added_seconds",
    MetricKind.HISTOGRAM,
    "What the proxy took of the time of a read that it compares: all of it but the waiting for the application.",
)
PROXY_HELD: Final = Metric(
    "cdc_proxy_held_writes_total", MetricKind.COUNTER, "Writes that ever waited, because writes were held."
)
PROXY_WAITING: Final = _gauge("cdc_proxy_waiting_writes", "Writes that wait now, because writes are held.")
PROXY_WRITING: Final = _gauge("cdc_proxy_writes_under_way", "Writes that a side has not answered yet.")
PROXY_QUEUE: Final = _gauge("cdc_proxy_waiting_pairs", "Pairs that are not judged yet.")
PROXY_ACTIVE: Final = _gauge(
    "cdc_proxy_active", "1 for the side that users are served from, 0 for the other one.", "side"
)
PROXY_BREAKER: Final = _gauge("cdc_proxy_breaker", "1 for the state of the circuit breaker, 0 for others.", "state")
PROXY_CANARY: Final = _gauge("cdc_proxy_serves_candidate", "1 while a share of the reads is served by the candidate.")
PROXY_SILENT: Final = _gauge("cdc_proxy_last_turn_age_seconds", "How long ago the loop of the proxy last came round.")

CATALOGUE: Final = tuple(found for found in list(globals().values()) if isinstance(found, Metric))
