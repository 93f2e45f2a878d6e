"""SQLite's errors in our words: what was being done, why it failed, and what helps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from cdc.errors import SourceBusy, SourceError, SourceFull, SourceUnavailable

UNAVAILABLE: Final = (
    apsw.CantOpenError,
    apsw.NotADBError,
    apsw.CorruptError,
    apsw.IOError,
    apsw.PermissionsError,
    apsw.ReadOnlyError,
    apsw.FormatError,
)


def no_tables(path: Path) -> SourceUnavailable:
    """What is said about a database without a table to replicate, as one of zero bytes is."""
    return SourceUnavailable(
        f"SQLite file {path} has no table to replicate",
        remedy="start the application once, so that it makes its tables; else name its right file, or correct `tables` "
        "and `exclude` in [replicate]",
    )


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns errors of SQLite into `SourceError` and its kinds; messages begin with `what`."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise SourceBusy(
            f"{what} is locked by another connection: {error}",
            remedy="nothing if it passes; otherwise find the process that holds a transaction open, or keeps others "
            "out with `PRAGMA locking_mode = EXCLUSIVE`, which an application that is replicated has to do without",
        ) from error
    except (apsw.NotADBError, apsw.FormatError) as error:
        raise no_database(what) from error
    except apsw.FullError as error:
        raise SourceFull(
            f"{what}: there is no room left on the disk", remedy="free space where that file lies; nothing is lost"
        ) from error
    except apsw.CorruptError as error:
        raise SourceUnavailable(
            f"{what}: the SQLite file is damaged: {error}",
            remedy="check it with `PRAGMA integrity_check` and restore a good copy",
        ) from error
    except UNAVAILABLE as error:
        raise SourceUnavailable(
            f"{what}: the SQLite file cannot be opened or used: {error}",
            remedy="check that the file, its folder and their permissions are as the application needs them",
        ) from error
    except apsw.Error as error:
        raise SourceError(
            f"{what}: SQLite refuses: {error}", remedy="see the reason; the file was left as it was"
        ) from error


def not_set_up(path: Path) -> SourceError:
    """The error of a file that carries no capture and never did."""
    return SourceError(f"{path} is not set up for replication", remedy="run `cdc up`")


def no_database(what: str) -> SourceUnavailable:
    """The error of a file that holds something else."""
    return SourceUnavailable(
        f"{what} is not a SQLite database, or is encrypted",
        remedy="name the application's database file (`path` in [source]); an encrypted one cannot be read",
    )
