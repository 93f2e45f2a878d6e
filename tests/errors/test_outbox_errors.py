"""Applications that write to Postgres while who may write is to change."""

import pytest
from error_assertions import said
from outbox_copy import application, mapped, nothing, outbox_copy

from cdc.errors import ExitCode, TargetHindered


async def test_a_transaction_that_does_not_end(database: str) -> None:
    async with (
        outbox_copy(database, "CREATE TABLE t(id int PRIMARY KEY)", mapped("t", ["id"])) as copy,
        application(database) as app,
    ):
        await copy.open()
        async with app.transaction():
            await app.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(TargetHindered) as caught:
                await copy.guard.close_writes(copy.maps, 0, nothing)
    said(
        f"error: {caught.value.message}\nremedy: {caught.value.remedy}",
        "table {table} could not be locked within {wait_seconds} s: in the way are {held_by}",
        ExitCode.UNAVAILABLE,
    )
