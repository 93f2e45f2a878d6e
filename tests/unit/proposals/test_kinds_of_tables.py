"""Tables that another database has its own of, or can do without, are known by their names."""

import pytest

from cdc.facts.profile import ColumnProfile, TableProfile, TextForms
from cdc.proposals.kinds_of_tables import (
    is_called_like_migration_list,
    is_migration_list,
    names_migrations,
    why_left_behind,
)


@pytest.mark.parametrize(
    "name",
    ["django_migrations", "Alembic_Version", "__EFMigrationsHistory", "SequelizeMeta", "schema_compat_version"],
)
def test_a_list_of_migrations_is_known_in_any_letter_case(name: str) -> None:
    assert is_migration_list(name)
    assert why_left_behind(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sessions", "logged in"),
        ("django_session", "logged in"),
        ("session_store", "logged in"),
        ("http_cache", "cache"),
        ("cache_entries", "cache"),
        ("obsession", ""),
        ("caching", ""),
        ("session_notes", ""),
        ("migration_plans", ""),
        ("myapp_Migrations", "migrations"),
        ("user_schema_version", "migrations"),
        ("immigrations", ""),
    ],
)
def test_sessions_and_caches_are_taken_by_whole_words(name: str, why: str) -> None:
    found = why_left_behind(name)
    assert (why in found) if why else not found


@pytest.mark.parametrize("name", ["bird_migrations", "x_migration", "user_schema_deltas", "schema_history"])
def test_a_name_that_such_lists_have_may_be_that_of_another_table(name: str) -> None:
    assert is_called_like_migration_list(name)
    assert not is_migration_list(name)


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [
        ("0001_initial", "0107_more", True),
        ("20201028A", "20240101B", True),
        ("2014_10_12_000000_create_users_table", "2019_01_01_000000_x", True),
        ("CreateUser1588102412422", "WithTags1700000000000", True),
        ("1/a.sql", "92/b.sql.postgres", True),
        ("init.py", "users.py", True),
        ("V1.2", "v2", True),
        ("south", "west", False),
        ("0001_initial", "later", False),
        (None, None, False),
    ],
)
def test_what_migrations_are_called_is_known_at_both_ends_of_a_column(
    first: str | None, last: str | None, found: bool
) -> None:
    names = ColumnProfile("name", text=2, first=first, last=last, forms=TextForms(other=2))
    assert names_migrations(TableProfile(2, (ColumnProfile("id", integer=2), names))) is found


def test_dates_and_what_some_rows_lack_are_no_names_of_migrations() -> None:
    days = ColumnProfile("day", text=2, first="2024-01-01", last="2024-01-02", forms=TextForms(date=2))
    some = ColumnProfile("file", null=1, text=1, first="1.sql", last="1.sql", forms=TextForms(other=1))
    assert not names_migrations(TableProfile(2, (days, some)))
    assert not names_migrations(TableProfile(0, (ColumnProfile("file"),)))
