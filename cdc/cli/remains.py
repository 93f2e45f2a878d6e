"""`cdc cleanup` without an option: all that is left of this tool at both ends is listed, and then taken away."""

import functools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from cdc.cli.confirm import require_somebody, require_yes
from cdc.cli.options import audited, run_async
from cdc.cli.output import print_json, say
from cdc.config import Config
from cdc.errors import ExitCode
from cdc.facts.counted import counted

if TYPE_CHECKING:
    from cdc.ending.remains import Remains

WHAT: Final = "taking this away"


@dataclass(frozen=True, slots=True)
class Everything:
    """What was said of taking everything away."""

    dry_run: bool = False
    yes: bool = False
    keep_fence: bool = False
    as_json: bool = False

    @property
    def given(self) -> bool:
        """Whether anything was said but the form of the answer."""
        return self.dry_run or self.yes or self.keep_fence


def everything_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options of taking everything away, handed over as one, with `as_json` of the command: `everything`."""

    @click.option("--dry-run", is_flag=True, help="Only list what goes and what stays; nothing is changed.")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @click.option("--keep-fence", is_flag=True, help="Let the SQLite file refuse writes for good, by a fence alone.")
    @functools.wraps(command)
    def gathered(*arguments: Any, dry_run: bool, yes: bool, keep_fence: bool, as_json: bool, **more: Any) -> int:
        return command(*arguments, everything=Everything(dry_run, yes, keep_fence, as_json), **more)

    return gathered


def clean_up(config: Config, said: Everything) -> int:
    """List what is left and what stays, and take it away after a yes."""
    from cdc.ending import cleanup
    from cdc.ending import remains as ending

    left = run_async(ending.look(config, keep_fence=said.keep_fence))
    if not said.dry_run:
        cleanup.refuse_beside_daemon(config)
        require_somebody(WHAT, yes=said.yes, as_json=said.as_json, look="cdc cleanup --dry-run")
    if not said.as_json:
        _show(config, left)
    if said.dry_run:
        if said.as_json:
            print_json({**left.to_json(), "done": False})
        return ExitCode.OK
    others: list[str] = []
    if not left.nothing or (left.final and not left.final.cleaned):
        require_yes(WHAT, yes=said.yes)
        with audited(config, "cleanup", removed=True, sqlite=len(left.sqlite), postgres=len(left.postgres)):
            others = run_async(cleanup.clean(config, left, keep_fence=said.keep_fence))
    if said.as_json:
        print_json({**left.to_json(), "done": True, "others": others})
        return ExitCode.OK
    say("nothing of this tool is left in either database" if not said.keep_fence else "nothing is left but the fence")
    if others:
        say(f"the schema cdc stays, for it holds what this tool did not make: {', '.join(others)}")
    return ExitCode.OK


def _show(config: Config, left: "Remains") -> None:
    for backup in left.backups:
        say(f"checked: {backup}")
    _listed(f"goes out of {config.source.path}:", _short(left.sqlite))
    _listed("goes out of Postgres:", left.postgres)
    _listed("stays:", left.stays)
    _listed("afterwards:", left.afterwards)
    say()


def _listed(heading: str, words: Iterable[str]) -> None:
    say(heading)
    for line in list(words) or ["nothing"]:
        say(f"  {line}")


def _short(objects: Iterable[str]) -> list[str]:
    """Tables by their names, triggers by how many there are: a table has eleven of them."""
    kinds = Counter("fence" if name.startswith("trigger _cdc_fence_") else name.partition(" ")[0] for name in objects)
    said = [counted(kinds["trigger"], "trigger of capture", "triggers of capture")] if kinds["trigger"] else []
    said += [counted(kinds["fence"], "trigger of the fence", "triggers of the fence")] if kinds["fence"] else []
    return said + [name for name in objects if not name.startswith("trigger ")]
