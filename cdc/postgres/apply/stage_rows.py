"""Copying into a stage: the rows that one snapshot gave, and the keys of those that are gone."""

from collections.abc import Sequence

import asyncpg

from cdc.errors import TargetError
from cdc.facts.changes import Rejection
from cdc.facts.row_key import encode_key
from cdc.facts.values import KeyValues
from cdc.postgres.apply.stage_sql import AppliedTable
from cdc.postgres.connection.open import Connection
from cdc.postgres.connection.refusals import REFUSED, is_refusal, send_accepted
from cdc.postgres.tables.key_map import SOURCE_KEY
from cdc.values.converter import Converted


class StageRefused(TargetError):
    """A stage took rows together that it may take one by one: the batch is to be begun again, `careful`."""


async def stage_rows(
    connection: Connection, table: AppliedTable, converted: Converted, *, careful: bool
) -> list[tuple[KeyValues, Rejection]]:
    """Stage rows; returns the source keys of those that Postgres refuses, with the reason.

    Raises `StageRefused` for them unless it is `careful`.
    """
    rows, columns = converted.rows, table.columns
    if table.crosswalk is not None:
        pairs = zip(rows, converted.keys, strict=True)
        rows, columns = [(*row, encode_key(key)) for row, key in pairs], (*columns, SOURCE_KEY)

    async def copy(portion: Sequence[tuple[object, ...]]) -> None:
        await connection.copy_records_to_table(table.stage, records=portion, columns=list(columns))

    if careful:
        refused = await send_accepted(connection, rows, copy)
        return [(converted.keys[place], why) for place, why in refused.items()]
    try:
        await copy(rows)
    except (asyncpg.InternalServerError, *REFUSED) as error:
        if not is_refusal(error):
            raise
        # Without a savepoint around it, the failed COPY has ended the transaction.
        raise StageRefused(f"staging changes: Postgres refuses: {error.args[0]}") from error
    return []


async def stage_gone(connection: Connection, table: AppliedTable, keys: Sequence[KeyValues]) -> bool:
    """Stage source keys as gone; False when no row of the target can have any of them."""
    if table.crosswalk is None:
        # A key that does not fit the target's types is of a row that never got there.
        rows = [key for raw in keys if not isinstance(key := table.converter.key(raw), Rejection)]
        columns: tuple[str, ...] = table.key
    else:
        rows = [(encode_key(raw),) for raw in keys]
        columns = (SOURCE_KEY,)
    gone = [(*key, True) for key in rows]
    await connection.copy_records_to_table(table.stage, records=gone, columns=[*columns, "_cdc_gone"])
    return bool(rows)
