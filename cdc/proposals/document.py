"""The text of a first configuration: TOML with comments, in the order in which people read it."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.facts.counted import counted
from cdc.proposals.block import TARGET, Block, Exclusion, Found, merged
from cdc.sql_names import heading, toml_text

_WIDTH: Final = 118

_SOURCE: Final = """\
# What `cdc` replicates, and where to. Every key is described in docs/configuration.md.
# Relative paths are relative to this file.
{looked}
[source]
# The application's SQLite file, on a disk of this machine (locks do not work over a network file system).
path = {path}

[target]
# "embedded" is a Postgres server that cdc brings and keeps in the state folder. For a server of your own:
# dsn = "postgresql://USER@HOST:5432/DATABASE"
# Keep its password out of this file: PGPASSWORD, PGPASSFILE, or
# password_file = "/etc/cdc/password"
dsn = {dsn}
# The schema of the replicated tables; it is created when it is missing.
schema = {schema}
"""
_ADOPT: Final = """\
# The tables are there already, made by the application's own migrations: they are used as they are.
adopt = true
"""
_STATE: Final = """
[state]
# Snapshots, the embedded server and the audit file. Needs room for a copy of the SQLite file.
dir = ".cdc"

[replicate]
# Which tables, as shell patterns: all but the excluded ones.
tables = ["*"]
"""
_EXAMPLES: Final = """
# What one table needs different. Nothing is needed for most; `cdc plan` shows what would be created.
# [tables.videos]
# target = "video"                # another name in Postgres
# skip = ["cache"]                # columns that stay behind
# [tables.videos.columns.tags]
# type = "jsonb"                  # another type than the declared one leads to
# [tables.videos.columns.short_id]
# expression = "substr(id, 4)"    # a column that only Postgres has, computed in SQLite's SQL
"""
_LOOKED: Final = "`cdc init` looked at every row: {tables}, {rows}."
_MARKS: Final = "What is proven to lose nothing is written; what is a choice is a comment: without its `# ` it holds."


@dataclass(frozen=True, slots=True)
class Route:
    """Where the configuration leads from and to, and whether the tables there are adopted."""

    path: str
    dsn: str
    schema: str
    adopt: bool = False


def bare(route: Route) -> str:
    """A configuration with what is required, and examples of the rest."""
    return f"{_first_sections(route, '')}{_STATE}exclude = []\n{_EXAMPLES}"


def written(route: Route, found: Found) -> str:
    """A configuration with all that was found."""
    looked = _LOOKED.format(tables=counted(found.tables, "table"), rows=counted(found.rows, "row"))
    parts = [_first_sections(route, _comment(f"{looked} {_MARKS}"))]
    in_target = [block for block in found.blocks if block.section == TARGET]
    parts += [_inside(in_target), _STATE, *_exclusions(found.exclusions)]
    if found.warnings:
        parts += ["\n", _title("Look at these first: rows arrive, and the application may still not find them")]
        parts += map(_comment, found.warnings)
    others = [(section, blocks) for section, blocks in merged(found.blocks) if section != TARGET]
    decided = [(section, blocks) for section, blocks in others if not all(block.choice for block in blocks)]
    choices = [(section, blocks) for section, blocks in others if all(block.choice for block in blocks)]
    if decided:
        parts += ["\n", _title("Decided: every row that is there was tried")]
        parts += ["\n" + _active(section, blocks) for section, blocks in decided]
    if choices:
        parts += ["\n", _title("To choose: remove the `# ` before the lines that you want")]
        parts += ["\n" + _commented(section, block) for section, blocks in choices for block in blocks]
    if found.remarks:
        parts += ["\n", _title("Good to know"), *map(_comment, found.remarks)]
    return "".join(parts)


def _first_sections(route: Route, looked: str) -> str:
    named = {"path": route.path, "dsn": route.dsn, "schema": route.schema}
    text = _SOURCE.format(looked=looked, **{key: toml_text(value) for key, value in named.items()})
    return text + (_ADOPT if route.adopt else "")


def _title(words: str) -> str:
    return f"# --- {words} ---\n"


def _comment(words: str) -> str:
    """Words as lines of comment; names of users among them may hold anything, a line's end too."""
    printable = "".join(char if char.isprintable() else " " for char in words)
    wrapped = textwrap.wrap(printable, _WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in wrapped)


def _exclusions(exclusions: Sequence[Exclusion]) -> Iterator[str]:
    if not exclusions:
        yield "exclude = []\n"
        return
    yield "exclude = [\n"
    for excluded in sorted(exclusions, key=lambda e: (e.choice, e.table)):
        mark = "# " if excluded.choice else ""
        rows = counted(excluded.rows, "row")
        why = _comment(f"{rows}: {excluded.why}").replace("\n# ", " ")
        yield f"    {mark}{toml_text(excluded.table)},  {why}"
    yield "]\n"


def _active(section: tuple[str, ...], blocks: Sequence[Block]) -> str:
    """A section with lines that take effect, and below them, as comments, those to choose."""
    reasons = "".join(_comment(block.why) for block in blocks if not block.choice)
    lines = "".join(f"{line}\n" for block in blocks if not block.choice for line in block.lines)
    return f"{reasons}{heading(*section)}\n{lines}{_inside([block for block in blocks if block.choice])}"


def _inside(blocks: Sequence[Block]) -> str:
    """Lines in a section that has begun already."""
    return "".join(
        _comment(block.why) + "".join(f"{'# ' if block.choice else ''}{line}\n" for line in block.lines)
        for block in blocks
    )


def _commented(section: tuple[str, ...], block: Block) -> str:
    return f"{_comment(block.why)}# {heading(*section)}\n" + "".join(f"# {line}\n" for line in block.lines)
