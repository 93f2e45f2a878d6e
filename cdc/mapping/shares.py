"""Several source tables that feed one adopted table, and what tells their rows apart: a constant in each row's key."""

import re
from collections.abc import Mapping
from typing import Final

from cdc.config import Config, TableOptions
from cdc.config.patterns import is_pattern
from cdc.errors import MappingError
from cdc.facts.table_map import Share
from cdc.mapping.names import same

_CONSTANT: Final = re.compile(r"\s*(?:'((?:[^']|'')*)'|(-?[0-9]{1,18}))\s*")


def share_of(table: str, config: Config) -> Share | None:
    """Which rows of its target are a source table's; None where it is the only one that feeds it, or none is adopted.

    The configuration alone decides: the rows of a table that the application drops stay its own. Raises `MappingError`
    when nothing tells the rows of the tables apart.
    """
    target = config.options(table).target or table
    sections = {name: config.options(name) for name in config.tables if not is_pattern(name)}
    feeding = {name: o for name, o in sections.items() if (o.target or name) == target and config.adopts(name)}
    if len(feeding) < 2 or not any(same(name, table) for name in feeding):
        return None
    column, values = _discriminator(table, target, feeding)
    # One of them has the rows that none claims, so that every row is exactly one table's: the one without a constant.
    rest = min(feeding, key=lambda name: (name in values, name.lower()))
    others = tuple(value for name, value in values.items() if name != rest)
    if same(rest, table):
        return Share(column, others, rest=True)
    return Share(column, tuple(value for name, value in values.items() if same(name, table)), rest=False)


def _discriminator(table: str, target: str, feeding: Mapping[str, TableOptions]) -> tuple[str, dict[str, str]]:
    """The column in the key of all of them that is another constant in each, and these constants by source table.

    One table may go without, where none of its rows has the constant of another: a row that has it is held back.
    """
    keys = [o.target_key for o in feeding.values()]
    found: list[tuple[str, dict[str, str]]] = []
    for column in keys[0] if all(key == keys[0] for key in keys) else ():
        values = {name: value for name, o in feeding.items() if (value := _constants(o).get(column)) is not None}
        if len(set(values.values())) == len(values) >= len(feeding) - 1:
            found.append((column, values))
    if found:
        return max(found, key=lambda each: len(each[1]))
    others = ", ".join(name for name in feeding if not same(name, table))
    raise MappingError(
        f"[tables.{table}]: table {target} is fed by {others} as well, and nothing tells their rows apart",
        remedy="give all of them one `target_key`, with a column in it whose `expression` is a constant of its own in "
        f"""each but one, such as `expression = "'{table}'"`""",
    )


def _constants(options: TableOptions) -> dict[str, str]:
    """The columns that a table computes as constants, by their names in Postgres."""
    found: dict[str, str] = {}
    for name, column in options.columns.items():
        if constant := _CONSTANT.fullmatch(column.expression or ""):
            text, number = constant.groups()
            found[column.target or name] = str(int(number)) if text is None else text.replace("''", "'")
    return found
