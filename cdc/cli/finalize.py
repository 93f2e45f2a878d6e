"""`cdc finalize`: the way back is ended on purpose."""

from typing import TYPE_CHECKING, Any, Final

import click

from cdc.cli.confirm import require_somebody, require_yes
from cdc.cli.help import Command
from cdc.cli.options import Options, pass_session, run_async
from cdc.cli.output import print_json, say
from cdc.config import Config
from cdc.errors import ExitCode
from cdc.facts.counted import counted

if TYPE_CHECKING:
    from cdc.ending.finalize import EndedWay

WHAT: Final = "the end of the way back"


@click.command(
    cls=Command,
    examples=(
        ("cdc finalize --dry-run", "See what is in the way, and what would be lost."),
        ("cdc finalize", "End the way back, after a question."),
        ("cdc finalize --yes --json", "The same for a program, which nobody can ask."),
    ),
)
@click.option("--dry-run", is_flag=True, help="Only show the plan; nothing is written anywhere.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--without-dump", is_flag=True, help="Make no dump: there is another backup of Postgres.")
@click.option("--leave-behind", is_flag=True, help="Let rows that SQLite cannot hold be missing in the last snapshot.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def finalize(session: Options, dry_run: bool, yes: bool, without_dump: bool, leave_behind: bool, as_json: bool) -> int:
    """End the way back on purpose: SQLite follows Postgres no more.

    Both are compared as a whole in one state, a last snapshot of SQLite is taken and proven, and a dump of the schema
    in Postgres is made and read back. Applications write on all the time. After it there is no `cdc rollback`, and the
    daemon ends. SQLite refuses writes as before. With --dry-run, exit code 1 says that something is in the way.
    """
    from cdc.cli.switch_report import showing, tell_plan
    from cdc.ending import finalize as end
    from cdc.ending.survey import FinalWish, final_plan
    from cdc.notes import final_note

    session.start_log()
    config = session.config()
    wish = FinalWish(without_dump, leave_behind)
    if (note := final_note.read(config)) is not None and note.complete:
        return _say(config, end.EndedWay(note), as_json=as_json)  # given again, it has nothing to do
    plan = run_async(final_plan(config, wish))
    if dry_run or plan.exit_code:
        return tell_plan(plan, as_json=as_json)
    require_somebody(WHAT, yes=yes, as_json=as_json, look="cdc finalize --dry-run")
    require_yes(WHAT, yes=yes)
    done = run_async(end.finalize(config, wish, showing(as_json=as_json), session.progress()))
    return _say(config, done, as_json=as_json)


def _say(config: Config, done: "EndedWay", *, as_json: bool) -> int:
    """Tell what came of it; returns the exit code."""
    if as_json:
        print_json(_json(config, done))
    else:
        _tell(config, done)
    return ExitCode.DIFFERENCE if done.afterwards else ExitCode.OK


def _tell(config: Config, done: "EndedWay") -> None:
    note, folder = done.note, config.state.dir
    say(f"the way back is ended: applications write to Postgres alone, and {counted(note.rows, 'row')} were alike")
    say(f"  last snapshot  {folder / 'snapshots' / note.snapshot}")
    say(f"  dump           {folder / note.dump.file if note.dump else 'none'}")
    if done.afterwards:
        say(f"it is done, but: {done.afterwards}")
        say("next: `cdc finalize` again, which does what is left")
    else:
        say("SQLite refuses writes as before; next: `cdc cleanup`")


def _json(config: Config, done: "EndedWay") -> dict[str, Any]:
    note = done.note
    return {
        "finalized_at": note.since,
        "rows": note.rows,
        "snapshot": {"folder": str(config.state.dir / "snapshots" / note.snapshot), "sha256": note.snapshot_sha256},
        "dump": {
            "file": str(config.state.dir / note.dump.file),
            "sha256": note.dump.sha256,
            "bytes": note.dump.bytes,
        }
        if note.dump
        else None,
        "afterwards": done.afterwards or None,
    }
