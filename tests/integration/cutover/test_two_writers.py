"""Applications that write to both sides all the time: each acknowledged write is kept, and only one side acknowledges."""

from collections import Counter
from pathlib import Path

from harness import Daemon, wait_for, wait_until_follows
from ledger import ENTRY, accepted, both_sides_written, entries_in_postgres, entries_in_sqlite
from switched_pair import done, set_up, settled, wait_until_alike


async def test_both_sides_are_written_all_the_time(tmp_path: Path, database: str) -> None:
    config = await set_up(tmp_path, database, ENTRY)
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        await done(config, "snapshot")
        await done(config, "cutover", "--prepare")
        async with both_sides_written(config.source.path, database) as ledger:
            for command, side in (("cutover", "postgres"), ("rollback", "sqlite"), ("cutover", "postgres")):
                if command == "cutover":
                    await done(config, "cutover", "--prepare")
                await done(config, command)
                await wait_for(accepted(ledger, side), f"writes on {side}", daemon=daemon)  # type: ignore[arg-type]
        assert await settled(config, daemon) == "postgres"
        await wait_until_alike(config, daemon)
        here, there = entries_in_sqlite(config.source.path), await entries_in_postgres(database)
    assert Counter(here) == Counter(there)
    assert ledger.wrong(set(here), "SQLite") == []
    moves = [(before.side, after.side) for before, after in ledger.alternations()]
    assert moves == [("sqlite", "postgres"), ("postgres", "sqlite"), ("sqlite", "postgres")]
    refusals = {write.words for write in ledger.writes if write.outcome == "refused"}
    print(refusals, Counter((w.side, w.outcome) for w in ledger.writes))
    assert ledger.count("sqlite", "unknown") == ledger.count("postgres", "unknown") == 0
