"""The command group and `main`, the one place where errors become words and exit codes."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from cdc import __version__
from cdc.cli import (
    cleanup,
    cutover,
    first_process,
    load,
    plan,
    quarantine,
    rehearse,
    restore,
    rollback,
    run,
    schema,
    snapshot,
    status,
)
from cdc.cli.audit import audit
from cdc.cli.completion import completion
from cdc.cli.demo import demo
from cdc.cli.failure import report
from cdc.cli.finalize import finalize
from cdc.cli.flag import flag
from cdc.cli.help import Group
from cdc.cli.init import init
from cdc.cli.options import Options, terminable
from cdc.cli.pause import pause, resume
from cdc.cli.report import write_report
from cdc.cli.shadow import shadow
from cdc.cli.tombstones import tombstones
from cdc.cli.unit import unit
from cdc.cli.verify import verify
from cdc.errors import ExitCode, UsageError


@click.group(
    cls=Group,
    examples=(
        ("cdc init app.db && cdc up", "From nothing to following."),
        ("cdc -c /etc/cdc/bot.toml status", "Ask about one application of several."),
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 a difference or a warning, 2 critical, 64 wrong usage, 69 a database cannot be "
    "reached, 78 wrong configuration.",
)
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file; default $CDC_CONFIG, else cdc.toml.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log what is done in detail.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress and log only warnings.")
@click.option("--log-json", is_flag=True, help="Log one JSON object a line, as under systemd.")
@click.option("--debug", is_flag=True, help="Show the trace of an error.")
@click.version_option(__version__, prog_name="cdc", message="%(prog)s %(version)s")
@click.pass_context
def cli(
    context: click.Context, config_file: Path | None, verbose: bool, quiet: bool, log_json: bool, debug: bool
) -> None:
    """Move a live SQLite application to Postgres, and back at every moment.

    `cdc init app.db` writes a configuration, `cdc up` does everything that is not done yet and keeps following,
    `cdc status` tells how far it is.
    """
    del debug  # read by `main`, which also sees errors from before this point
    if verbose and quiet:
        raise UsageError("--verbose and --quiet contradict each other", remedy="give one of them, or neither")
    context.obj = Options(config_file=config_file, verbose=verbose, quiet=quiet, log_json=log_json)


# In the order in which an operator meets them; so `cdc --help` and the reference page show them.
cli.add_under("Before", demo, init, plan.plan)
cli.add_under("Phases 0 and 1, the copy", snapshot.snapshot, schema.schema, load.load)
cli.add_under(
    "Phase 2, following", run.up, run.run, unit, status.status, verify, shadow, quarantine.quarantine, tombstones
)
cli.add_under("Phase 3, the cutover", rehearse.rehearse, cutover.cutover, rollback.rollback, flag)
cli.add_under("Upgrades of the application", pause, resume)
cli.add_under("Phase 4, the end", finalize, cleanup.cleanup)
cli.add_under("The way back", restore.restore)
cli.add_under("At any time", write_report, audit, completion)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; nothing is raised."""
    first_process.step_back()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with terminable():
            return int(cli.main(given, prog_name="cdc", standalone_mode=False) or ExitCode.OK)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return int(ExitCode.USAGE)
    except SystemExit:
        # So click ends when the reader of a pipe (`head`, a pager) has seen enough; nothing is wrong then.
        return int(ExitCode.OK)
    except BaseException as error:  # noqa: BLE001 (the last place where an error can become words)
        return report(error, as_json="--json" in given, debug="--debug" in given)
