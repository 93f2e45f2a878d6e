"""The catalogue of errors as a page."""

import inspect
from collections.abc import Sequence
from typing import Final

from error_catalogue import CLASSES, ErrorSite, as_prose, error_sites, literals
from page_parts import NOTICE, table

from cdc.errors import CdcError, ExitCode, Policy

_INTRODUCTION: Final = """\
A command that fails says two lines on stderr, `error:` and `remedy:`, and ends with an exit code; with `--json` it
answers with one object, `error`, `remedy` and `exit_code`. Whatever it was about to do is undone: both databases are as
they were. Words in italics stand for names and numbers. Within a kind the messages stand in alphabetical order, by the
first word that is always there."""
_POLICIES: Final = {
    Policy.RETRY: "tries again by itself",
    Policy.SETTLE_ANEW: "tries again a few times with everything read anew, then ends: it needs a person",
    Policy.NEEDS_A_PERSON: "ends: it needs a person",
}
_EXIT_CODES: Final = {
    ExitCode.CRITICAL: "critical",
    ExitCode.USAGE: "wrong usage",
    ExitCode.UNAVAILABLE: "a database cannot be reached",
    ExitCode.CONFIG: "wrong configuration",
}


def errors_page() -> str:
    """The catalogue of every error: by class, and within it by the words of the message."""
    sites = error_sites()
    kinds = sorted({site.kind for site in sites}, key=lambda kind: (kind.exit_code, list(CLASSES.values()).index(kind)))
    parts = ["# Errors", NOTICE, _INTRODUCTION, _kinds_table(kinds)]
    for kind in kinds:
        parts += [f"## {kind.__name__}", _kind_text(kind), _errors_table([s for s in sites if s.kind is kind])]
    return "\n\n".join(parts) + "\n"


def _kinds_table(kinds: Sequence[type[CdcError]]) -> str:
    rows = [(f"[{k.__name__}](#{k.__name__.lower()})", f"{k.exit_code:d}", _POLICIES[k.policy]) for k in kinds]
    return table(("kind", "exit code", "the daemon"), rows)


def _kind_text(kind: type[CdcError]) -> str:
    meaning = inspect.cleandoc(kind.__doc__ or "")
    return f"{meaning} Exit code {kind.exit_code:d} ({_EXIT_CODES[kind.exit_code]})."


def _errors_table(sites: Sequence[ErrorSite]) -> str:
    ordered = sorted({(s.message, s.remedy) for s in sites}, key=lambda texts: (literals(texts[0]).lower(), texts))
    return table(("message", "remedy"), [(as_prose(message), as_prose(remedy)) for message, remedy in ordered])
