"""`cdc schema`: the tables in Postgres, and dropping what nothing feeds any more."""

import click

from cdc.cli.help import Command
from cdc.cli.options import Options, audited, pass_session, run_async
from cdc.cli.output import say
from cdc.config import Config
from cdc.facts.counted import counted


@click.command(
    cls=Command,
    examples=(
        ("cdc schema --print", "Read the SQL first."),
        ("cdc schema", "Create what is missing."),
        ("cdc schema --apply-pending --print", "See what the application dropped and Postgres still has."),
        ("cdc schema --apply-pending", "Save that to files, then drop it in Postgres too."),
    ),
)
@click.option("--print", "only_print", is_flag=True, help="Print the SQL and change nothing.")
@click.option("--apply-pending", is_flag=True, help="Drop what the application has dropped, after saving it.")
@pass_session
def schema(session: Options, only_print: bool, apply_pending: bool) -> None:
    """Create the tables in Postgres.

    What is there already is left as it is, so the command can be given again. After the first copy it also makes the
    views that the application has got since, if both databases answer them alike. What is gone of the schema `cdc` is
    made again; the daemon then compares what is not known any more.

    Columns and tables that the application dropped or renamed stay in Postgres until --apply-pending: then their values
    are saved to files in the state folder and they are dropped, all or none. The daemon must be stopped or paused.
    """
    from cdc.first_copy import create_schema

    session.start_log()
    config = session.config()
    if apply_pending:
        _apply_pending(config, only_print=only_print)
        return
    if only_print:
        click.echo(run_async(create_schema.render_schema(config)).rstrip("\n"))
        return
    with audited(config, "schema") as told:
        done = run_async(_schema(config))
        told["statements"] = len(done)
    say(f"the schema is in place ({counted(len(done), 'statement')})")


async def _schema(config: Config) -> list[str]:
    from cdc.first_copy import create_schema
    from cdc.stream import heal

    await heal.heal_now(config)
    return await create_schema.create_schema(config)


async def _heal_accepted(config: Config) -> None:
    from cdc.stream import heal

    await heal.heal_now(config, accepted=True)


def _apply_pending(config: Config, *, only_print: bool) -> None:
    from cdc.evolve import drop_leftovers

    if only_print:
        click.echo(run_async(drop_leftovers.render(config)), nl=False)
        return
    with audited(config, "apply pending") as told:
        dropped = run_async(drop_leftovers.drop(config))
        told["dropped"] = [left.what for left in dropped]
    for left in dropped:
        say(f"dropped {left.what}; {counted(left.rows, 'row')} saved in {left.file}")
    if not dropped:
        say("nothing is left over")
