"""What closes the end of the way back: each gate by the fact it is about, and by no other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cdc.cutover.plan import SwitchPlan
from cdc.ending.gates import FinalFacts, final_gates
from cdc.facts.side import Side

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
END = FinalFacts(
    now=NOW,
    active=Side.POSTGRES,
    switched_at=NOW - 30 * HOUR,
    uncarried=(),
    fence=(),
    unsettled=(),
    long_writers=(),
    flag_problems=(),
    embedded=False,
    server_version=17,
    dump_with="pg_dump 18",
)


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"active": Side.SQLITE}, "written to"),
        ({"switched_at": NOW - 23 * HOUR}, "on Postgres"),
        ({"switched_at": None}, "on Postgres"),
        ({"uncarried": ("t 5: too large",)}, "changes carried back"),
        ({"fence": ("t has none",)}, "SQLite fence"),
        ({"unsettled": ("trigger g of t does not fire",)}, "Postgres schema"),
        ({"long_writers": ("psql",)}, "long transactions"),
        ({"flag_problems": ("env says other",)}, "flag"),
        ({"embedded": True}, "server"),
        ({"dump_with": ""}, "dump"),
    ],
)
def test_each_fact_closes_one_gate_of_the_end(change: dict[str, Any], gate: str) -> None:
    (closed,) = [g for g in final_gates(replace(END, **change), 24.0) if not g.passed]
    assert (closed.name, bool(closed.remedy)) == (gate, True)


def test_what_the_operator_says_opens_gates_of_the_end() -> None:
    facts = replace(END, switched_at=None, uncarried=("t 5",), leaves_behind=True, dump_with="", dumps=False)
    assert all(gate.passed for gate in final_gates(facts, 0.0))
    ready = SwitchPlan(Side.POSTGRES, final_gates(END, 24.0), (), command="cdc finalize", option="--leave-behind")
    assert (ready.verdict, ready.next_steps) == ("READY", ["`cdc finalize --leave-behind`"])
