"""The catalogue of the audit trail is closed: what the sources record is in it, and it has nothing else."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cdc.audit.actions import ACTIONS, STEP_DETAILS, ActionKind, is_step
from cdc.audit.check import ACCEPT, BROKEN, TRIM

PACKAGE: Final = Path(__file__).parents[3] / "cdc"

# Functions that record, and the place of the action among their arguments.
RECORDING: Final = {
    "audited": 1,
    "_audited_where_possible": 1,
    "_serve": 1,
    "record": 1,
    "audit": 0,
    "_audit": 0,
    "entry": 0,
    "entries_about": 0,
    "tell": 0,
    "AuditEntry": 2,
}
NAMES: Final = {"TRIM": TRIM, "ACCEPT": ACCEPT, "BROKEN": BROKEN}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every action that the sources record, with the call."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                action = dict(enumerate(node.args)).get(RECORDING.get(name, -1))
                if isinstance(action, ast.Constant) and isinstance(action.value, str):
                    yield action.value, node
                elif isinstance(action, ast.Name) and action.id in NAMES:
                    yield NAMES[action.id], node


def details(call: ast.Call) -> set[str]:
    """The names of details that a call writes out."""
    found = {keyword.arg for keyword in call.keywords if keyword.arg}
    for node in ast.walk(call):
        if isinstance(node, ast.Dict):
            found |= {key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return found - {"until_idle"}


def test_what_is_recorded_is_in_the_catalogue() -> None:
    assert {action for action, _ in calls()} == ACTIONS.keys()


def test_details_that_are_recorded_are_in_the_catalogue() -> None:
    for action, call in calls():
        assert details(call) <= ACTIONS[action].details.keys(), action


def test_every_action_and_every_detail_says_what_it_means() -> None:
    for name, action in ACTIONS.items():
        assert action.means, name
        assert all(action.details.values()), name
        assert action.kind is not ActionKind.STEP or action.details.keys() >= STEP_DETAILS.keys()


def test_an_action_of_a_later_version_is_taken_for_a_step() -> None:
    assert is_step("something new")
    assert is_step("load")
    assert not is_step("batch")
    assert not is_step("trim")
