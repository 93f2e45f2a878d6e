"""A batch of many rounds, while the application goes on: its end is one state of SQLite, and it does end.

What the application does between two reads is done right there, before the next read begins.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from replicated_pair import Pair, replicated

from cdc.facts.changes import TableRows
from cdc.postgres.apply.staged import Batch
from cdc.sqlite.changelog.source import Source
from cdc.target import pull

ITEMS = "CREATE TABLE items(id INTEGER PRIMARY KEY, v TEXT)"
MARKED = "CREATE TABLE marked(id INTEGER PRIMARY KEY, k TEXT NOT NULL DEFAULT 'dflt', v TEXT)"
BY_EXPRESSION = "CREATE UNIQUE INDEX by_expression ON marked(hex(k))"
FILL = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) INSERT INTO {rows} FROM n"
READS_BEFORE_GIVING_UP = 2_000
TURNS_OF_THE_LOOP = 3  # in which a timer that is due runs


def fill(rows: str, count: int) -> str:
    return FILL.format(count=count, rows=rows)


@contextmanager
def before_each(method: str, what: Callable[[int], None]) -> Iterator[None]:
    """Call `what` with a running number before each call of a method of the source."""
    original: Callable[..., Awaitable[Any]] = getattr(Source, method)
    calls = 0

    async def interleaved(self: Source, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        assert calls < READS_BEFORE_GIVING_UP, f"the batch does not end: {calls} times {method}"
        what(calls)
        return await original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, method, interleaved)
        yield


def writes(pair: Pair, *statements: str) -> Callable[[int], None]:
    """An application that tries these statements, and gives up soon where its commit has to wait."""
    pair.app.set_busy_timeout(1)

    def write(_: int) -> None:
        for sql in statements:
            try:
                pair.app.execute(sql)
            except apsw.BusyError:
                return

    return write


# --- the newest row of a key wins -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["deleted last", "written last"])
async def test_the_newest_of_many_rows_of_a_key_wins_whatever_their_sizes(
    tmp_path: Path, any_database: str, order: str
) -> None:
    """Small rows find room on earlier pages of the stage, so their place there says nothing."""
    async with replicated(
        tmp_path, any_database, ITEMS, fill("items SELECT i, 'old'", 1000), round_entries=200
    ) as pair:
        wide = "UPDATE items SET v = substr(hex(randomblob(850)), 1, id * 7919 % 1700)"
        one_more = "UPDATE items SET v = 'x' WHERE id = 1"  # so that all rows are staged before any is gone
        gone = "DELETE FROM items WHERE id % 2 = 0"
        back = "INSERT INTO items SELECT id + 1, 'new' FROM items WHERE id % 2 = 1"
        later = {5: one_more, 6: gone} | ({7: back} if order == "written last" else {})

        def write(read: int) -> None:
            if read in later:
                pair.app.execute(later[read])

        await pair.write(wide)  # in a stage that is new, Postgres looks for no room on earlier pages
        with before_each("read", write):
            await pair.write(wide)
        assert await pair.differences() == []


# --- tables that are read as a whole ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wal", [True, False])
async def test_a_table_is_read_once_more_for_what_came_while_it_was_read_as_a_whole(
    tmp_path: Path, any_database: str, wal: bool
) -> None:
    marker = "INSERT OR REPLACE INTO marked(id, k, v) VALUES (-{0}, NULL, 'from {0}')"
    async with replicated(
        tmp_path, any_database, MARKED, BY_EXPRESSION, fill("marked SELECT i, 'k' || i, 'v'", 1000), wal=wal
    ) as pair:

        def write(page: int) -> None:
            if page in {2, 3}:
                pair.app.execute(marker.format(page))

        with before_each("read_page", write):
            await pair.write(marker.format(1))
        assert await pair.rows("SELECT id, v FROM marked WHERE k = 'dflt'") == [(-3, "from 3")]
        assert await pair.differences() == []


@pytest.mark.parametrize("wal", [True, False])
async def test_a_batch_ends_although_every_write_asks_for_the_whole_table(
    tmp_path: Path, any_database: str, wal: bool
) -> None:
    marker = "INSERT OR REPLACE INTO marked(id, k, v) SELECT min(id) - 1, NULL, 'x' FROM marked"
    async with replicated(
        tmp_path, any_database, MARKED, BY_EXPRESSION, fill("marked SELECT i, 'k' || i, 'v'", 500), wal=wal
    ) as pair:
        for method in ("read_page", "read"):
            with before_each(method, writes(pair, marker)):
                pair.app.execute(marker)
                await pair.replica.step()
        await pair.write()
        assert await pair.differences() == []


async def test_the_end_of_a_whole_table_stays_in_reach_of_an_application_that_appends(
    tmp_path: Path, any_database: str
) -> None:
    async with replicated(tmp_path, any_database, MARKED, BY_EXPRESSION, round_entries=10) as pair:
        append = fill("marked SELECT (SELECT ifnull(max(id), 0) FROM marked) + i, random(), 'v'", 100)
        pair.app.execute(append)
        with before_each("read_page", writes(pair, append)):
            await pair.write("INSERT OR REPLACE INTO marked(id, k, v) VALUES (-1, NULL, 'x')")
        await pair.write()
        assert await pair.differences() == []


# --- an application that writes faster than it is read ----------------------------------------------------------------


@pytest.mark.parametrize("wal", [True, False])
@pytest.mark.parametrize("what", ["INSERT INTO items(v) SELECT v FROM items LIMIT 30", "UPDATE items SET v = v || 'x'"])
async def test_a_batch_ends_although_more_is_written_than_read_meanwhile(
    tmp_path: Path, any_database: str, wal: bool, what: str
) -> None:
    async with replicated(
        tmp_path, any_database, ITEMS, fill("items SELECT i, 'v'", 50), wal=wal, round_entries=7,
        round_entries_journal=7,
    ) as pair:  # fmt: skip
        with before_each("read", writes(pair, what)):
            pair.app.execute(what)
            await pair.replica.step()
        seen = await pair.rows("SELECT count(*), max(length(v)) FROM items")
        assert seen != [(50, 1)], "nothing was applied"
        await pair.write()
        assert await pair.differences() == []


async def test_rows_that_wait_are_released_although_the_application_never_pauses(
    tmp_path: Path, any_database: str
) -> None:
    children = "CREATE TABLE children(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES items(id))"
    async with replicated(tmp_path, any_database, ITEMS, children, fill("items SELECT i, 'v'", 50)) as pair:
        await pair.write("INSERT INTO children VALUES (1, 99)")
        assert await pair.held() == {"children 1": "orphan"}
        with before_each("read_keys", writes(pair, "UPDATE items SET v = v || 'x' WHERE id = 7")):
            pair.app.execute("INSERT INTO items VALUES (99, 'late')")
            await pair.replica.step()
        assert await pair.held() == {}
        await pair.write()
        assert await pair.differences() == []


async def test_a_snapshot_in_rollback_journal_mode_is_let_go_when_it_was_held_too_long(
    tmp_path: Path, any_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read after that is of newer snapshots, and the batch still ends with one of them."""
    monkeypatch.setattr(pull, "HOLD_JOURNAL_SECONDS", (0.0, 0.0, 30.0))
    async with replicated(
        tmp_path, any_database, ITEMS, fill("items SELECT i, 'v'", 50), wal=False, round_entries_journal=7
    ) as pair:
        with before_each("read", writes(pair, "UPDATE items SET v = v || 'x'")):
            pair.app.execute("UPDATE items SET v = 'w'")
            await pair.replica.step()
        await pair.write()
        assert await pair.differences() == []


class HeldSnapshot:
    """Sees when a snapshot of a file in WAL mode is held, and stops Postgres for some of the loop's time meanwhile.

    The loop's clock is put on: nothing is waited for. `taken` counts snapshots, `busy` what became of attempts of the
    application to begin its log anew while one was held: whether they failed.
    """

    def __init__(self, pair: Pair, patch: pytest.MonkeyPatch, stop_seconds: float) -> None:
        self._app = pair.app
        self._loop = asyncio.get_running_loop()
        self._ahead = 0.0
        self._stop_seconds = stop_seconds
        self.taken = 0
        self.busy: list[bool] = []
        self._is_held = False
        clock, hold, let_go, stage = self._loop.time, Source.hold, Source.let_go, Batch.stage

        async def held(source: Source) -> None:
            await hold(source)
            self._is_held, self.taken = True, self.taken + 1

        def released(source: Source) -> None:
            let_go(source)
            self._is_held = False

        async def staged(batch: Batch, tables: Sequence[TableRows]) -> None:
            if self._is_held:
                await self._stop()
            await stage(batch, tables)

        patch.setattr(self._loop, "time", lambda: clock() + self._ahead)
        patch.setattr(Source, "hold", held)
        patch.setattr(Source, "let_go", released)
        patch.setattr(Batch, "stage", staged)

    async def _stop(self) -> None:
        """Postgres stands still for that long, and goes on; the timers that are due by then run."""
        self._ahead += self._stop_seconds
        for _ in range(TURNS_OF_THE_LOOP):
            await asyncio.sleep(0)
        self.busy.append(self._app.execute("PRAGMA wal_checkpoint(TRUNCATE)").get[0] != 0)


@asynccontextmanager
async def outrun(folder: Path, dsn: str, patch: pytest.MonkeyPatch, stop_seconds: float) -> AsyncIterator[HeldSnapshot]:
    """A batch whose rest is read in one snapshot, while Postgres stops for so long before each part that it stages."""
    async with replicated(folder, dsn, ITEMS, fill("items SELECT i, 'v'", 50), round_entries=7) as pair:
        seen = HeldSnapshot(pair, patch, stop_seconds)
        update = writes(pair, "UPDATE items SET v = v || 'x'")

        def write(read: int) -> None:
            if not seen.taken:
                update(read)

        with before_each("read", write):
            pair.app.execute("UPDATE items SET v = 'w'")
            await pair.replica.step()
        yield seen
        await pair.write()
        assert await pair.differences() == []


async def test_a_snapshot_in_wal_mode_is_let_go_when_postgres_stands_still(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the application can begin its -wal file anew, which would grow for as long as Postgres stands still."""
    async with outrun(tmp_path, database, monkeypatch, pull.HOLD_WAL_SECONDS + 1) as seen:
        assert seen.busy
        assert not any(seen.busy)


async def test_a_snapshot_in_wal_mode_is_held_for_longer_while_there_is_headway(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with outrun(tmp_path, database, monkeypatch, 0.6 * pull.HOLD_WAL_SECONDS) as seen:
        assert seen.taken == 1
        assert len(seen.busy) > 2
        assert all(seen.busy)
