"""For Python applications: where reads and writes go now, by the JSON file that `cdc flag` and the cutover set.

    from cdc.flag import Flag

    flag = Flag("/srv/app/flag.json")
    ...
    connection = postgres() if flag.reads_from_postgres else sqlite()

Nothing but the standard library is imported, and nothing of this package: the file may be copied into an application.
A question costs one `stat` while the file stays the same, and any thread may ask.

What holds while the file tells nothing:

- It is not there and never was since this process began: SQLite. So an application can ask before the move begins.
- It is there and cannot be read or understood, from the first question on: `FlagUnreadable`. Either answer could be the
  wrong database.
- It was read before, and is gone or cannot be understood now: what it said last. A switch that was made is not taken
  back by a full disk or a folder that is away.
"""

import json
import os

SQLITE = "sqlite"
POSTGRES = "postgres"


class FlagUnreadable(Exception):
    """The file is there and tells nothing, and it was never read before."""


def decode(content: bytes) -> tuple[str, str]:
    """Where reads and writes go, each "sqlite" or "postgres", as a flag file says; raises `ValueError`."""
    told = json.loads(content)
    if not isinstance(told, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 (one error for whatever the file holds)
    reads, writes = told.get("reads"), told.get("writes")
    for name, side in (("reads", reads), ("writes", writes)):
        if side not in (SQLITE, POSTGRES):
            raise ValueError(f'"{name}" is neither "{SQLITE}" nor "{POSTGRES}"')
    if writes == POSTGRES and reads == SQLITE:
        raise ValueError("writes never go to Postgres before reads do")
    return str(reads), str(writes)


def encode(reads: str, writes: str, changed_at: str) -> bytes:
    """The content of a flag file; `changed_at` is for people."""
    return json.dumps({"reads": reads, "writes": writes, "changed_at": changed_at}).encode() + b"\n"


class Flag:
    """The flag in one file. A question raises `FlagUnreadable`, see above, and nothing else."""

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self._path = os.fspath(path)
        # The file as it was read, and what it said; set as one, so that no thread sees the halves of two.
        self._known: tuple[tuple[int, int, int], tuple[str, str]] | None = None

    @property
    def reads_from_postgres(self) -> bool:
        """Whether reads go to Postgres now."""
        return self._now()[0] == POSTGRES

    @property
    def writes_to_postgres(self) -> bool:
        """Whether writes go to Postgres now."""
        return self._now()[1] == POSTGRES

    def _now(self) -> tuple[str, str]:
        known = self._known
        try:
            found = _signature(os.stat(self._path))  # noqa: PTH116 (`pathlib` takes longer to import than all of this)
            if known is None or known[0] != found:
                self._known = known = self._read()
        except FileNotFoundError:
            return known[1] if known else (SQLITE, SQLITE)
        except (OSError, ValueError) as error:
            if known is None:
                raise FlagUnreadable(f"the flag file {self._path} cannot be read: {error}") from error
        return known[1]

    def _read(self) -> tuple[tuple[int, int, int], tuple[str, str]]:
        with open(self._path, "rb") as file:  # noqa: PTH123
            return _signature(os.fstat(file.fileno())), decode(file.read())


def _signature(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mtime_ns, found.st_ino, found.st_size


_flags: dict[str, Flag] = {}


def reads_from_postgres(path: "str | os.PathLike[str]") -> bool:
    """Whether reads go to Postgres now, by the flag file at `path`; raises `FlagUnreadable`."""
    return _flags.setdefault(os.fspath(path), Flag(path)).reads_from_postgres


def writes_to_postgres(path: "str | os.PathLike[str]") -> bool:
    """Whether writes go to Postgres now, by the flag file at `path`; raises `FlagUnreadable`."""
    return _flags.setdefault(os.fspath(path), Flag(path)).writes_to_postgres
