"""`cdc plan`: what would be created, and what would not fit."""

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, pass_session, run_async
from cdc.cli.output import print_json


@click.command(
    cls=Command,
    examples=(
        ("cdc plan", "Look before anything is touched."),
        ("cdc plan --all", "With every table, and all that is worth knowing."),
        ("cdc plan --apply 1,3b", "Write the lines of 1 and of 3, option b, into the configuration, and look again."),
        ("cdc plan --columns", "See the type that every column gets."),
        ("cdc plan --json", "The same for a program."),
    ),
)
@click.option("--all", "everything", is_flag=True, help="Also list every table, remark and object that is left out.")
@click.option("--columns", is_flag=True, help="Also list every column with its type, and what is created on it.")
@click.option(
    "--apply",
    "wanted",
    metavar="NUMBERS",
    is_flag=False,
    flag_value="?",
    help="Write the lines of these causes, or `all`, into the configuration; without numbers you are asked.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@pass_session
def plan(session: Options, everything: bool, columns: bool, wanted: str | None, as_json: bool) -> int:
    """Show whether all is ready, and what there is to decide.

    One finding is one cause, however many tables and rows it is about, with the lines of the configuration that settle
    it. Exit code 1 says that some rows will go to quarantine, 2 that the first copy cannot begin. Warnings stand first
    and change no exit code: only you know whether the application asks for what they name.

    Keys that are called secrets, such as `session_token`, are shown as `***`; `cdc quarantine list --json` has them.

    --apply keeps the comments of the configuration, and the file as it was beside it. `all` writes what changes no
    value; what loses something has to be named.
    """
    from cdc.cli import plan_apply
    from cdc.cli.plan_report import print_plan
    from cdc.first_copy import preflight

    session.start_log()
    plan_apply.require_terminal(wanted or "")
    made = run_async(preflight.build_plan(session.config()))
    if wanted == plan_apply.ASK:
        print_plan(made, everything=everything, with_columns=columns)
        wanted = plan_apply.asked()
        if not wanted:
            return int(made.exit_code)
    if wanted:
        plan_apply.apply(session.config_path, made, wanted, quiet=as_json)
        made = run_async(preflight.build_plan(session.config()))
    if as_json:
        print_json(made.to_json())
    else:
        print_plan(made, everything=everything, with_columns=columns)
    return int(made.exit_code)
