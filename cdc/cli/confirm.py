"""A yes that a step wants which nothing undoes: asked on a terminal, given as an option by a program."""

import sys

import click

from cdc.errors import NotAgreed, UsageError


def require_somebody(what: str, *, yes: bool, as_json: bool, look: str) -> None:
    """Raise `UsageError` when nobody said yes to `what`, and nobody can be asked; `look` shows before what it does."""
    if not yes and (as_json or not (sys.stdin.isatty() and sys.stdout.isatty())):
        raise UsageError(
            f"{what} has to be confirmed, and there is no terminal to ask on",
            remedy=f"see `{look}`, then give the command again with --yes",
        )


def require_yes(what: str, *, yes: bool) -> None:
    """Ask, unless somebody said yes already; raises `NotAgreed` for a no."""
    if not yes and not click.confirm(f"{what[:1].upper()}{what[1:]} cannot be undone. Go on?", default=False):
        raise NotAgreed(f"{what} was not confirmed", remedy="nothing was changed")
