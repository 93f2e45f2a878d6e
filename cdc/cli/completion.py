"""`cdc completion`: what makes a shell's TAB key know commands, options, files and tables. Opens no database."""

from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from cdc.cli.help import Command
from cdc.config import Config, config_path, load_config
from cdc.errors import CdcError

SHELLS: Final = ("bash", "zsh", "fish")
VARIABLE: Final = "_CDC_COMPLETE"  # by which a shell asks; `main` answers before any command begins


@click.command(
    cls=Command,
    examples=(
        ('eval "$(cdc completion bash)"', "For this bash; in ~/.bashrc for every one."),
        ("cdc completion zsh > ~/.zfunc/_cdc", "For zsh, with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc."),
        ("cdc completion fish > ~/.config/fish/completions/cdc.fish", "For fish."),
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which a SHELL completes commands.

    TAB then completes commands, options, files, and the names of tables that a snapshot has seen.
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "cdc", VARIABLE).source())


def complete_table(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Tables of the configured source that begin like `typed`; none when there is no configuration yet."""
    try:
        config = load_config(config_path(context.find_root().params.get("config_file")))
    except CdcError:
        return []
    return [CompletionItem(name) for name in _known_tables(config) if name.startswith(typed)]


def _known_tables(config: Config) -> list[str]:
    # By the newest snapshot's manifest: to open the database itself would touch what an application is using.
    from cdc.first_copy.snapshots import snapshots_folder
    from cdc.sqlite.schema.read import OURS
    from cdc.sqlite.snapshot.snapshot import latest

    newest = latest(snapshots_folder(config), config.source.path)
    names = newest.manifest.tables if newest else ()
    return [name for name in names if config.replicate.wants(name) and not name.startswith(OURS)]
