"""Templates filled with values. `base.html` has the look; a template of a room extends it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jinja2

_SHARED: Final = Path(__file__).parent / "templates"


class Unrenderable(Exception):
    """The values are not those that the template was written for."""


def rendered(template: Path, values: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]]) -> str:
    """The page that a template makes of values; every text of users is escaped.

    Raises `Unrenderable` for values that are missing or of another kind than it needs.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, _SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters
    try:
        return environment.get_template(template.name).render(values)
    except (jinja2.UndefinedError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Unrenderable(str(error)) from error
