"""`cdc report`: what there is to decide on and to sign, and whether a report is as it was made."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import bytes_text, print_facts, print_json, say, time_text
from cdc.errors import ExitCode, UsageError
from cdc.facts.counted import counted

if TYPE_CHECKING:
    from cdc.report.facts import AuditFacts
    from cdc.report.verify import ReportVerdict

MOST_OPEN = 10  # points that are named; the page has all

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "report",
    cls=Command,
    examples=(
        ("cdc report", "A page to decide on and to sign, with all that it rests on."),
        ("cdc report --out /srv/bot/cutover.html", "The same, and the JSON beside it, under another name."),
        ("cdc report --verify /srv/bot/cutover.html", "Whether it is as it was made, and known here."),
    ),
)
@click.option("--out", type=_FILE, help="The page; JSON goes beside it. By default both have the day's name.")
@click.option("--verify", "verified", type=_FILE, help="Check the seal of such a file instead, page or JSON.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def write_report(session: Options, out: Path | None, verified: Path | None, as_json: bool) -> int:
    """Write what is known of the move as a page to sign, and as JSON.

    It has the verdict with what is open, both sides' rows, comparisons, differences, downtime, shadow reads, rows that
    are held, and the story of the audit trail. Works in every phase, and tells what could not be asked. Both files are
    sealed, and the audit trail keeps their hashes; what is there already is never overwritten.

    Exit codes are those of the verdict: 0 nothing is open, 1 something is, 2 critical, 69 a database cannot be reached.
    With --verify: 0 as it was made and known to the audit trail, 1 not known here, 2 broken.
    """
    session.start_log()
    if verified is not None:
        if out is not None:
            raise UsageError("--out and --verify contradict each other", remedy="give one of them, or neither")
        return _verify(session, verified, as_json=as_json)
    return _write(session, out, as_json=as_json)


def _write(session: Options, out: Path | None, *, as_json: bool) -> int:
    from cdc.report.document import make_document
    from cdc.report.files import choose_names, write_files
    from cdc.report.gather import gather

    config = session.config()
    with audited(config, "report") as told:
        names = choose_names(out, datetime.now(UTC))
        facts = run_async(gather(config, session.config_path))
        document = make_document(facts)
        hashes = write_files(names, document)
        told |= {"verdict": document["decision"]["verdict"], **hashes, "file": names.page.name}
    files = {"page": str(names.page), "json": str(names.document)}
    if as_json:
        print_json({**document["decision"], "files": files, "sha256": hashes})
    else:
        _print_written(document, names.page, hashes["document"])
    return int(document["decision"]["exit_code"])


def _print_written(document: dict[str, Any], page: Path, sha256: str) -> None:
    decision = document["decision"]
    say(f"{decision['verdict']}: {decision['sentence']}")
    for point in decision["open"][:MOST_OPEN]:
        say(f"! {point['what']}")
    if len(decision["open"]) > MOST_OPEN:
        say(f"! and {counted(len(decision['open']) - MOST_OPEN, 'more point')}")
    say()
    size = bytes_text(page.stat().st_size)
    print_facts([("page", f"{page} ({size}), and {page.stem}.json beside it"), ("document", sha256)])


def _verify(session: Options, file: Path, *, as_json: bool) -> int:
    from cdc.report.verify import judge

    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the report {file} cannot be read: {error.strerror}", remedy="name its page or JSON"
        ) from None
    verdict = judge(data, _known(session))
    if as_json:
        print_json({"file": str(file), **verdict.to_json()})
    else:
        _print_verdict(file, verdict)
    return int(verdict.exit_code)


def _known(session: Options) -> "AuditFacts":
    """What is known of reports here; a report may well be verified where there is no configuration."""
    from cdc.report.facts import AuditFacts
    from cdc.report.known import read_known

    if session.config_file is None and not session.config_path.exists():
        return AuditFacts(error=f"there is no {session.config_path.name} here")
    return run_async(read_known(session.config()))


def _print_verdict(file: Path, verdict: "ReportVerdict") -> None:
    told = verdict.to_json()
    known, made = told["known"], time_text(told["made_at"])
    entry = f"knows it: entry {known['n']:,}, {time_text(known['at'])}, by {known['actor']}" if known else ""
    print_facts(
        [
            ("report", f"{file}, a {told['kind']}"),
            ("made", f"{made} by {told['made_by']}, as it says" if made else None),
            ("seal", f"broken: {told['why']}" if told["why"] else "intact: every byte is as it was sealed"),
            ("shown", told["shown"]),
            (
                "trail",
                "; but ".join(filter(None, [entry or "does not know it", told["trail"]])) if verdict.intact else None,
            ),
        ]
    )
    if verdict.exit_code is ExitCode.DIFFERENCE and not known:
        say("it may come from another installation, or from one whose trail is gone: compare the hash with a noted one")
