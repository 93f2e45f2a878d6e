"""A yes that a step wants which nothing undoes: asked on a terminal, given as an option by a program."""

import sys

import click

from cdc.errors import NotAgreed, UsageError


def require_yes(what: str, *, yes: bool, as_json: bool, look: str) -> None:
    """Raise unless somebody says yes to `what`; `look` is the call that shows before what would be done.

    Where nobody can be asked, `UsageError`; for a no, `NotAgreed`.
    """
    if yes:
        return
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            f"{what} has to be confirmed, and there is no terminal to ask on",
            remedy=f"see `{look}`, then give the command again with --yes",
        )
    if not click.confirm(f"{what[:1].upper()}{what[1:]} cannot be undone. Go on?", default=False):
        raise NotAgreed(f"{what} was not confirmed", remedy="nothing was changed")
