"""To and fro for a while: `python -m tests.soak.switch --minutes 20 --seed 1`. Exit code 1 when anything was not right.

First all of it is rehearsed. Then writers hammer both sides; commands that switch are killed, stopped, interrupted and
cut off, the daemon is killed. At each rest exactly one side accepts writes, both hold the same, and every acknowledged
write is there once.
"""

import argparse
import asyncio
import itertools
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent)]

import servers
from harness import Daemon, application, execute, fetch, wait_for, wait_until_follows
from ledger import ENTRY, Ledger, accepted, both_sides_written, entries_in_postgres, entries_in_sqlite
from loguru import logger
from servers import Server
from switched_pair import Command, done, set_up, settled, wait_until_alike

from cdc.config import Config
from cdc.cutover import backward, forward
from cdc.cutover.plan import PlannedStep
from cdc.facts.progress import Silent
from cdc.rehearsal.kills import EACH_STEP
from cdc.rehearsal.run import rehearse

TABLES = f"""
{ENTRY};
CREATE TABLE channel(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, rank INTEGER UNIQUE);
CREATE TABLE video(id TEXT NOT NULL PRIMARY KEY,
    channel INTEGER REFERENCES channel(id) ON DELETE CASCADE ON UPDATE CASCADE,
    title TEXT, seen TIMESTAMP, done BOOLEAN, score REAL, extra JSON, data BLOB);
CREATE TABLE tag(a TEXT NOT NULL, b INTEGER NOT NULL, c DECIMAL(10, 2), PRIMARY KEY(a, b)) WITHOUT ROWID;
INSERT INTO channel(name, rank) VALUES ('one', 1), ('two', 2), ('three', 3);
INSERT INTO video VALUES ('v', 1, 'V', '2024-01-02 03:04:05', 1, 1.5, '{{"k": 1}}', x'00ff');
INSERT INTO tag VALUES ('a', 1, 1.5)
"""
TEXTS = ("NULL", "''", "'it''s'", "'Ünïcødé \U0001f600'", "' '", "'0'", "'1e5'", "'NULL'", "'{\"k\": 1}'")
MOMENTS = (
    "NULL",
    "'2024-01-02 03:04:05'",
    "'1999-12-31 23:59:59.999'",
    "'2024-02-29 00:00:00'",
    "'2030-06-01 12:00:00.5'",
)
SCORES = ("NULL", "0", "-1.5", "1e308", "5e-324", "0.1", "12345678901234567", "3")
EXTRAS = ("NULL", "'{}'", "'[1, 2.50, \"x\"]'", '\'{"a": null, "b": {"c": [true]}}\'', "'\"text\"'", "'12'")
AMOUNTS = ("NULL", "0", "1.25", "-99.9", "1000000")
ENDS = ("begun", "done")
CARRYING = ("carry.before_commit", "carry.after_commit")
FENCING = ("fence.before_commit", "fence.after_commit", "fence.before_commit:2", "fence.after_commit:2")


def steps(planned: Sequence[PlannedStep]) -> tuple[str, ...]:
    """Before and after each of them."""
    return tuple(f"switch.step_{how}:{n}" for n in range(1, len(planned) + 1) for how in ENDS)


FORWARD = (*FENCING, *CARRYING, *steps(forward.PLANNED))
BACKWARD = (*CARRYING, *steps(backward.PLANNED))
FATES = (
    "none",
    "crash",
    "crash",
    "kill",
    "interrupt",
    "freeze",
    "cut off",
    "kill daemon",
    "kill both",
    "crash Postgres",
)
ROUNDS = 4  # between two rests
RECORDED_SECONDS = 10.0  # of writes, for a rehearsal to repeat


class Statements:
    """Random statements that both databases take, in the words of each."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def some(self, side: str) -> list[str]:
        """What a transaction does."""
        kinds = (self._video, self._video, self._tag, self._channel, self._swap, self._move, self._delete)
        return [sql for _ in range(self._chance.randrange(3)) for sql in self._chance.choice(kinds)(side)]

    def _of(self, *choices: str) -> str:
        return self._chance.choice(choices)

    def _channel(self, side: str) -> list[str]:
        name, rank = f"'c{self._chance.randrange(12)}'", self._of("NULL", *map(str, range(1, 9)))
        if side == "sqlite":
            return [f"REPLACE INTO channel(name, rank) VALUES ({name}, {rank})"]
        return [
            f"DELETE FROM channel WHERE rank = {rank} AND name <> {name}",
            f"INSERT INTO channel(name, rank) VALUES ({name}, {rank}) ON CONFLICT (name) DO UPDATE SET rank = {rank}",
        ]

    def _video(self, side: str) -> list[str]:
        postgres = side == "postgres"
        flag = self._of("NULL", "true", "false") if postgres else self._of("NULL", "1", "0")
        data = self._of("NULL", "'\\x'", "'\\x00ff10'") if postgres else self._of("NULL", "x''", "x'00ff10'")
        values = (self._of(*TEXTS), self._of(*MOMENTS), flag, self._of(*SCORES), self._of(*EXTRAS), data)
        key = f"'v{self._chance.randrange(40)}'"
        channel = "(SELECT max(id) FROM channel)" if self._chance.random() < 0.7 else "NULL"
        put = f"INTO video VALUES ({key}, {channel}, {', '.join(values)})"
        if postgres:
            return [f"DELETE FROM video WHERE id = {key}", f"INSERT {put}"]
        return [f"INSERT OR REPLACE {put}"]

    def _tag(self, side: str) -> list[str]:
        a, b = self._of("'a'", "'A'", "''", "'é'"), self._chance.randrange(6)
        return [
            f"INSERT INTO tag VALUES ({a}, {b}, {self._of(*AMOUNTS)}) ON CONFLICT (a, b) DO UPDATE SET c = excluded.c",
            *([f"UPDATE tag SET b = b + 100 WHERE a = {a} AND b = {b}"] if self._chance.random() < 0.2 else []),
        ]

    def _swap(self, _side: str) -> list[str]:
        one, two = self._chance.sample(range(1, 9), 2)
        return [
            f"UPDATE channel SET rank = -1 WHERE rank = {one}",
            f"UPDATE channel SET rank = {one} WHERE rank = {two}",
            f"UPDATE channel SET rank = {two} WHERE rank = -1",
        ]

    def _move(self, _side: str) -> list[str]:
        choices = (
            "UPDATE channel SET id = id + 1000 WHERE id = (SELECT min(id) FROM channel)",
            f"UPDATE video SET id = id || 'x' WHERE id = 'v{self._chance.randrange(40)}'",
        )
        return [self._of(*choices)]

    def _delete(self, _side: str) -> list[str]:
        choices = (
            "DELETE FROM channel WHERE id = (SELECT min(id) FROM channel)",
            f"DELETE FROM video WHERE id LIKE 'v{self._chance.randrange(9)}%'",
            f"DELETE FROM tag WHERE b > {self._chance.randrange(300)}",
        )
        return [self._of(*choices)]


class Soak:
    """Rounds, each with a fate of its own."""

    def __init__(self, config: Config, server: Server, chance: Random) -> None:
        self.config = config
        self._server = server
        self.counts: Counter[str] = Counter()
        self._chance = chance
        self._daemon = Daemon(config)
        self._side = "sqlite"
        self._numbers = itertools.count()
        self._statements = Statements(chance)

    async def run(self, seconds: float) -> None:
        """Until the time is over; raises `AssertionError` with what is not right."""
        until = time.monotonic() + seconds
        try:
            await wait_until_follows(self.config, self._daemon)
            await done(self.config, "snapshot")
            await done(self.config, "cutover", "--prepare")
            await self._rehearse()
            while time.monotonic() < until:
                await self._episode()
        finally:
            if self._daemon.runs:
                self._daemon.kill()

    async def _rehearse(self) -> None:
        """On a copy, with each step killed, while the original is written to and knows nothing of it."""
        ledger = Ledger(numbers=self._numbers, more=self._statements.some)
        async with both_sides_written(self.config.source.path, self.config.target.dsn, 0.01, ledger):
            await asyncio.sleep(RECORDED_SECONDS)
            report = await rehearse(self.config, 1, Silent(), EACH_STEP)
        print(f"{time.strftime('%H:%M:%S')} rehearsal {report.result}, {len(report.kills)} kills", flush=True)
        assert report.result == "passed", "\n".join([*report.problems, *report.refusals])
        await wait_until_alike(self.config, self._daemon)
        await self._forget_entries()

    async def _episode(self) -> None:
        ledger = Ledger(numbers=self._numbers, more=self._statements.some)
        changes = 0
        async with both_sides_written(self.config.source.path, self.config.target.dsn, 0.01, ledger):
            for _ in range(ROUNDS):
                before = self._side
                await self._round()
                moved = self._side != before
                changes += moved
                self.counts["moves"] += moved
                await wait_for(accepted(ledger, self._side), f"writes on {self._side}", daemon=self._daemon)
        await wait_until_alike(self.config, self._daemon)
        self.counts["comparisons"] += 1
        path, dsn = self.config.source.path, self.config.target.dsn
        problems = ledger.wrong(set(entries_in_sqlite(path)))
        problems += ledger.wrong(set(await entries_in_postgres(dsn)))
        alternations = ledger.alternations()
        # A cutover that is undone at its last step has opened Postgres for a moment.
        if not changes <= len(alternations) + 1 or len(alternations) > changes + 2 * self.counts["undone late"]:
            problems.append(f"{changes} changes of the side, but {alternations}")
        self.counts["undone late"] = 0
        for write in ledger.writes:
            self.counts[f"{write.side} {write.outcome}"] += 1
        assert not problems, "\n".join(problems[:10])
        await self._forget_entries()

    async def _forget_entries(self) -> None:
        """So that looking at all of them takes no longer each time."""
        forget = "DELETE FROM entry"
        if self._side == "postgres":
            await execute(self.config.target.dsn, forget)
        else:
            app = application(self.config.source.path)
            app.execute(forget)
            app.close()

    async def _round(self) -> None:
        name = "cutover" if self._side == "sqlite" else "rollback"
        if name == "cutover":
            await done(self.config, "cutover", "--prepare")
        fate = self._chance.choice(FATES)
        point = self._chance.choice(FORWARD if name == "cutover" else BACKWARD)
        environment = {"crash": {"CDC_CRASH_AT": point}, "freeze": {"CDC_FREEZE_AT": point}}.get(fate, {})
        command = Command(self.config, name, environment=environment)
        if fate == "freeze":
            code = await self._frozen(command)
        else:
            code = await self._struck(command, fate)
        if not self._daemon.runs:
            self._daemon = Daemon(self.config)
        self._side = await settled(self.config, self._daemon)
        if name == "cutover" and "undo: open Postgres" in await self._last_steps():
            self.counts["undone late"] += 1
        self.counts[f"{name} {fate}"] += 1
        self.counts["succeeded" if code == 0 else "failed"] += 1
        print(
            f"{time.strftime('%H:%M:%S')} {name} {fate} {point if environment else ''} {code} {self._side}", flush=True
        )
        if fate == "none" and code:
            print(command.words, flush=True)
            self.counts["failed without a cause"] += 1

    async def _struck(self, command: Command, fate: str) -> int:
        ending = asyncio.create_task(command.ends())
        if fate in {"kill", "interrupt", "cut off", "kill daemon", "kill both", "crash Postgres"}:
            await asyncio.wait([ending], timeout=self._chance.uniform(0.8, 2.5))
        if fate in {"kill daemon", "kill both"}:
            self._daemon.kill()
        if fate in {"kill", "kill both"} and command.process.poll() is None:
            command.process.send_signal(signal.SIGKILL)
        if fate == "interrupt" and command.process.poll() is None:
            command.process.send_signal(self._chance.choice((signal.SIGINT, signal.SIGTERM)))
        if fate == "crash Postgres":
            await asyncio.to_thread(self._server.crash)
            await asyncio.to_thread(self._server.start)
        if fate == "cut off":
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'cdc %'"
            await fetch(self.config.target.dsn, cut)
        return await ending

    async def _frozen(self, command: Command) -> int:
        """Stand still at a point, perhaps for longer than writes are refused."""
        seconds = self._chance.choice((0.1, 1.0, 4.0))
        await command.stands_still()
        await asyncio.sleep(seconds)
        return await command.goes_on()

    async def _last_steps(self) -> str:
        last = "SELECT run FROM cdc.switch_step ORDER BY began_at DESC LIMIT 1"
        steps = f"SELECT step FROM cdc.switch_step WHERE run = ({last})"
        return "\n".join(row["step"] for row in await fetch(self.config.target.dsn, steps))


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", action="store_true", help="rollback-journal mode")
    wanted = parser.parse_args()
    logger.disable("cdc")
    with tempfile.TemporaryDirectory(prefix="cdc-switch-", ignore_cleanup_errors=True) as folder:
        servers.SETTINGS["synchronous_commit"] = "off"  # a crash forgets what nobody waited for
        server = Server(Path(folder) / "postgres")
        try:
            config = await set_up(Path(folder), server.dsn, TABLES, wal=not wanted.journal, max_refused_seconds=3.0)
            soak = Soak(config, server, Random(wanted.seed))
            try:
                await soak.run(wanted.minutes * 60)
            except Exception:
                print(soak._daemon.words()[-8000:])
                raise
            finally:
                print("\n".join(f"{name}: {count:,}" for name, count in sorted(soak.counts.items())), flush=True)
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
