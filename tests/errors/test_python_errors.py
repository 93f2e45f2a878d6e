"""A function of the operator that cannot be used is refused before anything is written."""

import pytest
from error_assertions import refused
from installation import Installation

from cdc.errors import ExitCode


def with_function(site: Installation, python: str, code: str = "", more: str = "") -> None:
    (site.folder / "render.py").write_text(code)
    site.configure(f"[tables.t.columns.made]\npython = '{python}'\n{more}")


def refused_everywhere(site: Installation, template: str) -> str:
    """Both commands say the same; returns the error's line."""
    refused(site, ["snapshot"], template, ExitCode.CONFIG)
    return refused(site, ["plan"], template, ExitCode.CONFIG)


@pytest.mark.parametrize("python", ["render", "render:", ":html"])
def test_what_names_no_function_of_a_module(cut_off: Installation, python: str) -> None:
    with_function(cut_off, python)
    refused_everywhere(cut_off, "{section}: `python` is {name}, which is no module and function")


@pytest.mark.parametrize(
    ("python", "code", "reason"),
    [
        ("nowhere:html", "", "No module named 'nowhere'"),
        ("render:html", "def html(:", "invalid syntax (render.py, line 1)"),
        ("render:html", "import nowhere_else", "No module named 'nowhere_else'"),
        ("render:html", "raise KeyError('a secret')", "it raised KeyError"),
        ("render:html", "raise SystemExit", "it raised SystemExit"),
    ],
)
def test_a_module_that_cannot_be_imported(cut_off: Installation, python: str, code: str, reason: str) -> None:
    with_function(cut_off, python, code)
    told = refused_everywhere(cut_off, "{section}: module {module} of `python` cannot be imported: {reason}")
    assert told.endswith(reason)


@pytest.mark.parametrize("code", ["", "html = '<p>'", "async def html(v): ..."])
def test_a_name_that_is_no_function(cut_off: Installation, code: str) -> None:
    with_function(cut_off, "render:html", code)
    refused_everywhere(cut_off, "{section}: {name} of module {module} is no function that can be called")


@pytest.mark.parametrize("parameters", ["title", "v, title", "v, *more", "v, **more", "v, /", "v, *, title"])
def test_a_parameter_that_is_no_column(cut_off: Installation, parameters: str) -> None:
    with_function(cut_off, "render:html", f"def html({parameters}): return 'x'")
    refused_everywhere(cut_off, "{section}: parameter {parameter} of {name} is no column of the table")


@pytest.mark.parametrize("parameters", ["", "title=None"])
def test_a_function_that_takes_nothing(cut_off: Installation, parameters: str) -> None:
    with_function(cut_off, "render:html", f"def html({parameters}): return 'x'")
    refused_everywhere(cut_off, "{section}: {name} takes nothing of the row")


def test_a_value_that_is_computed_twice(cut_off: Installation) -> None:
    with_function(cut_off, "render:html", "def html(v): return v", "expression = 'v'")
    refused_everywhere(cut_off, "[tables.{name}.columns.{name}]: `expression` and `python` both say what the value is")


@pytest.mark.parametrize("parameters", ["v", "V", "v, title=None", "*, v", "row", "row, v"])
def test_functions_that_can_be_called(cut_off: Installation, parameters: str) -> None:
    with_function(cut_off, "render:html", f"def html({parameters}): return 'x'")
    assert cut_off.run("plan")[0] != ExitCode.CONFIG
    assert not list(cut_off.folder.rglob("__pycache__")), "nothing is written beside the operator's own module"
