"""The schema in Postgres looked at now and then by the daemon: what somebody altered there is told, and its end too.

One look is some fifteen queries for all tables together; what today's DDL would make is tried once for each schema that
the application has. What was found is kept in `cdc.schema_finding`, so a new daemon knows what lasts.
"""

import shlex
import time
from collections.abc import Sequence
from typing import Final

from loguru import logger

from cdc.audit import trail
from cdc.config import Config
from cdc.errors import Policy, TargetError
from cdc.facts.schema_finding import SchemaFinding
from cdc.observe.daemon_state import DaemonState, schema_of
from cdc.postgres.record.record import Record
from cdc.verify.schema_check import SchemaCheck

LOOK_SECONDS: Final = 600.0
AGAIN_SECONDS: Final = 30.0  # while something is wrong, for somebody may have put it right
FOLLOWED_SECONDS: Final = 5.0  # while the daemon follows what the application changed


class RollingSchema:
    """The looks of one daemon; `seconds` says how long nothing is due."""

    def __init__(self, daemon_state: DaemonState) -> None:
        self._daemon_state = daemon_state
        self._config: Config | None = None
        self._check: SchemaCheck
        self._due = 0.0  # on the monotonic clock
        self._told: dict[str, list[SchemaFinding]] | None = None  # by source table; None before it is known

    @property
    def seconds(self) -> float:
        """How many seconds nobody needs to look."""
        return max(0.0, self._due - time.monotonic())

    async def look_if_due(self, record: Record, config: Config) -> None:
        """Look, and tell what is new; raises errors that pass by, others are told and put off."""
        if self.seconds:
            return
        if config is not self._config:
            self._config, self._check = config, SchemaCheck(config)
        began = time.monotonic()
        longest = min(LOOK_SECONDS, config.verify.rolling_hours * 3600)
        try:
            wait = min(longest, await self._look(record, config))
        except TargetError as error:
            if error.policy is not Policy.NEEDS_A_PERSON:
                raise
            logger.bind(error=error.message, remedy=error.remedy).warning("the schema could not be compared")
            wait = longest
        took = time.monotonic() - began
        share = min(config.verify.rolling_share, 1.0)
        self._due = time.monotonic() + max(wait, took * (1 / share - 1))

    async def _look(self, record: Record, config: Config) -> float:
        """How long nothing is due after it."""
        stored = await record.schema_findings.read()
        if self._told is None:
            self._told = self._take_over(stored)
        told = self._told
        report = await self._check.look(record)
        if report is None:
            return FOLLOWED_SECONDS
        found = _by_table(report.findings)
        if set(stored) != set(report.findings):  # by `cdc verify` too
            await record.schema_findings.store(report.findings, report.tables, report.tables)
        for name in (*report.tables, *(told.keys() - set(report.tables))):
            self._tell(config, name, found.get(name, []), told.get(name, []))
        self._told = found
        return AGAIN_SECONDS if found else LOOK_SECONDS

    def _take_over(self, stored: Sequence[SchemaFinding]) -> dict[str, list[SchemaFinding]]:
        """What a daemon before, or `cdc verify`, found lasts until it is looked at again."""
        kept = _by_table(stored)
        for name, findings in kept.items():
            self._alarm(name, findings)
        return kept

    def _tell(
        self, config: Config, name: str, findings: Sequence[SchemaFinding], before: Sequence[SchemaFinding]
    ) -> None:
        if new := [finding for finding in findings if finding not in before]:
            for finding in new:
                reason = f"expected {finding.expected}, found {finding.actual}"
                thing = f"{finding.kind} {finding.name}".rstrip()
                facts = logger.bind(table=name, object=thing, reason=reason, remedy=finding.remedy)
                facts.error("the schema in Postgres is not as it should be")
            details = {"table": name, "findings": [finding.words for finding in new]}
            trail.record(config.state.dir, "find an altered schema", "failed", details)
        if findings:
            self._alarm(name, findings)
        elif before:
            logger.bind(table=name).warning("the schema in Postgres is as it should be again")
            trail.record(config.state.dir, "end of an altered schema", "done", {"table": name})
            self._daemon_state.calm(schema_of(name))

    def _alarm(self, name: str, findings: Sequence[SchemaFinding]) -> None:
        more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
        remedy = f"see all of them with `cdc verify --table {shlex.quote(name)}`" if more else findings[0].remedy
        self._daemon_state.alarm(schema_of(name), f"the schema in Postgres: {findings[0].words}{more}", remedy)


def _by_table(findings: Sequence[SchemaFinding]) -> dict[str, list[SchemaFinding]]:
    tables: dict[str, list[SchemaFinding]] = {}
    for finding in findings:
        tables.setdefault(finding.table, []).append(finding)
    return tables
