"""SQL statements by name, from the files in `sql/`: each is headed by `-- name: x` and then by its reason."""

import functools
import re
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parents[1] / "sql"
_HEADER: Final = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)


@functools.cache
def load(file: str) -> dict[str, str]:
    """The statements of `sql/FILE.sql` by name; raises `ValueError` when a name stands there twice."""
    _, *parts = _HEADER.split((_FOLDER / f"{file}.sql").read_text(encoding="utf-8"))
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{file}.sql names a statement twice")
    return {name: body.strip() for name, body in zip(names, bodies, strict=True)}
