"""An application and its replica in one object, for tests that say what happens in a few lines."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import asyncpg
from comparison import Comparison
from harness import Live, application, execute, fetch, live, load, make_config, quarantined

from cdc.config import Config, TableOptions
from cdc.facts.row_key import show_key


class Pair:
    """A SQLite file that an application writes, and Postgres that follows it when asked."""

    def __init__(self, config: Config, app: apsw.Connection, replica: Live) -> None:
        self.config = config
        self.app = app
        self.replica = replica

    @property
    def dsn(self) -> str:
        return self.config.target.dsn

    async def write(self, *statements: str) -> None:
        """The application writes, in one transaction when there are several statements, and Postgres follows."""
        if len(statements) > 1:
            with self.app:
                for sql in statements:
                    self.app.execute(sql)
        elif statements:
            self.app.execute(statements[0])
        await self.replica.sync()

    async def differences(self) -> list[str]:
        """What differs between the two now."""
        reader = application(self.config.source.path, wal=self.app.pragma("journal_mode") == "wal")
        connection = await asyncpg.connect(self.dsn)
        try:
            return await Comparison(reader, connection, self.config.target.schema).differences()
        finally:
            await connection.close()
            reader.close()

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query in Postgres."""
        return [tuple(row) for row in await fetch(self.dsn, sql)]

    async def held(self) -> dict[str, str]:
        """What is in quarantine: the reason by `table key`."""
        return {f"{table} {show_key(key)}": reason for table, key, reason in await quarantined(self.dsn)}


@asynccontextmanager
async def replicated(
    folder: Path,
    dsn: str,
    *statements: str,
    wal: bool = True,
    prepared: str = "",
    tables: Mapping[str, TableOptions] | None = None,
    **replicate: Any,
) -> AsyncIterator[Pair]:
    """A pair after its first load. `statements` make the file, `prepared` is run in Postgres before the load."""
    app = application(folder / "app.db", wal=wal)
    for sql in statements:
        app.execute(sql)
    if prepared:
        await execute(dsn, prepared)
    config = make_config(folder, folder / "app.db", dsn, tables=tables, **replicate)
    try:
        await load(config)
        async with live(config) as replica:
            await replica.sync()
            yield Pair(config, app, replica)
    finally:
        app.close()
