"""From findings to what there is to decide: those with the same wrong are one, rows that only follow are none. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from cdc.facts.cause import KINDS, Cause, Kind, Place
from cdc.facts.proposal import Proposal
from cdc.facts.risk import Risk
from cdc.facts.source_schema import WaitingTable
from cdc.mapping.remedies import choice_of

_NAMELESS: Final = "..."
_ROWS: Final = re.compile(r"\b\d[\d,]* rows?\b")
_NUMBER: Final = re.compile(r"\b\d[\d,]*\b")


def causes(
    risks: Iterable[Risk],
    waiting: Iterable[WaitingTable],
    frees: Mapping[str, int],
    proposals: Iterable[Proposal] = (),
) -> tuple[Cause, ...]:
    """What there is to decide, in the order of `KINDS`, then the causes that hold back the most rows first.

    `frees` says by cause how many rows come when it alone is gone. Notes are nothing to decide. Of the proposals those
    come, as choices, without which every row arrives as well.
    """
    groups: dict[tuple[Kind, str], list[Risk]] = {}
    for risk in risks:
        if risk.level != "note" and not risk.follows:
            groups.setdefault((risk.level, alike(risk)), []).append(risk)
    for table in waiting:
        risk = Risk(table.name, "", "note", table.reason, table.remedy)
        groups.setdefault(("waiting", alike(risk)), []).append(risk)
    found = [_cause(kind, text, group, frees) for (kind, text), group in groups.items()]
    found += _mere_choices(proposal for proposal in proposals if not proposal.frees and not proposal.leaves)
    return tuple(sorted(found, key=lambda cause: (KINDS.index(cause.kind), -cause.frees, -cause.rows)))


def alike(risk: Risk) -> str:
    """What is wrong, the same words for every table that has it."""
    return risk.cause or _alike(risk.text, risk)


def alike_remedy(risk: Risk) -> str:
    """What helps, the same words for every table."""
    return _alike(risk.remedy, risk)


def _alike(text: str, risk: Risk) -> str:
    named = {risk.table: "table"} | {risk.column: "column"}  # one name for both is that of the column
    for name in sorted(named.keys() - {""}, key=len, reverse=True):
        text = _nameless(text, name, named[name])
    return _NUMBER.sub(_NAMELESS, _ROWS.sub("rows", text))


def _nameless(text: str, name: str, what: str) -> str:
    """The text with other words for a name: `no such table`, `its table`, whatever schema stands before it."""
    schema = r'(?:"?\w+"?\.)?' if what == "table" else ""
    own = rf'(?<![\w"]){schema}"?{re.escape(name)}"?(?!\w)'
    text = re.sub(rf"\bno {what} {own}", f"no such {what}", text)
    return re.sub(rf"(?:\b{what} )?{own}", f"its {what}", text)


def _cause(kind: Kind, text: str, group: Sequence[Risk], frees: Mapping[str, int]) -> Cause:
    places = tuple(Place(r.table, r.column, r.rows, r.keys, r.remedy, r.choices, r.what) for r in group)
    # One place is told in its own words, with the names in them.
    told = group[0].text if len(group) == 1 and not group[0].cause else text
    return Cause(kind, told, places, frees.get(text, 0))


def _mere_choices(proposals: Iterable[Proposal]) -> Iterator[Cause]:
    """Columns that could say the same, together."""
    groups: dict[tuple[str, ...], dict[tuple[str, ...], Place]] = {}
    for proposal in proposals:
        choice = choice_of(proposal)
        column = groups.setdefault(choice.lines, {})
        column.setdefault(
            choice.section, Place(proposal.table, proposal.column, remedy=proposal.why, choices=(choice,))
        )
    for lines, places in groups.items():
        yield Cause("choice", f"could have {', '.join(lines)}", tuple(places.values()))
