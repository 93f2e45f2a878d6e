"""What shadow reads came to, as Postgres keeps it: counts add up, and since when an endpoint is clean."""

from pathlib import Path

import asyncpg
from replicated_pair import replicated

from cdc.facts.shadow import Difference, Outcome, Verdict
from cdc.observe.daemon_state import DaemonState
from cdc.observe.shadow_alarm import tell_shadow_reads
from cdc.postgres.record.record import Record
from cdc.shadow.clean_time import CleanTime, clean_since
from cdc.shadow.ledger import Ledger
from cdc.sqlite.changelog import source_file


def outcome(verdict: Verdict, *differences: Difference) -> Outcome:
    return Outcome("GET /a", "GET /a?x=1", verdict, differences, 0.001, 0.002, seq=7)


async def test_counts_add_up_and_a_difference_ends_what_was_clean(tmp_path: Path, database: str) -> None:
    async with replicated(tmp_path, database, "CREATE TABLE t(id INTEGER PRIMARY KEY)") as pair:
        source_id, _ = source_file.whose(pair.config)
        assert source_id is not None
        connection = await asyncpg.connect(database)
        record = Record(connection, source_id)
        kept = record.shadow

        async def flushed(*outcomes: Outcome) -> None:
            ledger = Ledger("http", most_examples=2)
            ledger.count_all(outcomes)
            await ledger.flush(kept)

        try:
            daemon_state = DaemonState()

            async def alarms() -> list[str]:
                await tell_shadow_reads(kept, daemon_state)
                return [alarm.words for alarm in daemon_state.alarms.values()]

            await flushed(outcome(Verdict.MOVED))
            assert (await kept.endpoints())[0].clean_since is None  # it was never shown
            assert await alarms() == []
            await flushed(outcome(Verdict.EQUAL), outcome(Verdict.EQUAL))
            first = (await kept.endpoints())[0]
            await flushed(outcome(Verdict.EQUAL), outcome(Verdict.NOISE))
            again = (await kept.endpoints())[0]
            assert first.clean_since is not None
            assert again.clean_since == first.clean_since
            assert again.verdicts == {"moved": 1, "equal": 3, "noise": 1}
            assert again.baseline.samples == again.candidate.samples == 5

            one = Difference("$.a", "1", "2\x00\udc80", "changed value")
            await flushed(outcome(Verdict.EQUAL), *[outcome(Verdict.DIFFERENT, one) for _ in range(3)])
            assert (await kept.endpoints())[0].clean_since is None
            assert (await clean_since(record)).since is None
            assert await alarms() == ["1 of 1 endpoints do not answer alike on Postgres"]
            await flushed(outcome(Verdict.DIFFERENT, one), outcome(Verdict.EQUAL))
            after = (await kept.endpoints())[0]
            assert after.clean_since is not None
            assert await alarms() == []
            assert after.clean_since > first.clean_since
            assert await clean_since(record) == CleanTime(after.clean_since, endpoints=1)
            (place,) = await kept.places()
            assert (place.times, place.path, place.cause, len(place.examples)) == (4, "$.a", "changed value", 2)
            assert (place.examples[0].baseline, place.examples[0].candidate) == ("1", "2\\0\\udc80")

            await kept.forget()
            assert await kept.endpoints() == ()
            assert await kept.places() == ()
        finally:
            await connection.close()
