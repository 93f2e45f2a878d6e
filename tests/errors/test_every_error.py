"""Every error that the sources can raise is provoked by a test in this folder, and no message has two places."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from error_catalogue import CLASSES, PACKAGE, error_sites, literals

FOLDER = Path(__file__).parent

# Errors that no test can provoke from outside, each with its reason.
OUT_OF_REACH: dict[str, str] = {
    "the schema of the SQLite file changed": "the daemon settles it by itself and goes on; nobody reads these words",
    "the SQLite file {path} was replaced during the comparison": "only within the moments of one comparison",
    "changes were applied and pruned while the comparison was reading": "`cdc verify` begins again by itself",
    "the application of the demo ended by itself": "its own program would have to be broken",
    "the daemon of the demo does not get on": "its own program would have to be broken",
}

# Modules whose errors are not provoked yet.
PENDING = (
    "cdc.postgres.connection",
    "cdc.postgres.embedded",
    "cdc.postgres.target",
    "cdc.postgres.unprivileged",
)

SITES = error_sites()
JUDGED = [site for site in SITES if site.module not in PENDING]


def provoked() -> set[str]:
    """The texts in tests of this folder that ask for a refusal, decorators included."""
    return {text for file in FOLDER.glob("test_*.py") for text in _texts(ast.parse(file.read_text("utf-8")))}


def _texts(tree: ast.Module) -> Iterator[str]:
    for test in tree.body:
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_"):
            nodes = list(ast.walk(test))
            if any(isinstance(n, ast.Name) and n.id.startswith(("refused", "said", "logged")) for n in nodes):
                yield from (n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


def test_every_error_is_provoked_or_says_why_it_cannot_be() -> None:
    missing = {site.message for site in JUDGED} - provoked() - OUT_OF_REACH.keys()
    assert not missing


def test_what_is_called_out_of_reach_exists_is_not_provoked_and_has_a_reason() -> None:
    assert OUT_OF_REACH.keys() <= {site.message for site in SITES}
    assert not OUT_OF_REACH.keys() & provoked()
    assert all(len(reason) > 20 for reason in OUT_OF_REACH.values())


def test_only_modules_with_errors_are_pending() -> None:
    assert set(PENDING) <= {site.module for site in SITES}


def test_a_message_has_one_place_in_the_sources() -> None:
    assert [text for text, times in Counter(site.message for site in JUDGED).items() if times > 1] == []


@pytest.mark.parametrize("site", JUDGED, ids=lambda site: f"{site.module}:{site.line}")
def test_a_message_says_something_and_has_a_remedy(site: object) -> None:
    found = next(s for s in JUDGED if s is site)
    assert len(literals(found.message)) >= 8, found.message
    assert len(literals(found.remedy)) > 5, found.message


# What is raised and is no error of the command line: caught where it matters, or a fault of this program.
INTERNAL = {
    "Unfit": "a value that cannot be stored exactly; its row goes to quarantine",
    "Untranslatable": "SQL that has no equal in Postgres; told by `cdc plan`",
    "_TooMuch": "a read that is larger than its budget and is made smaller",
    "Terminated": "SIGTERM",
    "KeyError": "a name that the program itself got wrong",
    "TypeError": "a type that the program itself got wrong",
    "ValueError": "a value that the program itself got wrong, or that its caller turns into words",
}


def test_only_known_kinds_are_raised() -> None:
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                name = ast.unparse(node.exc).partition("(")[0].rpartition(".")[2]
                assert name in {*CLASSES, *INTERNAL, *MAKERS, *KEPT}, f"{file}:{node.lineno}: {name}"


KEPT = ("error", "pop")  # an error that was caught and kept


def makers(tree: ast.Module) -> set[str]:
    """The functions of a module that make an error for others to raise."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {f.name for f in functions if isinstance(f.returns, ast.Name) and f.returns.id in CLASSES}


MAKERS = {name for file in PACKAGE.rglob("*.py") for name in makers(ast.parse(file.read_text("utf-8")))}
