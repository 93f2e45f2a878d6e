"""Imports go down only, and each driver stays in its folder. The sources are parsed, so a lazy import counts too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "cdc"

# A module may import what stands lower, and what shares its folder. Longer names win.
LAYERS = {
    "cdc": 0,
    "cdc.errors": 0,
    "cdc.sql_names": 0,
    "cdc.resources": 0,
    "cdc.host.boot": 0,
    "cdc.facts.changes": 1,
    "cdc.facts.row_key": 1,
    "cdc.config": 1,
    "cdc.log": 1,
    "cdc.faults": 1,
    "cdc.host.private_files": 1,
    "cdc.host.systemd": 1,
    "cdc.observe.daemon_state": 1,
    "cdc.mapping": 2,
    "cdc.mapping.check": 2,
    "cdc.mapping.target_limits": 2,
    "cdc.values.text": 2,
    "cdc.values.by_type": 2,
    "cdc.values.encoder": 2,
    "cdc.values.number": 2,
    "cdc.values.formats": 2,
    "cdc.values.json_schema": 2,
    "cdc.values.sizes": 2,
    "cdc.values.user_functions": 2,
    "cdc.values.converter": 2,
    "cdc.mapping.known": 2,
    "cdc.retry": 2,
    "cdc.mapping.type_names": 2,
    "cdc.audit.actions": 1,
    "cdc.audit.chain": 1,
    "cdc.audit.check": 1,
    "cdc.audit.segments": 2,
    "cdc.audit": 2,
    "cdc.notes.pause_note": 2,
    "cdc.notes.end_note": 2,
    "cdc.sqlite": 3,
    "cdc.postgres": 3,
    "cdc.stream": 4,
    "cdc.stream.session": 4,
    "cdc.stream.pull": 4,
    "cdc.stream.open": 4,
    "cdc.evolve.follow": 4,
    "cdc.identity.continuity": 4,
    "cdc.stream.row_counts": 4,
    "cdc.stream.relief": 4,
    "cdc.stream.heal": 4,
    "cdc.evolve.drop_leftovers": 4,
    "cdc.evolve.views": 4,
    "cdc.postgres.record.audit_sync": 4,
    "cdc.first_copy.snapshots": 4,
    "cdc.first_copy.loader": 4,
    "cdc.evolve.detect": 4,
    "cdc.first_copy.plan": 4,
    "cdc.mapping.reversible": 2,
    "cdc.first_copy.adoption": 4,
    "cdc.first_copy.dry_run": 4,
    "cdc.first_copy.risks": 4,
    "cdc.verify": 4,
    "cdc.shadow": 4,
    "cdc.cutover": 5,
    "cdc.observe": 5,
    "cdc.daemon.watchdog": 5,
    "cdc.daemon.reload": 5,
    "cdc.daemon.stop": 4,
    "cdc.stream.resync": 4,
    "cdc.daemon.unit": 4,
    "cdc.identity.file_location": 4,
    "cdc.daemon.service": 6,
    "cdc.stream.end": 6,
    "cdc.cli": 7,
    "cdc.demo.stage": 7,
    "cdc.__main__": 7,
}

# The only places that may import a library.
KEPT_IN = {
    "apsw": "cdc.sqlite",
    "sqlite3": "cdc.sqlite",
    "watchdog": "cdc.sqlite",
    "asyncpg": "cdc.postgres",
    "tenacity": "cdc.retry",
    "click": "cdc.cli",
    "rich": "cdc.cli",
}


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the module in full"
            base = node.module or ""
            # `from cdc import service` imports a module, `from cdc.errors import CdcError` a name of one.
            yield from (f"{base}.{alias.name}" if base == "cdc" else base for alias in node.names)


def part_of(module: str) -> str:
    """The entry of the layer table that a module belongs to."""
    parts = module.split(".")
    while parts and ".".join(parts) not in LAYERS:
        parts.pop()
    return ".".join(parts)


def is_inside(module: str, folder: str) -> bool:
    return module == folder or module.startswith(f"{folder}.")


MODULES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_lower_layers(module: str) -> None:
    own = part_of(module)
    assert own != "cdc" or module == "cdc", f"{module} has no layer: add it to the table"
    for imported in imports(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if not is_inside(imported, "cdc"):
            continue
        other = part_of(imported)
        same_folder = other == own
        same_layer = LAYERS[other] == LAYERS[own] and {own, other} != {"cdc.sqlite", "cdc.postgres"}
        assert same_folder or same_layer or LAYERS[other] < LAYERS[own], f"{module} imports {imported} from above"


@pytest.mark.parametrize("module", MODULES)
def test_a_library_stays_where_it_belongs(module: str) -> None:
    for imported in imports(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        home = KEPT_IN.get(imported.partition(".")[0])
        assert home is None or is_inside(module, home), f"{module} imports {imported}, which belongs to {home}"


def test_the_two_engines_never_meet_below_the_layer_that_joins_them() -> None:
    for module, file in MODULES.items():
        found = set(imports(ast.parse(file.read_text(encoding="utf-8"))))
        if is_inside(module, "cdc.sqlite"):
            assert not any(is_inside(i, "cdc.postgres") for i in found), module
        if is_inside(module, "cdc.postgres"):
            assert not any(is_inside(i, "cdc.sqlite") for i in found), module


def test_the_check_sees_an_import_that_goes_up() -> None:
    found = set(imports(ast.parse("def f():\n    from cdc import service\n    import cdc.cli.run\n")))
    assert found == {"cdc.daemon.service", "cdc.cli.run"}
    assert [part_of(i) for i in sorted(found)] == ["cdc.cli", "cdc.daemon.service"]
