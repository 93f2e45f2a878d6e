"""Which keys are shown, and which are likely to be secrets that a screen or a log should not have."""

import pytest

from cdc.facts.row_key import encode_key, shown_key
from cdc.facts.secret_names import is_called_secret
from cdc.facts.values import KeyValues


@pytest.mark.parametrize(
    "name",
    [
        *("token", "session_token", "csrfToken", "directus_sessions", "client_secret", "password_hash", "passwd"),
        *("api_key", "apiKey", "X-API-Key", "auth", "oauth_state", "authorization", "Authorisation", "cookies"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_called_secret(name)


@pytest.mark.parametrize(
    "name", ["key", "id", "author", "authors_books", "co_author_id", "slug", "passage", "keyword", ""]
)
def test_names_of_other_things(name: str) -> None:
    assert not is_called_secret(name)


@pytest.mark.parametrize(
    ("key", "table", "columns", "shown"),
    [
        (("abc",), "links", ("token",), "***"),
        (("abc",), "sessions", (), "***"),
        ((b"abc",), "sessions", ("id",), "***"),
        ((5,), "sessions", ("id",), "5"),  # a number is a place in a list, and no secret
        ((None,), "sessions", ("id",), "NULL"),
        (("abc",), "links", ("slug",), "'abc'"),
        (("abc", "def"), "links", ("slug", "token"), "('abc', ***)"),
        (("abc", 7), "tokens", (), "(***, 7)"),
    ],
)
def test_texts_are_hidden_where_their_column_or_table_says_so(
    key: KeyValues, table: str, columns: tuple[str, ...], shown: str
) -> None:
    assert shown_key(encode_key(key), table, columns) == shown
