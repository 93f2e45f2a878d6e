"""Both databases, asked one query in two snapshots of one position: what the answers and their times come to."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from cdc.config import Config, ShadowRule, ShadowSection
from cdc.errors import CdcError, TargetError
from cdc.facts.shadow import Difference, Outcome, Verdict
from cdc.facts.table_map import TableMap
from cdc.facts.values import Row
from cdc.postgres.connection.open import Connection
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables.hashed_rows import letting_go, snapshot
from cdc.postgres.tables.select import QueryAnswer, ask
from cdc.postgres.translate.ported import PortedQuery, habits, port, source_without_limit, without_limit
from cdc.postgres.translate.terms import Untranslatable
from cdc.shadow.column_rules import rules_of
from cdc.shadow.compare_rows import AnswerColumn, compare_rows, only_order
from cdc.shadow.explore import Subject, subject_of
from cdc.shadow.positions import live_positions
from cdc.shadow.queries import Parameters, ShadowQuery
from cdc.sqlite.changelog import source_file
from cdc.sqlite.rows.question import AskedFile

LONGEST_PAUSE_SECONDS: Final = 0.01
BLOCKING_SECONDS: Final = 1.0  # of a query while which the application cannot commit


@dataclass(frozen=True, slots=True)
class Asked:
    """One query with one set of parameters, in both dialects."""

    query: ShadowQuery
    parameters: Parameters
    ported: PortedQuery
    as_list: bool

    @property
    def request(self) -> str:
        """What was asked, for people."""
        values = ", ".join(f"{name} = {value!r}" for name, value in self.parameters.items())
        return f"{self.query.name} ({values})" if values else self.query.name


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both answers of position `seq`: SQLite's rows with the seconds they took, Postgres' or why it gave none."""

    seq: int
    ours: list[Row]
    seconds: float
    theirs: QueryAnswer | TargetError


@asynccontextmanager
async def asking_both(config: Config) -> "AsyncIterator[BothDatabases]":
    """Both databases, to be asked for the time of a block."""
    async with live_positions(config) as positions, connected(config, "shadow reads") as connection:
        look = await asyncio.to_thread(source_file.look, config)
        maps = (await current_tables(positions.record, config, look.schema)).fed
        file = await asyncio.to_thread(AskedFile, config.source)
        try:
            yield BothDatabases(config.shadow, connection, positions.record.source_id, file, maps)
        finally:
            await asyncio.to_thread(file.close)


class BothDatabases:
    """Puts queries to both databases; `record` is what Postgres remembers of the source."""

    def __init__(
        self, options: ShadowSection, connection: Connection, source_id: str, file: AskedFile, maps: Sequence[TableMap]
    ) -> None:
        self.record = Record(connection, source_id)
        self._options = options
        self._connection = connection
        self._file = file
        self._maps = maps
        seconds = options.timeout_seconds
        self._seconds = min(seconds, BLOCKING_SECONDS) if file.blocks_writers else seconds
        self._turn = 0

    async def outcomes(self, query: ShadowQuery, repeat: int = 1) -> AsyncIterator[Outcome]:
        """What the query comes to with each of its parameters, so many times each."""
        try:
            questions = list(await asyncio.to_thread(self._questions, query))
        except (Untranslatable, CdcError) as reason:
            yield Outcome(query.name, query.name, Verdict.FAILED, reason=f"not asked: {reason}")
            return
        for asked in questions:
            for _ in range(repeat):
                yield await self._outcome(asked)

    async def first(self, query: ShadowQuery) -> Outcome:
        """What the query comes to with its first parameters."""
        return await anext(self.outcomes(query))

    async def subjects(self) -> list[Subject]:
        """The tables that queries can be made up about: those with rows, and a key that Postgres has too."""

        def found() -> list[Subject]:
            self._file.begin()
            try:
                return [s for mapped in self._maps if (s := subject_of(mapped, self._maps, self._sample)) is not None]
            finally:
                self._file.end()

        return await asyncio.to_thread(found)

    def _sample(self, sql: str) -> list[Row]:
        return self._file.ask("a sample of the data", sql, {}, self._seconds)

    def _questions(self, query: ShadowQuery) -> Iterator[Asked]:
        ported = port(query.sql, self._maps, of_target=query.target_sql)
        as_list = ported.ordered if query.order is None else query.order == "list"
        for parameters in self._parameters(query):
            ported.sql(parameters)  # what cannot be asked is said before anything is
            yield Asked(query, parameters, ported, as_list)

    def _parameters(self, query: ShadowQuery) -> list[Parameters]:
        found: list[Parameters] = list(query.parameters)
        if query.parameters_from is not None:
            self._file.begin()
            try:
                names = self._file.names(query.parameters_from)
                rows = self._file.ask(query.name, query.parameters_from, {}, self._seconds)
            finally:
                self._file.end()
            found += [dict(zip(names, row, strict=True)) for row in rows]
        return found or [{}]

    async def _outcome(self, asked: Asked) -> Outcome:
        deadline = time.monotonic() + self._options.patience_seconds
        try:
            while True:
                self._turn += 1
                async with snapshot(self._connection):
                    if (pair := await self._pair(asked)) is not None:
                        return await self._judged(asked, pair)
                if time.monotonic() > deadline:
                    return Outcome(asked.query.name, asked.request, Verdict.MOVED, tables=asked.ported.tables)
                await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))
        except CdcError as error:
            return Outcome(
                asked.query.name, asked.request, Verdict.FAILED, tables=asked.ported.tables, reason=error.message
            )

    async def _pair(self, asked: Asked) -> _Pair | None:
        """Both answers of the position that Postgres' snapshot shows, None where SQLite has gone on.

        Who is asked first changes with each attempt. The file is let go of before Postgres is asked anything: where
        there is no -wal file the application cannot commit while somebody reads.
        """
        seq = await self.record.stream.applied_seq()
        theirs = None if self._turn % 2 else await self._tried(asked)
        ours = await self._ours(asked, asked.query.sql, seq)
        if ours is None:
            return None
        return _Pair(seq, *ours, theirs or await self._tried(asked))

    async def _tried(self, asked: Asked) -> QueryAnswer | TargetError:
        try:
            return await self._theirs(asked, asked.ported)
        except TargetError as error:
            return error

    async def _judged(self, asked: Asked, pair: _Pair) -> Outcome:
        theirs = pair.theirs
        if isinstance(theirs, TargetError):
            return await self._refused(asked, pair.ours, theirs)
        rules = rules_of(asked.query.name, self._options)
        differences = compare_rows(pair.ours, theirs.rows, _columns(asked, theirs, rules), as_list=asked.as_list)
        verdict = Verdict.EQUAL
        used: tuple[str, ...] = ()
        if differences:
            verdict, differences = await self._explained(asked, pair, differences)
        elif rules and compare_rows(pair.ours, theirs.rows, _columns(asked, theirs, ()), as_list=asked.as_list):
            verdict, used = Verdict.IGNORED, tuple(r.reason or f"{r.read} at {r.path}" for r in rules)
        return Outcome(
            endpoint=asked.query.name,
            request=asked.request,
            verdict=verdict,
            differences=differences,
            baseline_seconds=pair.seconds,
            candidate_seconds=theirs.seconds,
            rules=used,
            tables=asked.ported.tables,
            seq=pair.seq,
        )

    async def _refused(self, asked: Asked, ours: Sequence[Row], error: TargetError) -> Outcome:
        """Postgres gives no answer: which remedy would make it give the right one."""
        failed = Difference("answer", f"{len(ours):,} rows", None, "refused")
        for cause, remedied in habits(asked.ported):
            if await self._is_same(asked, ours, remedied, as_list=asked.as_list):
                failed = replace(failed, cause=cause)
                break
        return Outcome(
            endpoint=asked.query.name,
            request=asked.request,
            verdict=Verdict.FAILED,
            differences=(failed,),
            tables=asked.ported.tables,
            reason=error.message,
        )

    async def _ours(self, asked: Asked, sql: str, seq: int) -> tuple[list[Row], float] | None:
        """SQLite's rows at a position and the seconds they took, None where it is no longer there."""

        def answer() -> tuple[list[Row], float] | None:
            try:
                if self._file.begin() != seq:
                    return None
                began = time.perf_counter()
                rows = self._file.ask(asked.query.name, sql, asked.parameters, self._seconds)
                return rows, time.perf_counter() - began
            finally:
                self._file.end()

        return await asyncio.to_thread(answer)

    async def _theirs(self, asked: Asked, ported: PortedQuery) -> QueryAnswer:
        async with letting_go(self._connection):
            sql = ported.sql(asked.parameters)
            return await ask(self._connection, asked.query.name, sql, self._options.timeout_seconds)

    async def _explained(
        self, asked: Asked, pair: _Pair, differences: tuple[Difference, ...]
    ) -> tuple[Verdict, tuple[Difference, ...]]:
        """What a difference comes from: the file is asked again, then Postgres with one remedy after the other."""
        again = await self._ours(asked, asked.query.sql, pair.seq)
        if again is not None and again[0] != pair.ours:
            return Verdict.NOISE, differences
        for cause, remedied in habits(asked.ported):
            if await self._is_same(asked, pair.ours, remedied, as_list=asked.as_list):
                return Verdict.DIFFERENT, _because(cause, differences)
        if await self._is_same_without_limit(asked, pair.seq):
            return Verdict.UNSTABLE, _because("ties", differences)
        if only_order(differences) and not asked.ported.ordered:
            return Verdict.DIFFERENT, _because("no ORDER BY", differences)
        return Verdict.DIFFERENT, differences

    async def _is_same(self, asked: Asked, ours: Sequence[Row], ported: PortedQuery, *, as_list: bool) -> bool:
        try:
            theirs = await self._theirs(asked, ported)
        except CdcError:
            return False  # a remedy need not fit the query
        columns = _columns(asked, theirs, rules_of(asked.query.name, self._options))
        return not compare_rows(ours, theirs.rows, columns, as_list=as_list)

    async def _is_same_without_limit(self, asked: Asked, seq: int) -> bool:
        """Whether both have the same rows when all are asked for, so that LIMIT only cuts rows of a tie apart."""
        whole = without_limit(asked.ported)
        if whole is None:
            return False
        try:
            ours = await self._ours(asked, source_without_limit(asked.query.sql), seq)
        except CdcError:
            return False
        return ours is not None and await self._is_same(asked, ours[0], whole, as_list=False)


def _columns(asked: Asked, theirs: QueryAnswer, rules: Sequence[ShadowRule]) -> list[AnswerColumn]:
    by_path = {rule.path: rule for rule in reversed(rules)}  # the first one counts
    origins = asked.ported.origins
    known = origins if len(origins) == len(theirs.columns) else (None,) * len(theirs.columns)
    return [
        AnswerColumn(name, base, origin, rule.read if rule else "", rule.tolerance if rule else None)
        for (name, base), origin in zip(theirs.columns, known, strict=True)
        for rule in (by_path.get(name),)
    ]


def _because(cause: str, differences: Sequence[Difference]) -> tuple[Difference, ...]:
    return tuple(replace(difference, cause=cause) for difference in differences)
