"""Faults put back on purpose, and the generator that has to find each: a test that cannot fail proves nothing.

`python -m tests.property.mutations` puts back one after the other and tells which workload found it, or that none did.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(path) for path in (_HERE, _HERE.parent) if str(path) not in sys.path]

import apsw
import asyncpg
import pytest
from backlogs import run_backlogs
from fast_folder import fast_folder
from late_types import run_late_types
from loguru import logger
from replicas import Found, Place, Weaken, run_workload

from cdc.errors import CdcError
from cdc.facts.changes import Position, Round
from cdc.postgres.apply import direct, staged
from cdc.postgres.apply.stage_sql import AppliedTable
from cdc.postgres.server import embedded
from cdc.sql_names import quote
from cdc.sqlite.capture import triggers
from cdc.sqlite.capture.index_values import Foreseen
from cdc.sqlite.changelog.source import Source
from cdc.stream import outgrown

Patch = Callable[[pytest.MonkeyPatch, str], None]


@dataclass(frozen=True)
class Mutation:
    """A fault: what it breaks in the program or in the file, and how many workloads may pass before one finds it."""

    promise: str
    patch: Patch = lambda _patched, _dsn: None
    weaken: Weaken | None = None
    backlogs: bool = False  # which generator has to find it: backlogs, or
    late: bool = False  # late types, or workloads
    portable: bool = True  # of the workloads
    most: int = 300

    async def run(self, place: Place, seed: int) -> Found | None:
        """What the seed finds; whoever calls has put the fault back."""
        if self.backlogs:
            return await run_backlogs(place, seed)
        if self.late:
            return await run_late_types(place, seed)
        return await run_workload(place, seed, portable=self.portable, weaken=self.weaken)


# --- Postgres ---------------------------------------------------------------------------------------------------------


def _newest_by_place(patched: pytest.MonkeyPatch, _dsn: str) -> None:
    """Take the staged row that stands last in the heap for the newest one."""

    def keep_latest(table: AppliedTable) -> str:
        key = ("_cdc_key",) if table.crosswalk else table.key
        same = " AND ".join(f"s.{quote(c)} = n.{quote(c)}" for c in key)
        return f"DELETE FROM {table.stage} AS s USING {table.stage} AS n WHERE n.ctid > s.ctid AND {same}"

    patched.setattr(AppliedTable, "keep_latest", keep_latest)


def _oldest_wins(patched: pytest.MonkeyPatch, _dsn: str) -> None:
    """Keep what was staged first of each key."""
    newest = AppliedTable.keep_latest

    def keep_latest(table: AppliedTable) -> str:
        return newest(table).replace("max(_cdc_turn)", "min(_cdc_turn)").replace(" < ", " > ")

    patched.setattr(AppliedTable, "keep_latest", keep_latest)


def _decided_without_data(patched: pytest.MonkeyPatch, _dsn: str) -> None:
    """Let the type stand that a column got when it was empty."""
    patched.setattr(staged, "outgrown_columns", lambda _table, _rejected: frozenset())


def _decided_once(patched: pytest.MonkeyPatch, _dsn: str) -> None:
    """Let the type stand that the first values decided."""
    patched.setattr(outgrown, "ENOUGH_VALUES", 1)


def _deletes_forgotten(patched: pytest.MonkeyPatch, _dsn: str) -> None:
    """Apply what is there and forget what is gone, in batches of several rounds."""

    async def nothing(*_: Any) -> bool:
        return False

    patched.setattr(staged, "stage_gone", nothing)


# --- reading ----------------------------------------------------------------------------------------------------------


def _one_marker(patched: pytest.MonkeyPatch, _dsn: str) -> None:
    """Read a table as a whole once in a batch, whatever asks for it afterwards."""
    told: set[str] = set()
    read, opened = Source.read, direct.Applier.batch

    async def once(source: Source, after: Position) -> Round:
        found = await read(source, after)
        fresh = tuple(name for name in found.rescan if name not in told)
        told.update(found.rescan)
        return replace(found, rescan=fresh)

    @asynccontextmanager
    async def begun(applier: direct.Applier, *names: Any, **how: Any) -> AsyncIterator[staged.Batch]:
        async with opened(applier, *names, **how) as one:
            yield one
        told.clear()

    patched.setattr(Source, "read", once)
    patched.setattr(direct.Applier, "batch", begun)


def _markers_unseen(patched: pytest.MonkeyPatch, _dsn: str) -> None:
    """Never read a table as a whole because an entry asks for it."""
    _rounds(patched, lambda found: replace(found, rescan=()))


def _rounds(patched: pytest.MonkeyPatch, bend: Callable[[Round], Round]) -> None:
    read = Source.read

    async def bent(source: Source, after: Position) -> Round:
        return bend(await read(source, after))

    patched.setattr(Source, "read", bent)


# --- capture ----------------------------------------------------------------------------------------------------------


def _unwatched(patched: pytest.MonkeyPatch, _dsn: str) -> None:
    """Let the daemon not see that triggers are gone."""
    patched.setattr(triggers, "damaged", lambda _connection, _capture: ())


def _expressions_alone(patched: pytest.MonkeyPatch, _dsn: str) -> None:
    """Take an index entry for untouched where its expressions are, whatever moves beside them."""
    made = Foreseen.__init__

    def without_columns(foreseen: Foreseen, *given: Any) -> None:
        made(foreseen, *given)
        foreseen._plain = ()

    patched.setattr(Foreseen, "__init__", without_columns)


def _without(suffix: str) -> Weaken:
    def weaken(application: apsw.Connection) -> None:
        found = application.execute(f"SELECT name FROM sqlite_schema WHERE name GLOB '_cdc_*_{suffix}'").fetchall()
        for (name,) in found:
            application.execute(f"DROP TRIGGER {quote(str(name))}")

    return weaken


MUTATIONS: Final[Mapping[str, Mutation]] = {
    "newest by place in the heap": Mutation("nothing lost", _newest_by_place, backlogs=True),
    "oldest staged row wins": Mutation("states never go backwards", _oldest_wins, backlogs=True),
    "deletes forgotten in batches": Mutation("a deleted row stays deleted", _deletes_forgotten),
    "second whole read ignored": Mutation("nothing lost", _one_marker, backlogs=True),
    "whole-table entries unseen": Mutation("nothing lost", _markers_unseen, backlogs=True),
    "look-up before inserts dropped": Mutation("nothing lost", _unwatched, _without("bi")),
    "look-up before updates dropped": Mutation("nothing lost", _unwatched, _without("bu")),
    "entries moved by a column unseen": Mutation("a deleted row stays deleted", _expressions_alone, portable=False),
    "entries of deletes dropped": Mutation("a deleted row stays deleted", _unwatched, _without("bd")),
    "types decided without data": Mutation("no decision without data", _decided_without_data, late=True),
    "types decided by one value": Mutation("no decision without data", _decided_once, late=True),
}
# With the first seed to try in a quick test.
QUICK: Final = {
    "newest by place in the heap": 12,
    "second whole read ignored": 4,
    "entries moved by a column unseen": 1795729964,
}


@contextmanager
def put_back(name: str, dsn: str) -> Iterator[Mutation]:
    """The program with one fault, for the time of a block."""
    mutation = MUTATIONS[name]
    with pytest.MonkeyPatch.context() as patched:
        mutation.patch(patched, dsn)
        yield mutation


async def first_found(place: Place, name: str, seeds: Iterator[int]) -> tuple[int, Found | Exception] | None:
    """The first seed that finds a fault, with what it found; None when the seeds end before."""
    with put_back(name, place.dsn) as mutation:
        for seed in seeds:
            try:
                found = await mutation.run(place, seed)
            except CdcError as error:  # a batch that fails for good was seen, too
                return seed, error
            if found is not None:
                return seed, found
    return None


async def _look(dsn: str, names: list[str], first: int) -> int:
    missed = 0
    connection = await asyncpg.connect(dsn, server_settings={"client_min_messages": "warning"})
    with fast_folder() as folder:
        for name in names:
            seeds = iter(range(first, first + MUTATIONS[name].most))
            found = await first_found(Place(Path(folder), dsn, connection), name, seeds)
            missed += found is None
            words = "NOT FOUND" if found is None else f"seed {found[0]}: {str(found[1])[:300]}"
            print(f"{name} ({MUTATIONS[name].promise}): {words}", flush=True)
    await connection.close()
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {'; '.join(MUTATIONS)}; all without one")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    wanted = parser.parse_args()
    logger.disable("cdc")
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # connections that were ended on purpose
    with ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="cdc-mutations-"))
        server = running.enter_context(embedded.start(Path(folder), settings={"fsync": "off"}))
        return int(asyncio.run(_look(server.dsn, wanted.names or list(MUTATIONS), wanted.first)) > 0)


if __name__ == "__main__":
    sys.exit(main())
