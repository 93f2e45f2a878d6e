"""Applications write to both sides all the time: each acknowledged write is kept, and only one side acknowledges."""

from collections import Counter
from pathlib import Path
from typing import Final

from harness import Daemon, execute, value, wait_for, wait_until_follows
from ledger import ENTRY, accepted, both_sides_written, entries_in_postgres, entries_in_sqlite
from switched_pair import quiet, set_up, settled, wait_until_alike

from cdc.cutover import prepare, run
from cdc.facts.progress import Silent

MAY_INSERT: Final = "SELECT has_table_privilege('public', 'entry', 'INSERT')"


async def test_both_sides_are_written_all_the_time(tmp_path: Path, database: str) -> None:
    config = await set_up(tmp_path, database, ENTRY, postgres_fence="grants")
    await execute(database, "GRANT INSERT ON entry TO PUBLIC")
    with Daemon(config) as daemon:
        await wait_until_follows(config, daemon)
        await prepare.prepare(config, Silent())
        assert not await value(database, MAY_INSERT)
        async with both_sides_written(config.source.path, database) as ledger:
            await run.cutover(config, quiet)
            await wait_for(accepted(ledger, "postgres"), "writes to Postgres", daemon=daemon)
            assert await value(database, MAY_INSERT)
            await run.rollback(config, quiet, Silent())
            assert not await value(database, MAY_INSERT)
            await wait_for(accepted(ledger, "sqlite"), "writes to SQLite", daemon=daemon)
            await prepare.prepare(config, Silent())
            await run.cutover(config, quiet)
            await wait_for(accepted(ledger, "postgres"), "writes to Postgres again", daemon=daemon)
        assert await settled(config, daemon) == "postgres"
        await wait_until_alike(config, daemon)
        here, there = entries_in_sqlite(config.source.path), await entries_in_postgres(database)
    assert Counter(here) == Counter(there)
    assert ledger.wrong(set(here)) == []
    assert ledger.moves() == ["postgres", "sqlite", "postgres"]
    ended = {(write.side, write.outcome) for write in ledger.writes}
    assert ended == {(side, how) for side in ("sqlite", "postgres") for how in ("acknowledged", "refused")}
