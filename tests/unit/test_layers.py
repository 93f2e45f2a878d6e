"""Imports go down only, equals never meet, each big library has its room. Sources are parsed: lazy imports count."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "cdc"

# From the ground up. Rooms of one line are equals, and know nothing of each other.
ROOMS = """
errors sql_names resources flag threads
host retry pages
config log faults
facts
canonical values audit target legacy
mapping notes
sqlite.connection postgres.connection
sqlite.rows postgres.server
sqlite.schema postgres.tables
sqlite.capture sqlite.snapshot sqlite.apply postgres.translate postgres.record
sqlite.changelog postgres.ddl postgres.outbox
postgres.apply sqlite.fence
identity
evolve observe
first_copy verify
reverse proposals tombstones
stream
shadow
shadow.proxy
cutover.flag
cutover
rehearsal
ending
report
daemon
demo
cli
__main__
"""
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS.split("\n")) for room in rooms.split()}
MOST_FLAT_FILES = 10

# The only rooms that may import a library. Two by design: SQL is translated for one engine and read for what it looks
# up in the other; and the comparison asks JSON Schema itself.
KEPT_IN = {
    "apsw": {"sqlite"},
    "sqlite3": {"sqlite"},
    "watchdog": {"sqlite.connection"},
    "asyncpg": {"postgres"},
    "sqlglot": {"postgres.translate", "sqlite.rows"},
    "prometheus_client": {"observe"},
    "jsonschema_rs": {"values", "canonical"},
    "tenacity": {"retry"},
    "apachelogs": {"shadow"},
    "jsonpath_rfc9535": {"shadow"},
    "selectolax": {"shadow"},
    "aiohttp": {"shadow"},
    "multidict": {"shadow.proxy"},
    "yarl": {"shadow"},
    "jinja2": {"pages"},
    "click": {"cli"},
    "rich": {"cli"},
}
# The comparison's opinion is worth something because it shares nothing with what it judges.
MAY_IMPORT_ALONE = {"canonical": {"canonical", "facts"}, "facts": {"facts"}, "target": {"target", "facts"}}


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imports(source: str) -> Iterator[str]:
    """The modules that a source imports, wherever it does so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the module in full"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in MODULES else str(node.module)


IMPORTS = {module: set(imports(file.read_text(encoding="utf-8"))) for module, file in MODULES.items()}


def room_of(module: str) -> str:
    """The room that a module of ours stands in, empty for the package itself and for the two that only hold rooms."""
    parts = module.split(".")[1:]
    while parts and ".".join(parts) not in FLOOR:
        parts.pop()
    return ".".join(parts)


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == "cdc"


def test_every_module_stands_in_a_room() -> None:
    without = {module for module in MODULES if not room_of(module)}
    assert without == {"cdc", "cdc.sqlite", "cdc.postgres"}, "add the others to the list"


def test_a_module_imports_from_its_own_room_and_from_lower_floors() -> None:
    pairs = [(module, imported) for module in MODULES for imported in filter(is_ours, IMPORTS[module])]
    assert [f"{module} imports {imported}" for module, imported in pairs if not leads_down(module, imported)] == []


def leads_down(module: str, imported: str) -> bool:
    room, other = room_of(module), room_of(imported)
    from_below = other == room or FLOOR.get(other, 0) < FLOOR.get(room, 0)
    return from_below and other in MAY_IMPORT_ALONE.get(room, {other})


def test_no_import_leads_back() -> None:
    ours = {module: set(filter(is_ours, found)) - {module} for module, found in IMPORTS.items()}
    graphlib.TopologicalSorter(ours).prepare()  # raises CycleError, which names the modules


def test_a_library_stays_in_its_room() -> None:
    pairs = [(module, imported) for module, found in IMPORTS.items() for imported in found]
    assert [f"{module} imports {imported}" for module, imported in pairs if not at_home(module, imported)] == []


def at_home(module: str, imported: str) -> bool:
    homes = KEPT_IN.get(imported.partition(".")[0])
    inside = module.removeprefix("cdc.")
    return homes is None or any(inside == home or inside.startswith(f"{home}.") for home in homes)


def test_every_rule_has_something_that_it_is_about() -> None:
    assert set(FLOOR) == {room_of(module) for module in MODULES} - {""}
    used = {imported.partition(".")[0] for found in IMPORTS.values() for imported in found}
    assert set(KEPT_IN) <= used
    homes = {home for rooms in KEPT_IN.values() for home in rooms}
    assert all(any(m == f"cdc.{home}" or m.startswith(f"cdc.{home}.") for m in MODULES) for home in homes)


def test_every_room_says_what_it_owns() -> None:
    for module, file in MODULES.items():
        if file.name == "__init__.py" and module != "cdc":
            words = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            assert "\n\n" in words, f"{module} does not say what it owns, and what may come in"


def test_few_files_lie_outside_of_rooms() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_FLAT_FILES


def test_a_class_name_stands_for_one_thing() -> None:
    homes: dict[str, str] = {}
    for module, file in MODULES.items():
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                assert node.name not in homes, f"{node.name} is in {homes[node.name]} and in {module}"
                homes[node.name] = module


def test_the_check_sees_an_import_within_a_function() -> None:
    found = set(imports("def f():\n    from cdc.daemon import service\n    import cdc.cli.run\n"))
    assert found == {"cdc.daemon.service", "cdc.cli.run"}
    assert [room_of(i) for i in sorted(found)] == ["cli", "daemon"]
