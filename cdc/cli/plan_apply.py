"""`cdc plan --apply`: the lines of causes, chosen by their numbers, go into the configuration."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Final

import click

from cdc.cli.output import say
from cdc.config.rewrite import rewrite
from cdc.errors import UsageError
from cdc.facts.cause import Cause, ConfigLines
from cdc.facts.counted import counted
from cdc.first_copy.plan import Plan

ASK: Final = "?"
ALL: Final = "all"


def require_terminal(wanted: str) -> None:
    """Raises `UsageError` where somebody has to be asked and cannot be."""
    if wanted == ASK and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "--apply was given without numbers, and there is no terminal to ask on",
            remedy="see them with `cdc plan`, then name some: `cdc plan --apply 1,3b`, or `--apply all`",
        )


def asked() -> str:
    """The numbers that somebody types."""
    answer: str = click.prompt("Which of them? (numbers like 1,3b, or all)", default="", show_default=False)
    return answer


def apply(file: Path, plan: Plan, wanted: str, *, quiet: bool) -> None:
    """Write what is `wanted` into the configuration file; raises `UsageError` for what the plan does not have."""
    chosen = chosen_of(plan.causes, wanted)
    if not chosen:
        return
    copy = rewrite(file, ((choice.section, choice.lines) for choice in chosen))
    if not quiet:
        say(f"wrote {counted(len(chosen), 'section')} to {file}; what it was is in {copy.name}")
        say()


def chosen_of(causes: Sequence[Cause], wanted: str) -> list[ConfigLines]:
    """The choices that numbers mean, each with the letter of an option or the first one.

    All means the first option of everything there is to decide, where that option changes no value.
    """
    if wanted.strip() == ALL:
        exact = [c.options[0] for c in causes if c.kind != "choice" and c.options and _is_exact(c.options[0])]
        if not exact:
            raise UsageError(
                "there is nothing that `--apply all` could write without changing a value",
                remedy="name what you want of `cdc plan`, like `--apply 1b`",
            )
        return [choice for option in exact for choice in option]
    named = dict(_named(causes))
    chosen: list[ConfigLines] = []
    for name in filter(None, (part.strip().lower() for part in wanted.split(","))):
        if name not in named:
            first = ", ".join(key for key in named if key.isdecimal()) or "none"
            raise UsageError(
                f"--apply names {name}, and the plan has no lines of that number",
                remedy=f"see `cdc plan`: there are lines for {first}",
            )
        chosen += named[name]
    return chosen


def _is_exact(option: Sequence[ConfigLines]) -> bool:
    return all(choice.exact for choice in option)


def _named(causes: Sequence[Cause]) -> Iterator[tuple[str, tuple[ConfigLines, ...]]]:
    """Every option under the names that the screen gives it: `2`, the same as `2a`, and `2b`."""
    for number, cause in enumerate(causes, 1):
        for letter, option in zip(ascii_lowercase, cause.options, strict=False):
            if letter == "a":
                yield f"{number}", option
            yield f"{number}{letter}", option
