"""The reference of the command line, as its help has it."""

import inspect
from typing import Final

import click
from page_parts import NOTICE, table

from cdc.cli.help import Command, example_lines
from cdc.cli.main import cli


def cli_page() -> str:
    """The reference of every command and option."""
    parts = ["# Command line", NOTICE, _group_text(cli), _options_table(cli), _examples(cli)]
    for path, command in walk(cli):
        usage = f"```\n{_usage(path, command)}\n```"
        parts += [f"## `{path}`", usage, _help_text(command), _options_table(command), _examples(command)]
    return "\n\n".join(part for part in (*parts, _STATUS_JSON) if part) + "\n"


def walk(group: click.Group, path: str = "cdc") -> list[tuple[str, click.Command]]:
    """Every command below a group that does something itself, with the words that call it, in the order of the help."""
    found: list[tuple[str, click.Command]] = []
    for name, command in group.commands.items():
        own = f"{path} {name}"
        found += walk(command, own) if isinstance(command, click.Group) else [(own, command)]
    return found


def _group_text(group: click.Group) -> str:
    return f"{_help_text(group)}\n\n{group.epilog or ''}\n\nThese stand before the command:".strip()


def _usage(path: str, command: click.Command) -> str:
    arguments = [p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)]
    return " ".join([path, "[OPTIONS]", *arguments])


def _help_text(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "")


def _examples(command: click.Command) -> str:
    lines = example_lines(command.examples) if isinstance(command, Command) else []
    return "\n".join(["```sh", *lines, "```"]) if lines else ""


def _options_table(command: click.Command) -> str:
    rows = [
        (f"`{_names(option)}`", _option_help(option)) for option in command.params if isinstance(option, click.Option)
    ]
    return table(("option", "meaning"), rows) if rows else ""


def _names(option: click.Option) -> str:
    names = ", ".join(option.opts)
    return names if option.is_flag else f"{names} {option.make_metavar(click.Context(click.Command('x')))}"


def _option_help(option: click.Option) -> str:
    default = f" Default: `{option.default}`." if option.show_default and option.default is not None else ""
    return f"{option.help or ''}{' Required.' if option.required else ''}{default}"


_STATUS_JSON: Final = """\
## What `cdc status --json` answers

One object whose keys are always there; an unknown value is `null`.

| key | meaning |
| --- | --- |
| `at` | when the picture was made, ISO 8601 in UTC |
| `phase` | `new`, `snapshot`, `schema`, `load`, `replicate`, `cutover`, `finalized`, `ended`, \
or `unknown` while Postgres cannot be asked |
| `exit_code` | what the command exits with |
| `next_step` | what to do now, in words |
| `warnings` | everything that needs an eye, the worst first |
| `source` | `path`, `reachable`, `error`, `capture_installed`, `writes_fail` (capture makes the \
application's writes fail), `remains` (something of capture is there), `source_id`, `newest_seq` (the newest entry), \
`kept` (entries in the changelog, applied ones included), `pending` (entries that Postgres has not), \
`oldest_pending_seconds` |
| `target` | `where` (never with a password), `reachable`, `error` |
| `position` | `seq`: the changelog entry up to which Postgres has everything |
| `lag` | `changes` and `seconds`: how much waits, and for how long |
| `changes_applied` | changelog entries applied since the stream began |
| `last_apply` | when the last batch was committed, ISO 8601 |
| `heartbeat_age_seconds` | how long ago the daemon showed that it lives |
| `daemon` | `running` (it holds the source's lock, or shows itself on this machine), `owner` |
| `quarantine` | `total`, `acknowledged`, `by_reason` |
| `waiting` | tables that are not replicated while something about them stands in the way: `name`, `reason`, `remedy` |
| `snapshot` | `id` and `taken_at` of the newest one in the state folder |
| `verification` | `result` (`equal`, `different`, `critical`), `finished_at` and `age_seconds` of the last \
whole `cdc verify`, null before the first; `schema`: what \
Postgres has otherwise than it should, as `cdc verify --json` has it |
| `shadow` | `endpoints` that shadow reads asked, `differing` of them that are not alike now, `clean_since` when all \
are (null while one is not), `last_at` |
| `finalized` | null until `cdc finalize`: `since`, `by`, `snapshot`, `dump`, `cleaned` (when `cdc cleanup` was \
done) and more of what the way back was ended with |
| `stopped` | `reason` and `remedy` when the daemon stopped with an error |
| `activity` | what a daemon on this machine is doing: `doing` (`starting`, `loading`, `streaming`, `waiting` for a \
database, `stopping`), `since`, and after failed attempts `error` (of the last one) and `attempts` |
| `state` | `dir`, `bytes` (of the state folder, by part: `snapshots`, `postgres`, `postgres_log`, `audit`, `other`), \
`free_bytes` (on the disk of the state folder, `state`, and of the SQLite file, `source`) |

With `--json` an error of any command is one object as well: `error`, `remedy`, `exit_code`."""
