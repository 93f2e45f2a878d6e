"""`cdc shadow sql`: queries of a file, or made-up ones, put to both databases."""

from collections.abc import Sequence
from dataclasses import replace

from cdc.config import Config
from cdc.facts.progress import Progress
from cdc.facts.shadow import ENDS_CLEAN, Outcome
from cdc.shadow.both_databases import asking_both
from cdc.shadow.column_rules import refuse_unknown
from cdc.shadow.explore import make_up, name_of, shrunk
from cdc.shadow.ledger import Ledger
from cdc.shadow.queries import ShadowQuery


async def shadow_sql(
    config: Config, queries: Sequence[ShadowQuery], ledger: Ledger, progress: Progress, *, repeat: int = 1
) -> list[Outcome]:
    """Put every query to both, `repeat` times; the outcomes are in the ledger and in Postgres' record too.

    Raises errors of either database before the first query, and `ConfigError` for a rule that no column knows; later
    ones are outcomes.
    """
    refuse_unknown([query.name for query in queries], config.shadow)
    async with asking_both(config) as both:
        progress.start("asking both databases", None)
        outcomes = []
        for query in queries:
            async for outcome in both.outcomes(query, repeat):
                outcomes.append(outcome)
                progress.advance(1)
        progress.finish()
        ledger.count_all(outcomes)
        await ledger.flush(both.record.shadow)
    return outcomes


async def explore(config: Config, count: int, seed: int, ledger: Ledger, progress: Progress) -> list[Outcome]:
    """Put so many queries to both that are made up from the schema and the data; what differs is made smaller.

    Raises what `shadow_sql` does.
    """
    async with asking_both(config) as both:
        subjects = await both.subjects()
        refuse_unknown(map(name_of, subjects), config.shadow)
        progress.start("asking made-up queries", count)
        outcomes = []
        for made_up in make_up(subjects, count, seed):
            outcome = await both.first(made_up.query)
            if outcome.verdict in ENDS_CLEAN:
                smallest, outcome = await shrunk(made_up, outcome, both.first)
            else:
                smallest = made_up
            outcomes.append(replace(outcome, request=smallest.text))
            progress.advance(1)
        progress.finish()
        ledger.count_all(outcomes)
        await ledger.flush(both.record.shadow)
    return outcomes
