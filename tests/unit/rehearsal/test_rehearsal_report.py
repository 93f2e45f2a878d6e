"""What a rehearsal came to: the worst of it decides, and each step of both switches is killed twice."""

from datetime import UTC, datetime

from cdc.errors import ExitCode
from cdc.facts.side import Side
from cdc.rehearsal.kills import EACH_STEP, Kill, Kills
from cdc.rehearsal.report import RehearsalReport, spread


def test_what_is_lost_outweighs_what_was_refused() -> None:
    report = RehearsalReport("1", datetime(2026, 1, 2, tzinfo=UTC), "schema", 1)
    assert (report.result, report.exit_code) == ("passed", ExitCode.OK)
    report.refusals.append("cdc cutover: lag: 7 s")
    assert (report.result, report.exit_code) == ("refused", ExitCode.DIFFERENCE)
    report.problems.append("writes that were committed are lost, in t")
    assert (report.result, report.exit_code) == ("failed", ExitCode.CRITICAL)
    assert report.to_json()["problems"] == report.problems


def test_times_are_told_in_the_order_of_the_steps() -> None:
    report = RehearsalReport("1", datetime(2026, 1, 2, tzinfo=UTC), "schema", 2)
    report.milliseconds[Side.SQLITE] = {"drain": [3.0]}
    report.milliseconds[Side.POSTGRES] = {"open Postgres": [1.0], "drain": [4.0, 2.0]}
    told = [(step["to"], step["name"], step["times"]) for step in report.to_json()["steps"]]
    assert told == [("postgres", "drain", 2), ("postgres", "open Postgres", 1), ("sqlite", "drain", 1)]
    assert spread([4.0, 2.0]) == {"min": 2.0, "median": 3.0, "p95": 4.0, "max": 4.0}
    assert spread([]) is None


def test_each_step_is_killed_when_it_begins_and_when_it_is_done() -> None:
    assert len(EACH_STEP) == len(set(EACH_STEP)) == 2 * (15 + 13)
    assert str(Kill(Side.POSTGRES, 5, "begun")) == "step 5 (fence SQLite) begun"
    assert Kill(Side.SQLITE, 13, "done").point == "switch.step_done:13"


def test_the_next_kill_is_of_the_switch_that_can_be_made_now() -> None:
    forward, backward = Kill(Side.POSTGRES, 12, "done"), Kill(Side.SQLITE, 1, "begun")
    kills = Kills([backward, forward])
    assert kills.next(Side.POSTGRES) == forward
    assert (kills.next(Side.POSTGRES), kills.left) == (None, 1)  # what is left needs a cutover first
    assert (kills.next(Side.SQLITE), kills.left) == (backward, 0)
