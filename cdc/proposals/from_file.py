"""What the file alone proves, where the tables in Postgres are made from it. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from cdc.config import Config
from cdc.facts.counted import counted
from cdc.facts.profile import TableProfile
from cdc.facts.proposal import Proposal
from cdc.facts.source_schema import SourceSchema, Table
from cdc.facts.table_map import TableMap
from cdc.mapping.letter_case import folded
from cdc.mapping.proposals import propose
from cdc.proposals.block import Block, Exclusion, column_section
from cdc.proposals.kinds_of_tables import referred_to, why_left_behind
from cdc.sql_names import toml_text


def blocks_for(maps: Sequence[TableMap], profiles: Mapping[str, TableProfile], config: Config) -> tuple[Block, ...]:
    """What could be said of columns, table by table."""
    found: list[Block] = []
    for mapped in maps:
        by_column: dict[str, list[Proposal]] = {}
        for proposal in propose(mapped.source, mapped, profiles[mapped.source.name], config):
            by_column.setdefault(proposal.column, []).append(proposal)
        for proposals in by_column.values():
            found += _of_column(proposals)
    return tuple(found)


def _of_column(proposals: Sequence[Proposal]) -> Iterator[Block]:
    """The first that is proven, or else all of them to choose from."""
    proven = next((p for p in proposals if _is_proven(p)), None)
    for proposal in [proven] if proven else proposals:
        lines = tuple(f"{key} = {toml_text(text)}" for key, text in proposal.lines)
        section = column_section(proposal.table, proposal.column)
        yield Block(section, lines, _why(proposal), choice=proven is None)


def _is_proven(proposal: Proposal) -> bool:
    """Whether without these lines rows would stay behind, and with them each value arrives as itself."""
    return proposal.frees > 0 and not proposal.leaves and proposal.exact


def _why(proposal: Proposal) -> str:
    without = f"; {counted(proposal.frees, 'row')} would stay behind without it" if proposal.frees else ""
    with_it = f"; {counted(proposal.leaves, 'row')} would stay behind with it" if proposal.leaves else ""
    return f"{proposal.table}.{proposal.column}: {proposal.why}{without}{with_it}."


def may_stay(tables: Sequence[Table], profiles: Mapping[str, TableProfile]) -> Iterator[Exclusion]:
    """Tables that a person may want to leave behind."""
    referred = referred_to(tables)
    for table in tables:
        why = why_left_behind(table.name)
        if why and folded(table.name) not in referred:
            yield Exclusion(table.name, profiles[table.name].rows, why, choice=True)


def remarks_for(schema: SourceSchema) -> Iterator[str]:
    """What is left out or waits without a line of configuration."""
    for left in schema.left_out:
        yield f"{left.kind} {left.name} is left out: {left.reason}."
    for waiting in schema.waiting:
        yield f"table {waiting.name} waits: {waiting.reason}. To take it up: {waiting.remedy}."
