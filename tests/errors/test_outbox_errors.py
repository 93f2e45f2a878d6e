"""Applications that write to Postgres while who may write is to change."""

import pytest
from error_assertions import said
from outbox_copy import SOURCE, WAIT, application, mapped, named_after, nothing, outbox_copy

from cdc.errors import ExitCode, TargetError, TargetHindered
from cdc.postgres.outbox.guard import WriteGuard


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


async def test_a_right_that_was_handed_on(database: str) -> None:
    async with (
        outbox_copy(database, "CREATE TABLE t(id int PRIMARY KEY)", mapped("t", ["id"])) as copy,
        application(database) as app,
    ):
        role = f"{named_after(database)}_role"
        await app.execute(f"CREATE ROLE {role}")
        try:
            await copy.connection.execute(f"GRANT DELETE ON t TO {role} WITH GRANT OPTION")
            await app.execute(f"SET ROLE {role}; GRANT DELETE ON t TO PUBLIC; RESET ROLE")
            with pytest.raises(TargetError) as caught:
                await WriteGuard(copy.connection, SOURCE, withhold=True).install(copy.maps, WAIT)
            assert await app.fetchval("SELECT has_table_privilege('public', 't', 'DELETE')")
            # With triggers alone, as the remedy has it.
            await WriteGuard(copy.connection, SOURCE).install(copy.maps, WAIT)
            await copy.open()
            await app.execute(f"SET ROLE {role}; DELETE FROM t; RESET ROLE")
        finally:
            await app.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
    said(
        f"error: {caught.value.message}\nremedy: {caught.value.remedy}",
        "the right to write to {table} was handed on by the role {giver}, and could not be given back as it was",
        ExitCode.CRITICAL,
    )
