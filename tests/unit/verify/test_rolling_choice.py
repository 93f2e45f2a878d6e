"""What the comparison that never ends does next, and how far a table is after it: decided without a database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from small_tables import config, mapped, table, text

from cdc.config import Config
from cdc.facts.changes import AppliedBatch, TableTally
from cdc.facts.key_range import KeyRange
from cdc.facts.table_map import TableMap
from cdc.observe.daemon_state import Activity, DaemonState
from cdc.postgres.record.verified_tables import VerifiedTable
from cdc.postgres.server.endpoint import Endpoint
from cdc.verify.report import TableReport
from cdc.verify.rolling import RollingVerifier
from cdc.verify.rolling_choice import (
    AGAIN,
    IDLE_SECONDS,
    PUT_OFF_SECONDS,
    SLICE_ROWS,
    SLICE_TABLES,
    advanced,
    choose,
    due_at,
    nothing_due,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def maps(*names: str) -> list[TableMap]:
    return [mapped(table(name, text("v"))) for name in names]


def compared(name: str, *, minutes_ago: float, rows: int = 10) -> VerifiedTable:
    return VerifiedTable(name, NOW - timedelta(minutes=minutes_ago), rows)


def chosen(*known: VerifiedTable, names: str, **more: frozenset[str]) -> list[str]:
    parts = choose(maps(*names.split()), {t.name: t for t in known}, NOW, HOUR, **more)
    return [part.before.name for part in parts]


def test_what_was_compared_within_the_time_is_left_alone() -> None:
    assert chosen(compared("a", minutes_ago=59), names="a") == []
    assert chosen(compared("a", minutes_ago=60), names="a") == ["a"]


def test_a_pass_that_is_under_way_goes_on_before_another_begins() -> None:
    under_way = VerifiedTable("b", NOW, began_at=NOW, after_key=7)
    assert chosen(compared("a", minutes_ago=90), under_way, names="a b")[0] == "b"


def test_the_table_that_waits_longest_comes_first_and_small_ones_go_together() -> None:
    known = [compared("a", minutes_ago=70), compared("b", minutes_ago=90), compared("c", minutes_ago=80)]
    assert chosen(*known, names="a b c") == ["b", "c", "a"]


def test_a_table_of_unknown_size_goes_alone() -> None:
    assert chosen(names="a b") == ["a"]


def test_a_slice_has_no_more_rows_and_tables_than_a_slice_may_have() -> None:
    half = SLICE_ROWS // 2 + 1
    known = [compared("a", minutes_ago=90, rows=half), compared("b", minutes_ago=80, rows=half)]
    assert chosen(*known, names="a b") == ["a"]
    names = [f"t{n:03}" for n in range(SLICE_TABLES + 9)]
    many = [compared(name, minutes_ago=90, rows=0) for name in names]
    assert len(chosen(*many, names=" ".join(names))) == SLICE_TABLES


def test_a_table_that_cannot_be_compared_now_holds_no_other_up() -> None:
    known = [compared("a", minutes_ago=90), compared("b", minutes_ago=80)]
    assert chosen(*known, names="a b", put_off=frozenset({"a"})) == ["b"]


def test_a_table_with_a_difference_is_looked_at_again_soon() -> None:
    ago = AGAIN.total_seconds() / 60
    assert chosen(compared("a", minutes_ago=ago), names="a", sooner=frozenset({"a"})) == ["a"]
    assert due_at(compared("a", minutes_ago=ago), timedelta(seconds=1), sooner=frozenset({"a"})) < NOW


def test_a_slice_in_the_middle_moves_the_place_and_one_at_the_end_finishes_the_pass() -> None:
    report = TableReport("a", matched=8, different=1, missing=1, pending=2, extra=3)
    middle = advanced(VerifiedTable("a", rows=99), report, KeyRange(None, 12), NOW)
    assert middle == VerifiedTable("a", None, 99, 0, NOW, 12, 12, 5)
    end = advanced(middle, TableReport("a", matched=4), KeyRange(12, None), NOW + HOUR)
    assert end == VerifiedTable("a", NOW, 16, 5)  # every row was compared after the pass began


def test_a_table_without_ranges_is_compared_as_a_whole() -> None:
    assert advanced(VerifiedTable("a"), TableReport("a", matched=4), None, NOW) == VerifiedTable("a", NOW, 4)


def test_a_range_holds_the_keys_after_its_beginning_up_to_its_end() -> None:
    assert [n for n in range(6) if KeyRange(1, 4).holds((n,))] == [2, 3, 4]
    assert KeyRange().holds(("any kind",))
    assert not KeyRange(1, None).holds(("a text",))


# --- how long it rests ------------------------------------------------------------------------------------------------


def undue(*known: VerifiedTable, **more: frozenset[str]) -> float:
    names = {"sooner": frozenset[str](), "put_off": frozenset[str](), **more}
    return nothing_due({t.name: t for t in known}, NOW, HOUR, **names)


def test_it_rests_until_the_first_table_is_due() -> None:
    assert undue(compared("a", minutes_ago=20), compared("b", minutes_ago=59)) == 60
    assert undue(compared("a", minutes_ago=0)) == IDLE_SECONDS


def test_a_table_that_cannot_be_compared_now_is_no_reason_to_look_all_the_time() -> None:
    put_off = frozenset({"a"})
    assert undue(compared("a", minutes_ago=90), put_off=put_off) == PUT_OFF_SECONDS
    assert undue(VerifiedTable("a"), put_off=put_off) == PUT_OFF_SECONDS
    assert undue(put_off=put_off) == PUT_OFF_SECONDS


def test_where_nothing_is_fed_it_hardly_looks() -> None:
    assert undue() == IDLE_SECONDS


class Verifier(RollingVerifier):
    """Its slices answer what they are told to, and say that they began."""

    def __init__(self, answer: float | None) -> None:
        self.state = DaemonState()
        given = config(verify={"rolling_share": 0.0001})
        super().__init__(lambda: given, Endpoint(given), self.state)
        self.state.doing = Activity.STREAMING
        self.answer = answer
        self.slices: asyncio.Queue[None] = asyncio.Queue()

    async def _slice(self, config: Config) -> float | None:
        self.slices.put_nowait(None)
        await asyncio.sleep(0.01)
        return self.answer

    async def follow(self) -> None:
        """What `run` does after its first rest."""
        while True:
            await self._turn()

    def write(self, name: str) -> None:
        self.state.applied(AppliedBatch(1, 2, 1, {name: TableTally(upserted=1)}, 0.0, 0.0))


@asynccontextmanager
async def following(verifier: Verifier) -> AsyncIterator[None]:
    """While its loop runs, from its first slice on."""
    task = asyncio.create_task(verifier.follow())
    try:
        async with asyncio.timeout(30):
            await verifier.slices.get()
        yield
    finally:
        task.cancel()


async def test_writes_do_not_shorten_the_rest_that_keeps_the_work_within_its_share() -> None:
    verifier = Verifier(None)
    async with following(verifier):
        for name in ("a", "b", "c"):
            await asyncio.sleep(0.05)  # the slice has ended by then, and rests for a minute or more
            verifier.write(name)
            verifier.state.alarm(name, "words", "remedy")
        await asyncio.sleep(0.05)
        assert verifier.slices.empty()


async def test_a_write_ends_the_rest_in_which_nothing_was_due() -> None:
    verifier = Verifier(600.0)
    async with following(verifier):
        verifier.write("a")
        async with asyncio.timeout(30):
            await verifier.slices.get()
