"""Names of adopted tables and columns in the letter case that they have in Postgres. Pure.

SQLite names have no case, and SQL for Postgres folds what is not quoted: `Lock` of the one is `lock` of the other.
Where the exact name is not there and one alone equals it without regard to case, that is meant. What was fed before
stays what is fed, whatever else comes to be called alike.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final

import msgspec

from cdc.config import ColumnOptions, Config, ReferenceOptions, TableOptions
from cdc.facts.source_schema import Table
from cdc.facts.target_schema import TargetTable
from cdc.mapping.names import column_options, has, same

# Both databases fold these letters, and no others.
_FOLDED: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def folded(name: str) -> str:
    """A name without its letter case."""
    return name.translate(_FOLDED)


def named_as_there(
    config: Config,
    tables: Sequence[Table],
    there: Mapping[str, TargetTable],
    decided: Mapping[str, Mapping[str, Any]],
    owned: Collection[str],
) -> Config:
    """The configuration with the names that adopted tables and their columns have `there`, as if somebody had set them.

    `decided` are the columns that are fed already, by source table and their names there, `owned` such tables.
    """
    targets = as_there({t.name: config.options(t.name).target or t.name for t in tables}, there, owned)
    sections = dict(config.tables)
    for table in (t for t in tables if config.adopts(t.name)):
        options = config.options(table.name)
        target = targets[table.name]
        named = _columns_as_there(table, options, there.get(target), decided.get(table.name, {}))
        if target != (options.target or table.name):
            named = msgspec.structs.replace(named, target=target)
        if named != options:
            written = next((name for name in config.tables if same(name, table.name)), table.name)
            sections[written] = _own_section(table, config.own_options(table.name), named)
    return msgspec.structs.replace(config, tables=sections)


def _own_section(table: Table, own: TableOptions, named: TableOptions) -> TableOptions:
    """A table's own section with these names; what patterns say of columns that it does not have stays with them."""
    said = {n: o for n, o in named.columns.items() if n in own.columns or o.computed or has(table, n)}
    return msgspec.structs.replace(
        own, target=named.target, columns=said, target_key=named.target_key, references=named.references
    )


def as_there(wanted: Mapping[str, str], there: Collection[str], kept: Collection[str]) -> dict[str, str]:
    """Each of the `wanted` names as it is called `there`, or as it is where that cannot be told.

    Those `kept` are fed already, whether they are there now or not. Two names that would become one stay as they are.
    """
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in {*there, *kept}:
        alike[folded(name)].append(name)
    chosen = {key: _one_of(alike[folded(name)], name, there, kept) for key, name in wanted.items()}
    times = Counter(chosen.values())
    return {key: name if times[name] == 1 else wanted[key] for key, name in chosen.items()}


def _one_of(alike: Sequence[str], wanted: str, there: Collection[str], kept: Collection[str]) -> str:
    standing = [name for name in alike if name in there]
    for names in ([name for name in standing if name in kept], standing, alike):
        if wanted in names:
            return wanted
        if len(names) == 1:
            return names[0]
    return wanted


def _columns_as_there(
    table: Table, options: TableOptions, there: TargetTable | None, decided: Mapping[str, Any]
) -> TableOptions:
    if there is None:
        return options
    own = [c.name for c in table.columns if not any(same(c.name, name) for name in options.skip)]
    sections = {name: column_options(options, name) for name in own}
    sections |= {name: column for name, column in options.columns.items() if not has(table, name)}
    wanted = {name: column.target or name for name, column in sections.items()}
    targets = as_there(wanted, [column.name for column in there.columns], decided)
    others = {wanted[name]: target for name, target in targets.items() if wanted[name] != target}
    if not others:
        return options
    columns = dict(options.columns)
    for name, target in targets.items():
        if wanted[name] != target:
            columns |= _with_target(options, name, target)
    return msgspec.structs.replace(
        options,
        columns=columns,
        target_key=[others.get(name, name) for name in options.target_key],
        references=[_renamed(reference, others) for reference in options.references],
    )


def _with_target(options: TableOptions, column: str, target: str) -> dict[str, ColumnOptions]:
    written = next((name for name in options.columns if same(name, column)), column)
    return {written: msgspec.structs.replace(column_options(options, column), target=target)}


def _renamed(reference: ReferenceOptions, others: Mapping[str, str]) -> ReferenceOptions:
    return msgspec.structs.replace(reference, columns=[others.get(name, name) for name in reference.columns])
