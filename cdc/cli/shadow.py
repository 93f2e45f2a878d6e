"""`cdc shadow`: reads put to both sides at one position, and what they came to."""

import json
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cdc.cli.help import Group
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import counted, print_json, print_table, say, seconds_text
from cdc.cli.shadow_http import http
from cdc.cli.shadow_proxy import proxy
from cdc.config import Config
from cdc.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from cdc.facts.shadow import Outcome
    from cdc.shadow.report import EndpointReport, ShadowReport
    from cdc.shadow.requests import HttpRequest

SHOWN_PLACES: Final = 3  # of one endpoint
SHOWN_TEXT: Final = 160
SHOWN_ENDPOINTS: Final = 20  # of a log, that were never compared
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.group(cls=Group)
def shadow() -> None:
    """Show that Postgres answers reads as SQLite does, and as fast.

    Each question is put to both while neither moves, so that a write in between never looks like a difference.
    """


@shadow.command(
    examples=(
        ("cdc shadow sql queries.toml", "Ask both databases every query of a file."),
        ("cdc shadow sql queries.sql --repeat 100", "The same a hundred times each, to compare their speed."),
        ("cdc shadow sql --explore 200", "Ask what the schema and the data suggest, before users do."),
    )
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
    from cdc.facts.shadow import ENDS_CLEAN, PROVES
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
    if any(ledger.verdicts[verdict] for verdict in ENDS_CLEAN):
        return int(ExitCode.DIFFERENCE)
    return int(ExitCode.OK if any(ledger.verdicts[verdict] for verdict in PROVES) else ExitCode.CRITICAL)


@shadow.command(
    examples=(
        ("cdc shadow report", "What differs, since when nothing does, and how fast both are."),
        ("cdc shadow report --html report.html", "The same as one page for a browser."),
        (
            "cdc shadow report --har differences.har",
            "Examples of what differs, for a browser or `cdc shadow http --har`.",
        ),
        ("cdc shadow report --forget", "Begin anew, after the application was mended."),
    )
)
@click.option("--html", type=_FILE, help="Write one self-contained page.")
@click.option("--har", type=_FILE, help="Write examples of what differs as HAR.")
@click.option("--coverage-log", "logs", type=_FILE, multiple=True, help="Name endpoints of this log never compared.")
@click.option("--log-format", metavar="FORMAT", help="The log's format as the server has it; `combined` if not given.")
@click.option("--forget", is_flag=True, help="Forget everything that was asked until now.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def report(
    session: Options,
    html: Path | None,
    har: Path | None,
    logs: tuple[Path, ...],
    log_format: str | None,
    forget: bool,
    as_json: bool,
) -> int:
    """Show what all shadow reads came to.

    Exit code 1 says that an endpoint differs or is too slow, 2 that nothing was asked yet.
    """
    session.start_log()
    config = session.config()
    if forget:
        with audited(config, "shadow forget"):
            run_async(_forget(config))
        say("all shadow reads are forgotten: what was clean has to be shown again")
        return int(ExitCode.OK)
    found = run_async(_report(config, _logged(logs, log_format, config) if logs else []))
    if html is not None:
        from cdc.shadow.page import page_of

        _write(html, page_of(found))
        say(f"the report is in {html}")
    if har is not None:
        from cdc.shadow.har import har_of

        examples = har_of(found, config.shadow)
        _write(har, json.dumps(examples, ensure_ascii=False, indent=1))
        say(f"{counted(len(examples['log']['pages']), 'example')} in {har}")
    if html is not None or har is not None:
        return int(found.exit_code)
    if as_json:
        print_json(found.to_json())
    else:
        _print_report(found)
    return int(found.exit_code)


@shadow.command(
    examples=(
        (
            "cdc shadow ignore 'GET /api/reports' --path '$.generated_at'",
            "The rule to paste, for a place that may differ.",
        ),
    )
)
@click.argument("endpoint")
@click.option("--path", required=True, help="The place in the answer, as the report shows it.")
@click.option("--read", default="ignored", show_default=True, help="How it is to be compared there.")
@click.option("--reason", help="Why it may differ.")
def ignore(endpoint: str, path: str, read: str, reason: str | None) -> None:
    """Print the rule that has a place compared in another way, to paste into the configuration."""
    from cdc.shadow.rules_text import rule_text

    say(rule_text(endpoint, path, read, reason))


shadow.add_command(http)
shadow.add_command(proxy)


def _logged(logs: tuple[Path, ...], log_format: str | None, config: Config) -> "list[HttpRequest]":
    try:
        from cdc.shadow.http_plan import logged_reads
        from cdc.shadow.request_files import DEFAULT_FORMAT
    except ModuleNotFoundError as error:
        raise UsageError(
            f"access logs are read by {error.name}, which is not installed",
            remedy="run `pip install 'cdc-sqlite-postgres[shadow]'`, or leave `--coverage-log` out",
        ) from None
    return logged_reads(logs, log_format or DEFAULT_FORMAT, config.shadow)


async def _report(config: Config, logged: "list[HttpRequest]") -> "ShadowReport":
    from cdc.shadow.kept import read_report

    return await read_report(config, datetime.now(UTC), logged)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the report cannot be written to {file}: {error.strerror}", remedy="name a file in a folder you may write"
        ) from None


async def _forget(config: Config) -> None:
    from cdc.shadow.kept import forget

    await forget(config)


def _print_outcomes(outcomes: "list[Outcome]") -> None:
    from cdc.facts.shadow import ENDS_CLEAN, PROVES, Verdict
    from cdc.shadow.report import counts_text, remedy_of

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
            say(f"    SQLite    {_cut(difference.baseline)}")
            say(f"    Postgres  {_cut(difference.candidate)}")
            if remedy := remedy_of(difference.cause):
                say(f"    {remedy}")
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


def _print_report(found: "ShadowReport") -> None:
    if not found.endpoints:
        say("nothing was asked yet: see `cdc shadow sql --help` and `cdc shadow http --help`")
        return
    columns = ("kind", "endpoint", "asked", "differed", "clean for", "p95 SQLite", "p95 Postgres", "slower")
    print_table(columns, [_row(e, found.at) for e in found.endpoints], numbers=columns[2:])
    say()
    for endpoint in found.endpoints:
        _print_places(endpoint)
    for name, count in list(found.clean.never_compared.items())[:SHOWN_ENDPOINTS]:
        say(f"never compared: {name}, {count:,} requests in the log")
    if found.clean.logged:
        say(f"compared: {found.clean.compared:,} of {counted(found.clean.logged, 'endpoint')} in the log")
    clean = found.clean_for
    if found.too_slow:
        say(f"{counted(len(found.too_slow), 'endpoint')} too slow on Postgres at p95: see above")
    if clean is None:
        say(f"{counted(len(found.differing), 'endpoint')} of {len(found.endpoints):,} not shown to be alike")
    else:
        wanted = f"{found.clean_days:g} days are wanted before reads move"
        say(
            f"all {counted(len(found.endpoints), 'endpoint')} clean for {seconds_text(clean.total_seconds())}; {wanted}"
        )


def _row(endpoint: "EndpointReport", now: datetime) -> tuple[object, ...]:
    from cdc.shadow.report import unclean

    clean, speed = endpoint.clean_for(now), endpoint.speed
    name, odd = endpoint.endpoint, unclean(endpoint.verdicts)
    shown = seconds_text(clean.total_seconds()) if clean is not None else "not yet"
    if speed is None:
        return endpoint.kind, name, endpoint.asked, odd, shown, "", "", ""
    slower = f"{100 * speed.slower:+.0f} %{' !' if speed.too_slow else ''}"
    return endpoint.kind, name, endpoint.asked, odd, shown, _ms(speed.baseline[1]), _ms(speed.candidate[1]), slower


def _print_places(endpoint: "EndpointReport") -> None:
    from cdc.shadow.report import remedy_of

    if endpoint.proven:
        return
    for place in endpoint.places[:SHOWN_PLACES]:
        say(f"! {endpoint.endpoint}, {place.path or 'as a whole'}: {place.cause}, {counted(place.times, 'time')}")
        for example in place.examples[:1]:
            say(f"    asked     {_cut(example.request)}")
            say(f"    SQLite    {_cut(example.baseline)}")
            say(f"    Postgres  {_cut(example.candidate)}")
        if remedy := remedy_of(place.cause):
            say(f"    {remedy}")


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


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def _cut(text: str | None) -> str:
    if text is None:
        return "(nothing)"
    return text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}..."
