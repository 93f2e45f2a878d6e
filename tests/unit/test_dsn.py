"""A connection string may hold a password: whatever is wrong with it, no message shows it."""

import pytest

from cdc.errors import TargetRefused, TargetUnavailable
from cdc.postgres.connection import connect, where

UNREADABLE = [
    "mysql://user:secret@host/db",
    "postgresql://user:sec ret@[bad/db",
    "postgresql://user:secret@localhost:notaport/db",
    "postgresql://user:secret@localhost:1/db?sslmode=bogus",
    "host=localhost password=secret",
]


@pytest.mark.parametrize("dsn", UNREADABLE)
async def test_an_unreadable_dsn_is_refused_at_once_without_its_password(dsn: str) -> None:
    with pytest.raises(TargetRefused) as refused:
        await connect(dsn, purpose="test")
    assert "secret" not in refused.value.message + refused.value.remedy
    assert "sec ret" not in refused.value.message + refused.value.remedy


async def test_a_server_that_does_not_answer_is_named_without_the_password() -> None:
    with pytest.raises(TargetUnavailable) as unavailable:
        await connect("postgresql://user:secret@127.0.0.1:1/db", purpose="test")
    assert "127.0.0.1:1/db" in unavailable.value.message
    assert "secret" not in unavailable.value.message


@pytest.mark.parametrize("dsn", [*UNREADABLE, "postgresql://user:secret@host:5432/db"])
def test_the_name_of_a_target_for_people_holds_no_password(dsn: str) -> None:
    assert "secret" not in where(dsn)
