"""Tables that another database has its own of, or can do without, are known by their names."""

import pytest

from cdc.proposals.kinds_of_tables import is_migration_list, why_left_behind


@pytest.mark.parametrize(
    "name", ["django_migrations", "Alembic_Version", "__EFMigrationsHistory", "SequelizeMeta", "_prisma_migrations"]
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
    ],
)
def test_sessions_and_caches_are_taken_by_whole_words(name: str, why: str) -> None:
    found = why_left_behind(name)
    assert (why in found) if why else not found
