"""Pages that are a list of what the program knows of itself, or have one in them."""

import itertools
from collections.abc import Sequence
from typing import Final, get_args

import rooms
from page_parts import FOLDER, NOTICE, own_block, table, with_parts

from cdc.audit.actions import ACTIONS, STEP_DETAILS, Action, ActionKind
from cdc.config.sections import Format
from cdc.observe.metric_catalogue import CATALOGUE as METRICS
from cdc.shadow.causes import CAUSES
from cdc.values.family import Format as ValueFormat
from cdc.values.outcomes import OUTCOMES
from cdc.values.registry import FORMATS, PROMISES

_KINDS: Final = {
    ActionKind.STEP: "Steps that somebody took:",
    ActionKind.ROUTINE: "What the daemon does with rows all day:",
    ActionKind.TRAIL: "About the trail itself; these are not copied to the other place:",
}
# Types that the operator's own migrations made, which have no name that is known beforehand.
_OTHER_TYPES: Final = (
    (
        "arrays of numbers, `boolean`, `text`, `varchar`, `uuid`, `inet`, dates and times",
        "JSON arrays (`[1, null]`), or arrays as Postgres writes them (`{1,NULL}`), of what their elements take",
        'arrays in arrays; a JSON object; `["1"]` in `integer[]`',
    ),
    ("enums", "their labels", "other texts"),
    ("domains", "what their base takes", "what their CHECK refuses"),
)
_CAUSES_INTRODUCTION: Final = (
    "[Shadow reads](shadow-queries.md) name the likely cause of each difference. Where a query is known, the cause is "
    "found by trying the remedy; else two values point to it. Look with `cdc verify` first: where rows "
    "differ, mend those."
)


def audit_page() -> str:
    """The page of the audit trail with the list of actions as it is now."""
    return with_parts("audit.md", {"actions": _actions()})


def metrics_page() -> str:
    """The page of metrics with the list of them as it is now."""
    rows = [(f"`{m.name}`", m.kind.value, ", ".join(f"`{label}`" for label in m.labels), m.help) for m in METRICS]
    return with_parts("metrics.md", {"metrics": own_block(("metric", "type", "labels", "meaning"), rows)})


def types_page() -> str:
    """The page of types with what each type, each format and each outcome promises."""
    types = [(", ".join(f"`{name}`" for name in p.types), p.takes, p.refuses) for p in PROMISES]
    formats = [
        (", ".join(f"`{f.name}`" for f in alike), alike[0].reads, ", ".join(f"`{t.name}`" for t in alike[0].into))
        for alike in _alike([FORMATS[name] for name in get_args(Format)])
    ]
    outcomes = [(f"`{name}`", outcome.becomes, outcome.of_types) for name, outcome in OUTCOMES.items()]
    return with_parts(
        "types.md",
        {
            "types": own_block(("Postgres type", "takes", "not, for example"), [*types, *_OTHER_TYPES]),
            "formats": own_block(("`format`", "reads", "into"), formats),
            "outcomes": own_block(("`on_invalid`", "a value that does not fit becomes", "for"), outcomes),
        },
    )


def _alike(formats: Sequence[ValueFormat]) -> list[list[ValueFormat]]:
    """Formats that stand next to each other and differ in their unit only, as one."""
    return [list(group) for _, group in itertools.groupby(formats, key=lambda f: (f.reads, f.into))]


def causes_page() -> str:
    """The page of what differences of answers come from, and what helps."""
    rows = [(cause, meaning, remedy) for cause, (meaning, remedy) in CAUSES.items()]
    causes = table(("cause", "what is seen", "what helps"), rows)
    return f"# Why answers differ\n\n{NOTICE}\n\n{_CAUSES_INTRODUCTION}\n\n{causes}\n"


def architecture_page() -> str:
    """The page of the architecture with a paragraph a room, as the rooms are now; the picture is `rooms.picture`."""
    return rooms.with_paragraphs((FOLDER / "architecture.md").read_text(encoding="utf-8"))


def _actions() -> str:
    parts = []
    for kind, words in _KINDS.items():
        rows = [
            (f"`{name}`", action.means, "; ".join(f"`{key}`: {means}" for key, means in _own(action).items()))
            for name, action in ACTIONS.items()
            if action.kind is kind
        ]
        parts += [words, table(("action", "means", "details"), rows)]
    everywhere = "; ".join(f"`{key}`: {means}" for key, means in STEP_DETAILS.items())
    return "\n\n".join(["", *parts, f"The details of every step may have as well: {everywhere}.\n"])


def _own(action: Action) -> dict[str, str]:
    return {
        key: means
        for key, means in action.details.items()
        if key not in STEP_DETAILS or action.kind is not ActionKind.STEP
    }
