"""What the application wrote lately, as far as the changelog still tells: which rows, how, and when."""

from collections.abc import Iterator

import apsw

from cdc.config import Config
from cdc.facts.row_rewrite import LoggedWrite
from cdc.sqlite.capture import triggers
from cdc.sqlite.capture.schema_signature import application_schema
from cdc.sqlite.changelog.positions import seconds_since_epoch
from cdc.sqlite.changelog.source_file import opened
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.transactions import read_transaction
from cdc.sqlite.rows.exact_values import fetch_values
from cdc.sqlite.schema.read import read_schema

# Entries of the triggers alone: a key that was logged by us says nothing of the application.
_NEWEST = "SELECT * FROM _cdc_changelog WHERE op IN ('I', 'U', 'D') ORDER BY seq DESC LIMIT ?"


def recorded_writes(config: Config, most: int) -> list[LoggedWrite]:
    """The newest entries, at most so many, oldest first; none where the file carries no capture."""
    with opened(config) as connection, translated("reading the changelog"), read_transaction(connection):
        return sorted(_recorded(connection, config, most), key=lambda write: write.at)


def schema_name(config: Config) -> str:
    """A name for exactly the application's schema in the file, see `application_schema`."""
    with opened(config) as connection, read_transaction(connection):
        return application_schema(connection)


def _recorded(connection: apsw.Connection, config: Config, most: int) -> Iterator[LoggedWrite]:
    capture = triggers.read_capture(connection, read_schema(connection, config).tables)
    if capture is None:
        return
    for _, tid, op, at, *key in fetch_values(connection, _NEWEST, (most,)):
        moment = seconds_since_epoch(at)
        if isinstance(tid, int) and (table := capture.tables.get(tid)) and moment is not None:
            yield LoggedWrite(table.name, str(op), tuple(key[: len(table.key.columns)]), moment)
