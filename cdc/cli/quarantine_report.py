"""What waits in quarantine as `cdc quarantine list` prints it: an operator corrects causes, not rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from cdc.cli.output import held_back_text, indented, say, shortened, show
from cdc.facts.counted import counted
from cdc.facts.row_key import show_key, shown_key
from cdc.postgres.record.quarantine import QuarantinedRow
from cdc.sql_names import heading
from cdc.stream.quarantine_causes import FedTable, HeldCause, causes, followed_by

MOST_KEYS: Final = 10  # of one cause; --json names them all
_SHOWN_PLACES: Final = 5


def print_causes(rows: Sequence[QuarantinedRow], fed: Mapping[str, FedTable]) -> None:
    """The causes, those of most rows first."""
    found = causes(rows, fed)
    if not found:
        say("the quarantine is empty")
        return
    followers = sum(len(cause.followers) for cause in found)
    say(held_back_text(len(found), len(rows), followers))
    for number, cause in enumerate(found, 1):
        say()
        show(indented(f"{number}  {_places([_place(row) for row in cause.rows])}: {cause.text}", 0))
        for line in _details(cause, fed):
            show(indented(line, 3))
        for line in _to_paste(cause):
            show(indented(line, 5))
    if any(cause.choices for cause in found):
        say()
        say("`cdc plan` tries such lines with every value, and knows types that hold them all")


def _place(row: QuarantinedRow) -> str:
    return f"{row.source_table}.{row.column_name}" if row.column_name else row.source_table


def _places(names: Sequence[str]) -> str:
    several = list(dict.fromkeys(names))
    more = f" and {len(several) - _SHOWN_PLACES:,} more" if len(several) > _SHOWN_PLACES else ""
    return ", ".join(several[:_SHOWN_PLACES]) + more


def _details(cause: HeldCause, fed: Mapping[str, FedTable]) -> Iterator[str]:
    since = f"{min(row.first_seen for row in cause.rows):%Y-%m-%d %H:%M:%S} UTC"
    one_table = len({row.source_table for row in cause.rows}) == 1
    keys = list(dict.fromkeys(_shown(row, fed, with_table=not one_table) for row in cause.rows[:MOST_KEYS]))
    more = f" and {len(cause.rows) - MOST_KEYS:,} more, see --json" if len(cause.rows) > MOST_KEYS else ""
    yield f"{counted(len(cause.rows), 'row')} since {since}: {', '.join(keys)}{more}"
    if cause.followers:
        tables = _places([row.source_table for row in cause.followers])
        wait = "waits" if len(cause.followers) == 1 else "wait"
        known = sum(row.acknowledged_at is not None for row in cause.followers)
        said = f" ({known:,} acknowledged)" if known else ""
        told = f"{counted(len(cause.followers), 'row')} in {tables}{said} {wait} for nothing but these"
        yield f"{told}: the parent row waits in quarantine too, and they follow by themselves"
    yield f"remedy: {cause.remedy}"


def _shown(row: QuarantinedRow, fed: Mapping[str, FedTable], *, with_table: bool) -> str:
    table = f"{row.source_table} " if with_table else ""
    there = fed.get(row.source_table)
    key = shown_key(row.key, row.source_table, there.mapped.source.key.columns if there else ())
    return f"{table}{shortened(key)}{' (acknowledged)' if row.acknowledged_at else ''}"


def _to_paste(cause: HeldCause) -> Iterator[str]:
    """What could stand in the configuration; a second line for a key is a comment, so that all of it can be pasted."""
    if not cause.choices:
        return
    first, *others = next(iter(cause.choices.values()))
    yield heading(*first.section)
    yield f"{first.lines[0]}  # {first.effect}"
    for choice in others:
        yield f"# or {choice.lines[0]}  # {choice.effect}"
    if len(cause.choices) > 1:
        yield f"# and likewise for {_places([f'{t}.{c}' for t, c in list(cause.choices)[1:]])}"


def as_json(rows: Sequence[QuarantinedRow], fed: Mapping[str, FedTable]) -> dict[str, Any]:
    """Every row, and the causes with the numbers that rows name; its keys are a contract."""
    found = causes(rows, fed)
    of_row = {
        (row.source_table, row.key): number
        for number, cause in enumerate(found, 1)
        for row in (*cause.rows, *cause.followers)
    }
    parents = followed_by(rows, fed)
    return {
        "rows": [
            {
                **asdict(row),
                "shown_key": show_key(row.key),
                **{name: _time(getattr(row, name)) for name in ("first_seen", "last_seen", "acknowledged_at")},
                "cause": of_row[row.source_table, row.key],
                "waits_for_row": _named(parents.get((row.source_table, row.key))),
            }
            for row in rows
        ],
        "causes": [
            {
                "text": cause.text,
                "remedy": cause.remedy,
                "rows": len(cause.rows),
                "followers": len(cause.followers),
                "choices": [asdict(choice) for choices in cause.choices.values() for choice in choices],
            }
            for cause in found
        ],
    }


def _named(row: tuple[str, str] | None) -> dict[str, str] | None:
    return {"table": row[0], "key": row[1], "shown_key": show_key(row[1])} if row else None


def _time(at: datetime | None) -> str | None:
    return at.isoformat(timespec="milliseconds") if at is not None else None
