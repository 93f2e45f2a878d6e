"""A connection string may hold a password: whatever is wrong with it, no message shows it."""

import pytest

from cdc.errors import TargetRefused, TargetUnavailable
from cdc.postgres.connection.dsn import where, without_password
from cdc.postgres.connection.open import connect

UNREADABLE = [
    "mysql://user:secret@host/db",
    "postgresql://user:sec ret@[bad/db",
    "postgresql://user:secret@localhost:notaport/db",
    "postgresql://user:secret@localhost:1/db?sslmode=bogus",
    "host=localhost password=secret",
    # A password whose special characters are not percent-encoded.
    "postgresql://user:p@secret/word@host/db",
    "postgresql://user:12/secret@host/db",
    "postgresql://user:secret/word@host/db",
    "postgresql://user:12#secret@host/db",
    "postgresql://user:12?secret@host/db",
    "postgresql://user:12?x=secret@host/db",
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


@pytest.mark.parametrize(
    ("dsn", "name"),
    [
        ("postgresql://user:secret@host:5432/db", "host:5432/db"),
        ("postgresql://user@[::1]:5432/db", "[::1]:5432/db"),
        ("postgresql://user@one:5432,other/db", "one:5432,other/db"),
        ("postgresql://user:sec%40ret@/db?host=db.lan", "db.lan/db"),
        ("postgresql:///db?host=/run/postgresql", "local socket/db"),
        ("postgresql:///db", "local socket/db"),
    ],
)
def test_the_name_of_a_target_tells_its_host(dsn: str, name: str) -> None:
    assert where(dsn) == name


@pytest.mark.parametrize(
    ("dsn", "shown", "password"),
    [
        ("postgresql://u:p%40x@h:5/db?sslmode=require", "postgresql://u@h:5/db?sslmode=require", "p@x"),
        ("postgresql://u@h/db?password=a%26b", "postgresql://u@h/db", "a&b"),
        ("postgresql:///db?host=/run/x&user=u", "postgresql:///db?host=%2Frun%2Fx&user=u", None),
    ],
)
def test_a_command_line_shows_no_password(dsn: str, shown: str, password: str | None) -> None:
    assert without_password(dsn) == (shown, password)
