"""What has to hold before the way back is ended. Pure: it asks nobody."""

from dataclasses import dataclass
from datetime import datetime

from cdc.cutover.gates import fence_gate, flag_gate, long_transactions, some, written_to
from cdc.cutover.plan import Gate
from cdc.facts.side import Side


@dataclass(frozen=True, slots=True)
class FinalFacts:
    """What both databases, the flag and the machine show before the way back is ended.

    `dump_with` is the program that would make the dump, empty where none is fit; `dumps` says whether one is wanted.
    """

    now: datetime
    active: Side
    switched_at: datetime | None
    uncarried: tuple[str, ...]
    fence: tuple[str, ...]
    unsettled: tuple[str, ...]
    long_writers: tuple[str, ...]
    flag_problems: tuple[str, ...]
    embedded: bool
    server_version: int
    dump_with: str
    dumps: bool = True
    leaves_behind: bool = False


def final_gates(facts: FinalFacts, after_hours: float) -> tuple[Gate, ...]:
    """The gates of the end of the way back, which is kept for `after_hours` at least; 0 does not ask."""
    return (
        written_to(
            facts.active,
            Side.POSTGRES,
            "`cdc cutover` first; to stay with SQLite instead, `cdc cleanup --capture-only`",
        ),
        _kept(facts, after_hours),
        Gate(
            "changes carried back",
            not facts.uncarried or facts.leaves_behind,
            some(facts.uncarried) or "all, or on their way",
            "SQLite can hold every row",
            "correct these rows in Postgres; or add --leave-behind, and the last snapshot is without them",
        ),
        fence_gate(facts.fence),
        Gate(
            "Postgres schema",
            not facts.unsettled,
            some(facts.unsettled) or "whole",
            "triggers fire, constraints hold, indexes are used",
            "ALTER TABLE ... ENABLE TRIGGER, ... VALIDATE CONSTRAINT, or REINDEX INDEX, each for what is named",
        ),
        long_transactions(facts.long_writers),
        flag_gate(facts.flag_problems),
        Gate(
            "server",
            not facts.embedded,
            "the embedded one" if facts.embedded else "of its own",
            "one that runs without the daemon, which ends",
            "move Postgres to a server of its own first: see Moving Postgres in docs/runbook.md",
        ),
        dump_gate(facts.dump_with, facts.server_version, wanted=facts.dumps),
    )


def dump_gate(dump_with: str, server_version: int, *, wanted: bool) -> Gate:
    """Whether a program is there that dumps from a server of this version, unless none is `wanted`."""
    now = (dump_with or "no pg_dump that is new enough") if wanted else "not wanted"
    return Gate(
        "dump",
        bool(dump_with) or not wanted,
        now,
        f"pg_dump {server_version} or newer",
        f"install postgresql-client-{server_version}; or make a backup of your own, and add --without-dump",
    )


def _kept(facts: FinalFacts, after_hours: float) -> Gate:
    """How long applications have been writing to Postgres; nobody knows counts as not long enough."""
    hours = (facts.now - facts.switched_at).total_seconds() / 3600 if facts.switched_at else 0.0
    now = f"for {hours:.1f} h" if facts.switched_at else "nobody knows for how long"
    limit = f"for {after_hours:g} h" if after_hours else "`finalize_after_hours` in [cutover] does not ask"
    remedy = "wait: look at the application on Postgres for as long; or set `finalize_after_hours` in [cutover]"
    return Gate("on Postgres", hours >= after_hours, now, limit, remedy, facts.switched_at)
