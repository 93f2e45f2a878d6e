"""The peer: pgloader copies a SQLite file into tables that it makes itself, as its own guide has it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.machine import pgloader_version

_ORDERS = """\
LOAD DATABASE FROM sqlite://{database} INTO postgresql://postgres@unix:{socket}:{port}/postgres
WITH include drop, create tables, create indexes, reset sequences;
"""


@dataclass(frozen=True)
class PgLoader:
    """An installed pgloader with orders for one file and one server."""

    orders: Path

    @classmethod
    def find(cls, folder: Path, database: Path, dsn: str) -> "PgLoader | None":
        """None when it is not installed."""
        if pgloader_version() is None:
            return None
        # It does not read the form of URI that libpq has for sockets.
        server = parse_qs(urlsplit(dsn).query)
        orders = folder / "pgloader.load"
        orders.write_text(_ORDERS.format(database=database, socket=server["host"][0], port=server["port"][0]))
        return cls(orders)

    def run(self) -> None:
        """Copy everything; raises when it says that it failed."""
        command = ["pgloader", "--root-dir", str(self.orders.parent / "pgloader"), str(self.orders)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(f"pgloader ended with code {ended.returncode}: {ended.stdout[-2000:]}")
