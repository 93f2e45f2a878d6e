"""`cdc shadow report`: what all shadow reads came to."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import print_json, print_table, say, seconds_text
from cdc.config import Config
from cdc.errors import ExitCode, UsageError
from cdc.facts.counted import counted

if TYPE_CHECKING:
    from cdc.shadow.report import EndpointReport, ShadowReport
    from cdc.shadow.requests import HttpRequest

SHOWN_PLACES: Final = 3  # of one endpoint
_SHOWN_TEXT: Final = 160
_SHOWN_ENDPOINTS: Final = 20  # of a log, that were never compared
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.command(
    cls=Command,
    examples=(
        ("cdc shadow report", "What differs, since when nothing does, and how fast both are."),
        ("cdc shadow report --html report.html", "The same as one page for a browser."),
        (
            "cdc shadow report --har differences.har",
            "Examples of what differs, for a browser or `cdc shadow http --har`.",
        ),
        ("cdc shadow report --forget", "Begin anew, after the application was mended."),
    ),
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
    found = run_async(_report(config, _logged(logs, log_format, config)))
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


def _logged(logs: tuple[Path, ...], log_format: str | None, config: Config) -> "list[HttpRequest]":
    """The reads of the logs that are given, or else of the configured one."""
    if not (logs or config.shadow.access_log):
        return []
    try:
        from cdc.shadow.http_plan import configured_reads, logged_reads
        from cdc.shadow.request_files import DEFAULT_FORMAT
    except ModuleNotFoundError as error:
        raise UsageError(
            f"access logs are read by {error.name}, which is not installed",
            remedy="run `pip install 'cdc-sqlite-postgres[shadow]'`, or name no log",
        ) from None
    if not logs:
        return configured_reads(config.shadow)
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


def _print_report(found: "ShadowReport") -> None:
    if not found.endpoints:
        say("nothing was asked yet: see `cdc shadow sql --help` and `cdc shadow http --help`")
        return
    columns = ("kind", "endpoint", "asked", "differed", "clean for", "p95 SQLite", "p95 Postgres", "slower")
    print_table(columns, [_row(e, found.at) for e in found.endpoints], numbers=columns[2:])
    say()
    for endpoint in found.endpoints:
        _print_places(endpoint)
    for name, count in list(found.clean.never_compared.items())[:_SHOWN_ENDPOINTS]:
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
    if endpoint.proven:
        return
    for place in endpoint.places[:SHOWN_PLACES]:
        say(f"! {endpoint.endpoint}, {place.path or 'as a whole'}: {place.cause}, {counted(place.times, 'time')}")
        for example in place.examples[:1]:
            say(f"    asked     {_cut(example.request)}")
            print_sides(example.baseline, example.candidate)
        print_remedy(place.cause)


def print_sides(baseline: str | None, candidate: str | None) -> None:
    """What both sides have at a place."""
    say(f"    SQLite    {_cut(baseline)}")
    say(f"    Postgres  {_cut(candidate)}")


def print_remedy(cause: str) -> None:
    """What helps against the cause of a difference, if anything is known."""
    from cdc.shadow.report import remedy_of

    if remedy := remedy_of(cause):
        say(f"    {remedy}")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def _cut(text: str | None) -> str:
    if text is None:
        return "(nothing)"
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}..."
