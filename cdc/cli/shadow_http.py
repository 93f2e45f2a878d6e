"""`cdc shadow http`: whether every endpoint of the application answers alike on both databases."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import print_json, print_table, say
from cdc.config import Config
from cdc.errors import UsageError

if TYPE_CHECKING:
    from cdc.facts.shadow import Outcome
    from cdc.shadow.http_report import HttpReport
    from cdc.shadow.http_run import HttpRun

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_SHOWN_DIFFERENCES: Final = 5
_SHOWN_ENDPOINTS: Final = 20
_LONGEST: Final = 120


@click.command(
    cls=Command,
    examples=(
        ("cdc shadow http --requests paths.txt", "Put every request of a file to both sides."),
        (
            "cdc shadow http --openapi openapi.json --repeat 20",
            "Put what a document describes, often enough to time it.",
        ),
        (
            'cdc shadow http --from-data "/api/reports/{id}=SELECT id FROM content" --sample 500',
            "Ask for rows that there are.",
        ),
        ("cdc shadow http --access-log access.log --minutes 10", "What users asked for, ten minutes at most."),
    ),
)
@click.option("--requests", "files", type=_FILE, multiple=True, help="METHOD PATH a line, PATH alone, or PATH=SQL.")
@click.option("--har", type=_FILE, multiple=True, help="A recording of a browser.")
@click.option("--access-log", "access_logs", type=_FILE, multiple=True, help="The log of a web server.")
@click.option("--log-format", metavar="FORMAT", help="The log's format as the server has it; `combined` if not given.")
@click.option("--openapi", type=_FILE, multiple=True, help="An OpenAPI document in JSON.")
@click.option("--from-data", metavar="PATH=SQL", multiple=True, help="A path, and a query on SQLite for its {places}.")
@click.option("--sample", type=click.IntRange(min=1), help="So many rows of each such query, drawn by chance.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed draws the same rows.")
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Each request so many times.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="End after so long.")
@click.option("--baseline", metavar="URL", help="The application on SQLite, instead of the configured one.")
@click.option("--candidate", metavar="URL", help="The application on Postgres, instead of the configured one.")
@click.option("--record-baseline", is_flag=True, help="Ask the baseline alone, and note how fast it is.")
@click.option("--coverage-log", "coverage_logs", type=_FILE, multiple=True, help="Name its endpoints never compared.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def http(session: Options, /, as_json: bool, baseline: str | None, candidate: str | None, **given: Any) -> int:
    """Compare the answers of the application on both databases, request by request.

    Only methods that read are asked, unless the configuration says more. Exit code 1 says that something differs, is
    slow or failed, 2 that nothing was answered by both sides.
    """
    session.start_log()
    config = _with_addresses(session.config(), {"baseline": baseline, "candidate": candidate})
    try:
        from cdc.shadow.http_run import shadow_http
    except ModuleNotFoundError as error:
        raise UsageError(
            f"shadow reads of HTTP need {error.name}, which is not installed",
            remedy="run `pip install 'cdc-sqlite-postgres[shadow]'`",
        ) from None
    with audited(config, "shadow http") as told:
        report = run_async(shadow_http(config, _wanted(**given), session.progress()))
        verdicts = [f"{count} {verdict}" for verdict, count in sorted(report.verdicts.items())]
        told |= {"requests": report.asked, "endpoints": len(report.endpoints), "verdicts": verdicts}
        told |= {"not_asked": report.not_asked.total()}
    if as_json:
        print_json(report.to_json())
    else:
        print_report(report)
    return int(report.exit_code)


def _with_addresses(config: Config, given: dict[str, str | None]) -> Config:
    """The configuration with the addresses that were given with the command."""
    addresses = {key: url for key, url in given.items() if url is not None}
    for key, url in addresses.items():
        if not url.startswith(("http://", "https://")):
            raise UsageError(
                f"--{key} is no address of the web: {url}", remedy="write it as https://HOST, or http://HOST:PORT"
            )
    return msgspec.structs.replace(config, shadow=msgspec.structs.replace(config.shadow, **addresses))


def _wanted(
    *, sample: int | None, seed: int, log_format: str | None, repeat: int, minutes: float | None, **given: Any
) -> "HttpRun":
    """What was asked for, as the run takes it."""
    from cdc.shadow.from_data import Sample
    from cdc.shadow.http_plan import Sources
    from cdc.shadow.http_run import HttpRun
    from cdc.shadow.request_files import DEFAULT_FORMAT

    record_baseline, coverage = given.pop("record_baseline"), given.pop("coverage_logs")
    sources = Sources(**given, log_format=log_format or DEFAULT_FORMAT, sample=Sample(sample, seed), coverage=coverage)
    return HttpRun(sources, repeat, minutes, record_baseline)


def print_report(report: "HttpReport") -> None:
    """A line for each endpoint, the first differences, what was not asked, and what it comes to."""
    from cdc.facts.shadow import Verdict

    columns = ("endpoint", "asked", *(verdict.value for verdict in Verdict))
    rows = [
        (endpoint, counts.total(), *(counts[verdict] for verdict in Verdict))
        for endpoint, counts in sorted(report.endpoints.items())
    ]
    print_table(columns, rows, numbers=columns[1:])
    say()
    for outcome in report.shown:
        _print_outcome(outcome)
    for reason, count in report.not_asked.items():
        say(f"not asked: {count:,}, for {reason}, such as {report.examples[reason]}")
    for entry in report.expected:
        told = f"{len(entry.differ):,} of {len(entry.named):,} differ, {len(entry.alike):,} do not"
        say(f"expected: {entry.expect.reason}: {told}, {entry.unasked:,} were not asked for")
    for endpoint, count in list(report.uncovered.items())[:_SHOWN_ENDPOINTS]:
        say(f"never compared: {endpoint}, {count:,} requests in the log")
    say(report.sentence)


def _print_outcome(outcome: "Outcome") -> None:
    say(f"! {outcome.verdict}: {outcome.request}{f': {outcome.reason}' if outcome.reason else ''}")
    for difference in outcome.differences[:_SHOWN_DIFFERENCES]:
        told = ", ".join(text for text in (difference.cause, difference.origin) if text)
        say(f"    {difference.path}{f' ({told})' if told else ''}")
        say(f"        SQLite    {_cut(difference.baseline)}")
        say(f"        Postgres  {_cut(difference.candidate)}")
    left = len(outcome.differences) - _SHOWN_DIFFERENCES
    if left > 0:
        say(f"    and {left:,} more")


def _cut(text: str | None) -> str:
    shown = "(nothing there)" if text is None else text.replace("\n", "\\n")
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}... ({len(shown):,} characters)"
