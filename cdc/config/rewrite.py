"""Choices written into the configuration file: all or none, and the file as it was stays beside it."""

import os
import tomllib
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Final

from cdc.config.edit import with_lines
from cdc.config.load import decode_config
from cdc.errors import ConfigError
from cdc.sql_names import heading

_MARK: Final = "\ufeff"  # some editors begin a file with it


def rewrite(path: Path, additions: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Path:
    """Add lines to sections of the file, and return the path of the copy of what it was.

    Raises `ConfigError` when a key has another value there, or the file cannot be written: it is as it was then.
    """
    try:
        old = path.read_bytes()
        text = old.decode("utf-8")
        bare = text.removeprefix(_MARK)
        new = bare
        for section, lines in additions:
            new = _added(path, new, section, lines)
        decode_config(tomllib.loads(new), str(path))
        return _replace(path.resolve(), old, (text[: len(text) - len(bare)] + new).encode())
    except OSError as error:
        raise ConfigError(
            f"nothing can be added to the configuration file {path}: {error.strerror}",
            remedy="let this user write that file and its folder, or add the lines yourself: `cdc plan` shows them",
        ) from None


def _added(path: Path, text: str, section: Sequence[str], lines: Sequence[str]) -> str:
    try:
        return with_lines(text, section, lines)
    except ValueError as reason:
        raise ConfigError(
            f"{path} cannot take `{', '.join(lines)}`: {reason}",
            remedy=f"change {heading(*section)} yourself, then look again with `cdc plan`",
        ) from None


def _replace(file: Path, old: bytes, new: bytes) -> Path:
    """Whoever reads the file finds all of the old or all of the new one; both with the permissions that it has."""
    mode = file.stat().st_mode & 0o777
    names = (file.with_name(f"{file.name}.old{number or ''}") for number in count())
    copy = next(name for name in names if not name.exists())
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        _write(copy, old, mode)
        _write(partial, new, mode)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return copy


def _write(file: Path, content: bytes, mode: int) -> None:
    # Its own from the start: a configuration may hold a password.
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode & 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(handle)
        os.fchmod(handle, mode)
