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
    "cdc.quoting": 0,
    "cdc.resources": 0,
    "cdc.machine": 0,
    "cdc.model": 1,
    "cdc.keys": 1,
    "cdc.config": 1,
    "cdc.log": 1,
    "cdc.faults": 1,
    "cdc.private": 1,
    "cdc.systemd": 1,
    "cdc.vitals": 1,
    "cdc.mapping": 2,
    "cdc.mapping_checks": 2,
    "cdc.shapes": 2,
    "cdc.text_forms": 2,
    "cdc.column_forms": 2,
    "cdc.forms": 2,
    "cdc.number_forms": 2,
    "cdc.readings": 2,
    "cdc.json_schema": 2,
    "cdc.sizes": 2,
    "cdc.python_functions": 2,
    "cdc.convert": 2,
    "cdc.decisions": 2,
    "cdc.retry": 2,
    "cdc.type_names": 2,
    "cdc.actions": 1,
    "cdc.chain": 1,
    "cdc.chain_check": 1,
    "cdc.segments": 2,
    "cdc.audit": 2,
    "cdc.pausing": 2,
    "cdc.removal": 2,
    "cdc.sqlite": 3,
    "cdc.postgres": 3,
    "cdc.stream": 4,
    "cdc.session": 4,
    "cdc.pull": 4,
    "cdc.settling": 4,
    "cdc.following": 4,
    "cdc.continuity": 4,
    "cdc.row_counts": 4,
    "cdc.relief": 4,
    "cdc.healing": 4,
    "cdc.leftovers": 4,
    "cdc.views": 4,
    "cdc.trail": 4,
    "cdc.bootstrap": 4,
    "cdc.loading": 4,
    "cdc.drift": 4,
    "cdc.plan": 4,
    "cdc.way_back": 2,
    "cdc.adoption": 4,
    "cdc.rehearsal": 4,
    "cdc.risks": 4,
    "cdc.parity": 4,
    "cdc.shadow": 4,
    "cdc.cutover": 5,
    "cdc.observe": 5,
    "cdc.pulse": 5,
    "cdc.reload": 5,
    "cdc.stopping": 4,
    "cdc.resync": 4,
    "cdc.unit": 4,
    "cdc.whereabouts": 4,
    "cdc.service": 6,
    "cdc.ending": 6,
    "cdc.cli": 7,
    "cdc.demo": 7,
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
    assert found == {"cdc.service", "cdc.cli.run"}
    assert [part_of(i) for i in sorted(found)] == ["cdc.cli", "cdc.service"]
