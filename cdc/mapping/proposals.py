"""Which lines of configuration would hold more of a column's values, or tell Postgres more about them.

Pure: every proposal is proven against the counts of a profile, and says how many values it still leaves out. Columns
for which the operator chose something already, and those that identify rows or refer to others, get none: a type that
is changed there concerns other columns too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cdc.config import ColumnOptions, Config
from cdc.facts.profile import ColumnProfile, TableProfile
from cdc.facts.proposal import Proposal
from cdc.facts.source_schema import Column, Table
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.mapping.counted_units import COUNTED, lie_in_our_time
from cdc.mapping.held_values import holds
from cdc.mapping.map_tables import JSON_NAMES, LITERAL
from cdc.mapping.names import column_options, same
from cdc.sql_names import heading, quote, toml_text
from cdc.values.booleans import BOOLEAN
from cdc.values.documents import JSONB
from cdc.values.identifiers import UUID
from cdc.values.numbers import BIGINT, NUMERIC
from cdc.values.texts import BYTEA, TEXT
from cdc.values.times import DATE, TIME, TIMESTAMP, TIMESTAMPTZ, WRITTEN, is_temporal

_FEWEST_UUIDS: Final = 10  # of fewer nobody knows whether the next one will be
_IDENTIFIER: Final = "id"  # columns whose names end so are compared with others


def propose(table: Table, mapped: TableMap, profile: TableProfile, config: Config) -> tuple[Proposal, ...]:
    """What the data of a table speaks for, in the order of its columns and the best of each column first.

    An adopted table gets none, for its types are not chosen here.
    """
    if mapped.adopted:
        return ()
    options = config.options(table.name)
    proposals: list[Proposal] = []
    for column in mapped.columns:
        content = profile.column(column.source) if column.source else None
        if content is None or not content.present or column.source is None:
            continue
        if _untouched(column_options(options, column.source)):
            found = _of_column(table.name, table.column(column.source), column, content)
            bound = _is_bound(table, mapped, column)
            proposals += (proposal for proposal in found if not bound or _keeps_rows_apart(proposal))
    return tuple(proposals)


def configuration(proposal: Proposal) -> str:
    """The section that a proposal stands for, as TOML."""
    lines = [f"{key} = {toml_text(text)}" for key, text in proposal.lines]
    return "\n".join([heading("tables", proposal.table, "columns", proposal.column), *lines])


def unpacked(column: str) -> str:
    """The expression that makes texts of JSON in SQLite's binary form, and leaves texts of JSON what they are."""
    return f"json({quote(column)})"


def _is_bound(table: Table, mapped: TableMap, column: ColumnMap) -> bool:
    refers = any(same(column.source, name) for key in table.foreign_keys for name in key.columns)
    return refers or column.target in mapped.key


def _keeps_rows_apart(proposal: Proposal) -> bool:
    """Whether rows are found by these values as well as before: all of them, in a type where no two become one."""
    return proposal.frees > 0 and not proposal.leaves and proposal.lines == (("type", TEXT.name),)


def _untouched(chosen: ColumnOptions) -> bool:
    """Whether the operator said nothing of a column but what it is called."""
    return chosen == ColumnOptions(target=chosen.target)


def _of_column(table: str, declared: Column, column: ColumnMap, content: ColumnProfile) -> Iterator[Proposal]:
    now = content.present if column.literal else holds(content).get(column.type, content.present)
    found = _that_free(declared, column, content) if now < content.present else _choices(declared, column, content)
    for option in found:
        frees, leaves = max(option.held - now, 0), content.present - option.held
        yield Proposal(table, declared.name, option.lines, option.why, frees, leaves, option.exact)


@dataclass(frozen=True, slots=True)
class _Option:
    """Lines, how many values are held with them, and why they are proposed."""

    held: int
    why: str
    lines: tuple[tuple[str, str], ...]
    exact: bool = True


def _literal(what: str, content: ColumnProfile) -> _Option:
    """Every value comes back exactly; but an application on Postgres would have to read literals, so it is a choice."""
    why = f"{what}: only SQL literals in a text column hold all of that, with quotes around texts"
    return _Option(content.present, why, (("type", LITERAL),), exact=False)


def _type(name: str, held: int, why: str) -> _Option:
    return _Option(held, why, (("type", name),))


# --- where values would stay behind -----------------------------------------------------------------------------------


def _that_free(declared: Column, column: ColumnMap, content: ColumnProfile) -> Iterator[_Option]:
    """First the type that holds every value, or else literals; then what holds more by a loss that somebody means."""
    held, forms = holds(content), content.forms
    what = f"declared {declared.declared_type or 'without a type'}, it holds {_classes(content)}"
    words = held[BOOLEAN.name] + forms.words
    if column.type == BOOLEAN.name and words == content.present and forms.words:
        yield _Option(words, f"{what}, all of them 0, 1 or words for true and false", (("format", "words"),))
    else:
        yield next(
            (
                _type(type_.name, content.present, f"{what}: {why}")
                for type_, why in _WIDER
                if held[type_.name] == content.present and type_.name != column.type
            ),
            _literal(what, content),
        )
    if column.type == BYTEA.name and content.text and content.blob and content.text + content.blob == content.present:
        why = f"{what}: texts become their bytes, and are not told from blobs any more"
        yield _Option(content.present, why, (("format", "utf-8"),), exact=False)
    if forms.empty and column.type != TEXT.name and not declared.not_null:
        kept = held[column.type] + forms.empty
        yield _Option(kept, _empty(forms.empty), (("empty", "null"),), exact=False)


_WIDER: Final = (
    (BIGINT, "integers of any size"),
    (NUMERIC, "numeric keeps integers of any size and every fraction as it is written"),
    (TEXT, "texts alone"),
    (BYTEA, "blobs alone"),
)

# --- where every row arrives, and Postgres could know more about it ---------------------------------------------------


def _choices(declared: Column, column: ColumnMap, content: ColumnProfile) -> Iterator[_Option]:
    is_json = declared.declared_type.strip().upper() in JSON_NAMES
    if content.binary_json and (is_json or (content.binary_json == content.present and content.longest > 1)):
        yield _binary_json(declared, content)
    elif column.type == TEXT.name and (is_json or content.json == content.present):
        held = holds(content)[JSONB.name]
        if held:
            yield _type(
                JSONB.name, held, f"{_part(held, content.present)} {'is' if held == 1 else 'are'} JSON that jsonb keeps"
            )
    elif column.type == TEXT.name and not column.literal:
        yield from _instants(declared, content)
        yield from _uuids(declared, content)
    elif is_temporal(declared.declared_type):
        yield from _mixed_instants(declared, content) if content.text else _counted_instants(content)
    elif column.type == BIGINT.name and _looks_like_a_flag(declared, content):
        yield _type(BOOLEAN.name, content.present, f"every one of {_many(content.present, 'integer')} is 0 or 1")


def _binary_json(declared: Column, content: ColumnProfile) -> _Option:
    held = content.binary_json + holds(content)[JSONB.name]
    part = _part(content.binary_json, content.present)
    why = f"{part} are JSON in the binary form of SQLite, of which json() makes texts"
    return _Option(held, why, (("type", JSONB.name), ("expression", unpacked(declared.name))))


def _uuids(declared: Column, content: ColumnProfile) -> Iterator[_Option]:
    """Texts that are UUIDs, which Postgres compares with no text: what other columns are compared with stays text."""
    is_compared = declared.name.lower().endswith(_IDENTIFIER)
    if content.forms.uuid == content.present >= _FEWEST_UUIDS and not is_compared:
        why = f"every one of {content.present} texts is a UUID, which Postgres compares with UUIDs alone"
        yield _type(UUID.name, content.present, why)


def _instants(declared: Column, content: ColumnProfile) -> Iterator[_Option]:
    """Texts of dates and times: in one form a type of their own, in several an instant in UTC."""
    forms = content.forms
    lines: tuple[tuple[str, str], ...]
    sorts = [(w.type_, n) for w in WRITTEN if (n := getattr(forms, w.form))]
    written = sum(n for _, n in sorts)
    if not written or written + forms.empty != content.present or (forms.empty and declared.not_null):
        return
    if len(sorts) == 1:
        lines, why = (
            (("type", sorts[0][0].name),),
            f"every one of {_many(written, 'text')} is {_FORM[sorts[0][0].name]}",
        )
    elif forms.time:
        return
    else:
        told = ", ".join(_counted(n, _FORM[type_.name]) for type_, n in sorts)
        lines, why = (("format", "iso utc"),), f"it holds {told}, which become instants; those without an offset in UTC"
    if forms.empty:
        lines, why = (*lines, ("empty", "null")), f"{why}; {_empty(forms.empty)}"
    yield _Option(content.present, why, lines, exact=not forms.empty)


_FORM: Final = {
    TIMESTAMP.name: "a timestamp without an offset",
    TIMESTAMPTZ.name: "a timestamp with an offset",
    DATE.name: "a date",
    TIME.name: "a time of day",
}


def _counted_instants(content: ColumnProfile) -> Iterator[_Option]:
    """Numbers in a column of dates that lie where numbers of our time do, in exactly one unit."""
    if content.integer + content.real != content.present or content.least is None or content.greatest is None:
        return
    for format_ in COUNTED:
        if lie_in_our_time(format_, content.least, content.greatest):
            why = f"its numbers, from {content.least} to {content.greatest}, look like instants"
            yield _Option(content.present, why, (("format", format_),))


def _mixed_instants(declared: Column, content: ColumnProfile) -> Iterator[_Option]:
    """Texts and numbers of several writers, where all numbers count in the same unit: of others nothing is proven."""
    forms, least, greatest = content.forms, content.least, content.greatest
    texts = forms.naive + forms.zoned + forms.date
    if not texts or texts + forms.empty != content.text or content.blob or least is None or greatest is None:
        return
    if (forms.empty and declared.not_null) or not any(low <= least and greatest < end for low, end in _AUTO):
        return
    why = f"it holds {_many(texts, 'text')} of dates and times and {_many(content.integer + content.real, 'number')}"
    lines: tuple[tuple[str, str], ...] = (("format", "auto utc"),)
    if forms.empty:
        lines, why = (*lines, ("empty", "null")), f"{why}; {_many(forms.empty, 'text')} are empty, and would be NULL"
    yield _Option(content.present, why, lines, exact=not forms.empty)


_AUTO: Final = ((10**7, 10**10), (10**11, 10**14))  # numbers that `auto utc` takes for seconds, and for milliseconds


def _looks_like_a_flag(declared: Column, content: ColumnProfile) -> bool:
    """Whether both 0 and 1 occur and nothing else does; a column of one number alone says little."""
    both = not content.not_boolean and (content.least, content.greatest) == (0, 1)
    return both and (declared.default or "0").strip("( )") in ("0", "1")


# --- words ------------------------------------------------------------------------------------------------------------


def _classes(content: ColumnProfile) -> str:
    counted = (
        (content.integer, "integer"),
        (content.real, "real"),
        (content.text, "text"),
        (content.blob, "blob"),
    )
    return ", ".join(_many(count, noun) for count, noun in counted if count)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _counted(count: int, one: str) -> str:
    """`1 date`, `2 dates`, `3 timestamps without an offset`, of what is `a date` or `a timestamp ...`."""
    noun, _, rest = one.partition(" ")[2].partition(" ")
    return f"{_many(count, noun)} {rest}".rstrip()


def _empty(count: int) -> str:
    return f"{_many(count, 'text')} {'is' if count == 1 else 'are'} empty, and would be NULL"


def _part(count: int, of: int) -> str:
    return f"all {count} values" if count == of else f"{count} of {_many(of, 'value')}"
