"""`cdc shadow sql`: whether both databases answer the application's queries alike."""

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import print_json, print_table, say
from cdc.cli.shadow_report import SHOWN_PLACES, print_remedy, print_sides
from cdc.errors import ExitCode, UsageError
from cdc.facts.counted import counted

if TYPE_CHECKING:
    from cdc.facts.shadow import Outcome, Verdict

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.command(
    cls=Command,
    examples=(
        ("cdc shadow sql queries.toml", "Ask both databases every query of a file."),
        ("cdc shadow sql queries.sql --repeat 100", "The same a hundred times each, to compare their speed."),
        ("cdc shadow sql --explore 200", "Ask what the schema and the data suggest, before users do."),
    ),
)
@click.argument("file", type=_FILE, required=False)
@click.option("--explore", type=click.IntRange(1, 100_000), help="Make up so many queries instead.")
@click.option("--seed", type=int, help="Make up the same queries as before.")
@click.option("--repeat", type=click.IntRange(1, 100_000), default=1, show_default=True, help="Ask each so many times.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def sql(session: Options, file: Path | None, explore: int | None, seed: int | None, repeat: int, as_json: bool) -> int:
    """Ask both databases the queries in FILE, and compare answers and times.

    Queries are in SQLite's words; Postgres gets them translated, or the application's own words where FILE has them.
    Nothing is written. Exit code 1 says that answers differ, 2 that none could be judged. How fast both were is for
    `cdc shadow report` to say.
    """
    from cdc.shadow.ledger import Ledger
    from cdc.shadow.queries import read_queries
    from cdc.shadow.sql import explore as explore_both
    from cdc.shadow.sql import shadow_sql

    if (file is None) == (explore is None):
        raise UsageError(
            "say what is to be asked", remedy="name a file of queries, or have them made up by `--explore 200`"
        )
    session.start_log()
    config = session.config()
    queries = read_queries(file) if file is not None else ()
    ledger = Ledger("sql", config.shadow.examples)
    chosen = random.randrange(10**6) if seed is None else seed
    with audited(config, "shadow sql", queries=explore or len(queries)) as told:
        work = (
            explore_both(config, explore, chosen, ledger, session.progress())
            if explore is not None
            else shadow_sql(config, queries, ledger, session.progress(), repeat=repeat)
        )
        outcomes = run_async(work)
        told |= {str(verdict): count for verdict, count in ledger.verdicts.items()}
    if as_json:
        print_json(
            {
                "seed": chosen if explore else None,
                "verdicts": dict(ledger.verdicts),
                "outcomes": [_outcome_json(outcome) for outcome in outcomes],
            }
        )
    else:
        if explore is not None:
            say(f"made up with `--seed {chosen}`\n")
        _print_outcomes(outcomes)
    return int(_exit_code(ledger.verdicts))


def _exit_code(verdicts: "Mapping[Verdict, int]") -> ExitCode:
    from cdc.facts.shadow import ENDS_CLEAN, PROVES

    if any(verdicts[verdict] for verdict in ENDS_CLEAN):
        return ExitCode.DIFFERENCE
    return ExitCode.OK if any(verdicts[verdict] for verdict in PROVES) else ExitCode.CRITICAL


def _print_outcomes(outcomes: "list[Outcome]") -> None:
    from cdc.facts.shadow import ENDS_CLEAN, PROVES, Verdict
    from cdc.shadow.report import counts_text

    by_endpoint: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        counts = by_endpoint.setdefault(outcome.endpoint, {})
        counts[outcome.verdict] = counts.get(outcome.verdict, 0) + 1
    print_table(("query", "asked", "result"), [(n, sum(c.values()), counts_text(c)) for n, c in by_endpoint.items()])
    say()
    shown: set[tuple[str, str, str]] = set()
    for outcome in outcomes:
        if outcome.verdict not in ENDS_CLEAN:
            continue
        if outcome.reason:
            say(f"! {outcome.request}: {outcome.reason}")
        for difference in outcome.differences:
            place = (outcome.endpoint, difference.cause, difference.path)
            if place in shown or sum(p[0] == outcome.endpoint for p in shown) >= SHOWN_PLACES:
                continue
            shown.add(place)
            say(f"! {outcome.request}, {difference.path}: {difference.cause}")
            print_sides(difference.baseline, difference.candidate)
            print_remedy(difference.cause)
    counts = Counter(outcome.verdict for outcome in outcomes)
    odd, alike = (sum(counts[verdict] for verdict in some) for some in (ENDS_CLEAN, PROVES))
    unjudged = (
        (counts[Verdict.MOVED], "could not be judged, for something was written all the time"),
        (counts[Verdict.NOISE], "different each time on SQLite itself"),
    )
    left = "".join(f"; {count:,} {words}" for count, words in unjudged if count)
    if odd:
        say(f"{counted(odd, 'answer')} of {len(outcomes):,} not alike; see all by `cdc shadow report`{left}")
    else:
        say(f"{counted(alike, 'answer')} alike on both sides{left}")


def _outcome_json(outcome: "Outcome") -> dict[str, object]:
    from cdc.shadow.report import remedy_of

    return {
        "endpoint": outcome.endpoint,
        "request": outcome.request,
        "verdict": str(outcome.verdict),
        "position": outcome.seq,
        "rules": list(outcome.rules),
        "tables": list(outcome.tables),
        "reason": outcome.reason or None,
        "baseline_seconds": outcome.baseline_seconds,
        "candidate_seconds": outcome.candidate_seconds,
        "differences": [
            {
                "path": d.path,
                "baseline": d.baseline,
                "candidate": d.candidate,
                "cause": d.cause,
                "remedy": remedy_of(d.cause),
            }
            for d in outcome.differences
        ],
    }
